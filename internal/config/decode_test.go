package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const origin = "proxy: {origins: [{url: 'http://127.0.0.1:3000'}]}\n"

// compose reads text as a file, with a data folder that exists.
func compose(t *testing.T, text string) (*Config, []string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "seawall.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Compose(file, Flags{})
	if err == nil {
		return c, nil
	}
	// Problems without the folder that differs each time.
	return c, strings.Split(strings.ReplaceAll(err.Error(), file, "f"), "\n")
}

// What a broken file is answered with, word for word.
func TestBrokenFiles(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"unknown key, near", "lisen: {}\n", []string{
			"f:1: lisen: is no setting; did you mean listen?"}},
		{"unknown key below, near", "listen:\n  max_haed: 4096\n", []string{
			"f:2: listen.max_haed: is no setting; did you mean max_head?"}},
		{"unknown key, far", "log:\n  colour: red\n", []string{
			"f:2: log.colour: is no setting; settings here are format, level"}},
		{"unknown key in a list", "proxy:\n  origins:\n    - url: http://a\n      wieght: 2\n", []string{
			"f:4: proxy.origins[0].wieght: is no setting; did you mean weight?"}},
		{"room's tag is no key", "request: {}\n", []string{
			"f:1: request: is no setting; settings here are admin, admit, data, defense, identify, listen, log, memory, mode, packet, proxy, refuse, rules, trusted_proxies, under_attack"}},
		{"time without unit", "listen: {head_timeout: 10}\n", []string{
			`f:1: listen.head_timeout: is "10"; write a time such as 500ms, 10s, 5m or 24h`}},
		{"time in words", "listen:\n  grace: soon\n", []string{
			`f:2: listen.grace: is "soon"; write a time such as 500ms, 10s, 5m or 24h`}},
		{"number in words", "listen:\n  max_conns: many\n", []string{
			`f:2: listen.max_conns: is "many"; write a whole number`}},
		{"number in quotes", "listen:\n  max_conns: '4096'\n", []string{
			`f:2: listen.max_conns: is "4096"; write a whole number`}},
		{"broken number", "listen:\n  max_conns: 10.5\n", []string{
			`f:2: listen.max_conns: is "10.5"; write a whole number`}},
		{"number too large", "admit:\n  burst: 99999999999999999999\n", []string{
			`f:2: admit.burst: is "99999999999999999999"; write a whole number`}},
		{"rate in words", "admit: {rate: fast}\n", []string{
			`f:1: admit.rate: is "fast"; write a number`}},
		{"rate that is none", "admit: {rate: .nan}\n", []string{
			"f:1: admit.rate: NaN requests a second is not between 0.1 and 1000000; 20 suits most sites"}},
		{"yes is no bool", "under_attack: yes\n", []string{
			`f:1: under_attack: is "yes"; write true or false`}},
		{"bool in quotes", "under_attack: 'true'\n", []string{
			`f:1: under_attack: is "true"; write true or false`}},
		{"list where a text is wanted", "data: [a, b]\n", []string{
			"f:1: data: is a list; write one value"}},
		{"group where a text is wanted", "data: {a: b}\n", []string{
			"f:1: data: is a group of settings; write one value"}},
		{"text where a list is wanted", "listen: {addresses: ':80'}\n", []string{
			`f:1: listen.addresses: is ":80", not a list; write a list: [a, b] or lines that begin with ` + "`- `"}},
		{"text where a group is wanted", "listen: ':80'\n", []string{
			`f:1: listen: is ":80", not a group of settings; write ` + "`key: value` lines below it"}},
		{"list where a group is wanted", "admin:\n  - listen\n", []string{
			"f:1: admin: is a list, not a group of settings; write `key: value` lines below it"}},
		{"text in a list of groups", "proxy:\n  origins:\n    - http://a\n", []string{
			`f:3: proxy.origins[0]: is "http://a", not a group of settings; write ` + "`key: value` lines below it"}},
		{"a file that is a text", "hello\n", []string{
			`f:1: line 1: is "hello", not a group of settings; write ` + "`key: value` lines below it"}},
		{"size", "memory: lots\n", []string{
			`f:1: memory: "lots" is no size; write 256MiB or 1GiB`}},
		{"size too small", "memory: 10MiB\n", []string{
			"f:1: memory: 10MiB is too little to work in; write 64MiB or more, or leave it out"}},
		{"bad prefix", "listen:\n  trusted_proxies:\n    - 192.0.2.0/24\n    - 198.51.100.0/33\n", []string{
			`f:4: listen.trusted_proxies[1]: "198.51.100.0/33" is no network; write one such as 198.51.100.0/24 or 2001:db8::/48`}},
		{"set twice", "data: .\nlog: {level: info}\ndata: .\n", []string{
			"f:3: data: is set twice; keep one of them"}},
		{"anchor", "data: &a .\n", []string{
			"f:1: data: anchors, aliases and tags are not read here; write the value out"}},
		{"tag", "data: !!str .\n", []string{
			"f:1: data: anchors, aliases and tags are not read here; write the value out"}},
		{"merge", "admin:\n  <<: {listen: 127.0.0.1:1}\n", []string{
			"f:2: admin.<<: is no setting; settings here are listen, token"}},
		{"two documents", "data: .\n---\ndata: .\n", []string{
			"f:3: line 3: holds more than one document; keep one document: remove the second `---`"}},
		{"no file for countries", "identify:\n  country_file: /nowhere/c.mmdb\n", []string{
			"f:2: identify.country_file: stat /nowhere/c.mmdb: no such file or directory; name a file in MMDB format, or leave it out"}},
		{"no folder for data", "data: /nowhere/at/all\n", []string{
			"f:1: data: /nowhere/at/all cannot be made: no such file or directory; make the folder above it first"}},
		{"open to the world", "admin:\n  listen: 0.0.0.0:9090\n", []string{
			"f:1: admin.token: is missing, and 0.0.0.0:9090 can be reached from outside; set a token of at least 16 characters, or listen on 127.0.0.1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.text
			if !strings.Contains(text, "proxy:") && !strings.HasPrefix(text, "hello") {
				text += origin // behind, so that lines stay
			}
			_, got := compose(t, text)
			rest := slices.DeleteFunc(got, func(p string) bool {
				return strings.Contains(p, "no origin is given") || strings.Contains(p, `"" is no web address`)
			})
			if strings.Join(rest, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("%s\ngot  %s\nwant %s", c.text, strings.Join(rest, "\n     "), strings.Join(c.want, "\n     "))
			}
		})
	}
}

