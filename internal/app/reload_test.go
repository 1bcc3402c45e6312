package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seawall/internal/config"
	"seawall/internal/defense/observe"
	"seawall/internal/request/admit"
)

// written is a configuration file in a folder of its own.
func written(t *testing.T, text string) func() (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "seawall.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() (*config.Config, error) { return config.Load(path) }
}

func read(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := written(t, text)()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const site = "proxy: {origins: [{url: \"http://127.0.0.1:1\"}]}\n"

func TestNeedsRestart(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "",
		"refuse: {site: x}":                      "",
		"admit: {deny: [192.0.2.1]}":             "",
		"identify: {clearance_for: 2h}":          "",
		"log: {level: debug}":                    "",
		"log: {format: json}":                    "log.format",
		"memory: 128MiB":                         "memory",
		"memory: 64MiB":                          "memory",
		"data: elsewhere":                        "data",
		"admin: {listen: \"127.0.0.1:1\"}":       "admin",
		"listen: {idle_timeout: 1m1s}":           "listen",
		"trusted_proxies: [loopback]":            "trusted_proxies",
		"listen: {trusted_proxies: [\"::/64\"]}": "listen",
		"under_attack: true":                     "under_attack",
		"defense: {decide: {}}":                  "",
	} {
		old, next := read(t, site), read(t, site+text+"\n")
		var keys []string
		for _, p := range needsRestart(old, next) {
			keys = append(keys, p.Key)
		}
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("%q needs a restart for %q, want %q", text, got, want)
		}
	}
}

// A reload puts all of it in force, or nothing.
func TestReload(t *testing.T) {
	data := "data: " + filepath.Join(t.TempDir(), "data") + "\nmemory: 64MiB\n"
	load := written(t, site+data)
	var log bytes.Buffer
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	p, err := build(cfg, Options{Load: func() (*config.Config, error) { return load() }, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	before, stood := p.door.now.Load(), p.cfg.Load()
	for name, text := range map[string]string{
		"a key that is none":   site + data + "nosuch: 1\n",
		"no origin":            data,
		"needs a restart":      site + data + "under_attack: true\n",
		"not a table":          site + data + "identify: {country_file: seawall.yaml}\n",
		"table that is no one": site + data + "identify: {country_file: " + broken(t) + "}\n",
	} {
		load = written(t, text)
		if err := p.reload(); err == nil {
			t.Errorf("%s: taken", name)
		}
		if p.door.now.Load() != before || p.cfg.Load() != stood {
			t.Fatalf("%s: something was swapped", name)
		}
	}
	load = written(t, data)
	var wrong config.Errors
	if err := p.reload(); !errors.As(err, &wrong) {
		t.Errorf("no list of problems: %v", err)
	}

	for range 3 { // also what was fitted to the memory must not look changed
		load = written(t, "refuse: {site: new}\nlog: {level: warn}\n"+site+data)
		if err := p.reload(); err != nil {
			t.Fatal(err)
		}
	}
	if p.door.now.Load() == before || p.cfg.Load().Request.Refuse.Site != "new" {
		t.Error("the new configuration is not in force")
	}
	if p.cfg.Load().Request.Admit.Clients != cfg.Request.Admit.Clients {
		t.Error("the new configuration is not fitted to the memory")
	}
}

// broken is a file that is no MMDB.
func broken(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "broken.mmdb")
	if err := os.WriteFile(path, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		memory  string
		clients int
		conns   int
		small   bool
	}{
		{"64MiB", 155344, 819, true},
		{"256MiB", 621378, 3276, false},
		{"1GiB", 2485513, 8192, false},
	} {
		cfg := read(t, site+"memory: "+c.memory+"\n")
		fit(cfg)
		if n := cfg.Request.Admit.Clients; n != c.clients || n*admit.BytesPerClient > int(cfg.Ceiling())/4 {
			t.Errorf("%s: %d clients, want %d", c.memory, n, c.clients)
		}
		if n := cfg.Request.Listen.MaxConns; n != c.conns {
			t.Errorf("%s: %d connections, want %d", c.memory, n, c.conns)
		}
		// No single address, and nothing that lasts, may take all of them.
		if l, x := cfg.Request.Listen, cfg.Request.Proxy; l.MaxConnsPerClient > c.conns/2 || l.MaxConnsPerNetwork > c.conns*3/4 || x.MaxStreams > c.conns/2 || x.MaxWaiting > c.conns/4 {
			t.Errorf("%s: of %d connections %d a client, %d a network, %d streams, %d in line", c.memory, c.conns,
				l.MaxConnsPerClient, l.MaxConnsPerNetwork, x.MaxStreams, x.MaxWaiting)
		}
		if small := cfg.Defense.Observe == observe.SmallConfig(); small != c.small {
			t.Errorf("%s: small observation %v, want %v", c.memory, small, c.small)
		}
		if p := cfg.Validate(); len(p) > 0 {
			t.Errorf("%s: %v", c.memory, p)
		}
	}
	// What a person has set stays.
	cfg := read(t, site+"memory: 64MiB\nadmit: {clients: 2048}\nlisten: {max_conns: 5000}\n")
	fit(cfg)
	if cfg.Request.Admit.Clients != 2048 || cfg.Request.Listen.MaxConns != 5000 {
		t.Errorf("%d clients, %d connections", cfg.Request.Admit.Clients, cfg.Request.Listen.MaxConns)
	}
}

func TestRunningHas(t *testing.T) {
	r := Running{Admin: "127.0.0.1:9090", Serve: []string{"[::]:80"}}
	for addr, want := range map[string]bool{":80": true, "0.0.0.0:80": true, "127.0.0.1:9090": true, ":8080": false, "80": false, "": false} {
		if got := r.has(addr); got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
	if (Running{}).has(":") {
		t.Error("nothing listens on no port")
	}
}