// What is no YAML at all is told with its line.
func TestNoYAML(t *testing.T) {
	for _, c := range []struct {
		text string
		line string
	}{
		{"log:\n\tlevel: info\n", "f:2: "},
		{"log: {level: info\n", "f:1: "},
		{"data: \"open\nlog: {}\n", "f:1: "},
		{"a: b: c\n", "f:1: "},
	} {
		cfg, got := compose(t, c.text)
		if cfg != nil {
			t.Errorf("%q: a Config of which nothing was read", c.text)
		}
		if len(got) != 1 || !strings.HasPrefix(got[0], c.line) || !strings.Contains(got[0], "is no YAML") {
			t.Errorf("%q: %q", c.text, got)
		}
	}
}

// Everything at once, in the order of the file: what the reader finds and what
// only the rooms can tell.
func TestAllAtOnce(t *testing.T) {
	_, got := compose(t, `admin:
  listen: nowhere
listen:
  addresses: ["127.0.0.1:8080", "example.org"]
  proxy_protocol: maybe
  max_body: -1
  colour: red
trusted_proxies: [cloudflair]
admit:
  rate: fast
  allow: [198.51.100.300, 10.0.0.1/8]
proxy:
  origins:
    - url: ftp://127.0.0.1
      weight: heavy
  health: {every: 3, path: health}
defense:
  decide:
    ban: 1s
  http_flood:
    times: 1
log: {level: loud}
`)
	want := []string{
		"f:2: admin.listen: ", "f:4: listen.addresses[1]: ", "f:5: listen.proxy_protocol: ", "f:6: listen.max_body: ",
		"f:7: listen.colour: ", "f:8: trusted_proxies[0]: ", "f:10: admit.rate: ", "f:11: admit.allow: ", "f:11: admit.allow: ",
		"f:14: proxy.origins[0].url: ", "f:15: proxy.origins[0].weight: ", "f:16: proxy.health.every: ",
		"f:16: proxy.health.path: ", "f:19: defense.decide.ban: ", "f:21: defense.http_flood.times: ", "f:22: log.level: ",
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Fatalf("problem %d differs:\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// Ways of writing that are all right.
func TestSpellings(t *testing.T) {
	for name, text := range map[string]string{
		"quoted keys": `"listen": {'max_conns': 4096, "head_timeout": "5s"}` + "\n" + origin,
		"JSON":        `{"listen": {"max_conns": 4096, "head_timeout": "5s"}, "proxy": {"origins": [{"url": "http://127.0.0.1:3000"}]}}`,
		"block":       "# a comment\n---\nlisten:\n  max_conns: 4_096\n  head_timeout: 5s # another\nlog:\ndata:\n" + origin,
		"hexadecimal": "listen: {max_conns: 0x1000, head_timeout: 5000ms}\n" + origin,
		"Windows":     strings.ReplaceAll("listen:\n  max_conns: 4096\n  head_timeout: 5s\n"+origin, "\n", "\r\n"),
	} {
		c, errs := compose(t, text)
		if len(errs) > 0 {
			t.Errorf("%s: %q", name, errs)
			continue
		}
		if l := c.Request.Listen; l.MaxConns != 4096 || l.HeadTimeout != 5*time.Second || l.IdleTimeout != 60*time.Second {
			t.Errorf("%s: read as %+v", name, l)
		}
		if c.Log.Level != "info" || c.Data != "./seawall-data" {
			t.Errorf("%s: what is left empty does not keep its default: %+v", name, c)
		}
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load("/nowhere/seawall.yaml")
	const want = "/nowhere/seawall.yaml: cannot be read: no such file or directory; give the path of your seawall.yaml after -c"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
