package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"seawall/internal/defense"
	"seawall/internal/kit/problem"
	"seawall/internal/packet"
	"seawall/internal/request"
)

// Config is everything that can be set. Reload swaps it whole.
type Config struct {
	Admin  Admin  `yaml:"admin"`
	Data   string `yaml:"data"`   // folder for what outlives a restart
	Memory Size   `yaml:"memory"` // ceiling for resident memory; 0 follows the machine
	Log    Log    `yaml:"log"`

	Request request.Config `yaml:",inline"`
	Defense defense.Config `yaml:"defense"`
	Packet  packet.Config  `yaml:"packet"`

	// Mode is defend, or watch: what the machine decides is only counted.
	Mode string `yaml:"mode"`

	// Rules are what the operator wants done about requests of a kind.
	Rules defense.Rules `yaml:"rules"`

	// UnderAttack starts with the stance of an attack, for somebody who
	// installs Seawall in the middle of one.
	UnderAttack bool `yaml:"under_attack"`

	source source
}

// Admin is where the operator looks and steers.
type Admin struct {
	Listen string `yaml:"listen"` // loopback by default
	Token  string `yaml:"token"`  // required where listen is not loopback
}

// Log says how much is logged, and how.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// Default returns the settings that hold when nothing is said. It lacks an
// origin, which nobody but the operator knows.
func Default() *Config {
	return &Config{
		Admin:   Admin{Listen: "127.0.0.1:9090"},
		Data:    "./seawall-data",
		Log:     Log{Level: "info", Format: "text"},
		Request: request.DefaultConfig(),
		Defense: defense.DefaultConfig(),
		Packet:  packet.DefaultConfig(),
		Mode:    defense.Defend,
	}
}

// Load reads and checks a file. An error is of type Errors and holds every
// problem.
func Load(path string) (*Config, error) { return Compose(path, Flags{}) }

func read(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, Errors{{File: path, Problem: problem.Problem{
			What: "cannot be read: " + cause(err), Hint: "give the path of your seawall.yaml after -c"}}}
	}
	return text, nil
}

// Validate checks all settings, each room its own.
func (c *Config) Validate() problem.List {
	var l problem.List
	l.Under("admin", c.Admin.validate())
	if c.Data == "" {
		l.Add("data", "name a folder that Seawall may write to, such as /var/lib/seawall", "is empty")
	} else if f, err := os.Stat(c.Data); err == nil && !f.IsDir() {
		l.Add("data", "name a folder that Seawall may write to", "%s is a file", c.Data)
	} else if err != nil {
		if _, err := os.Stat(filepath.Dir(filepath.Clean(c.Data))); err != nil {
			l.Add("data", "make the folder above it first", "%s cannot be made: %s", c.Data, cause(err))
		}
	}
	if c.Memory != 0 && c.Memory < MinMemory {
		l.Add("memory", "write 64MiB or more, or leave it out", "%s is too little to work in", c.Memory)
	}
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		l.Add("log.level", "write debug, info, warn or error", "%q is no level", c.Log.Level)
	}
	switch c.Log.Format {
	case "text", "json":
	default:
		l.Add("log.format", "write text or json", "%q is no format", c.Log.Format)
	}
	if c.Mode != defense.Defend && c.Mode != defense.Watch {
		l.Add("mode", "write defend, or watch to see first whom it would stop", "%q is no mode", c.Mode)
	}
	l.Under("", c.Request.Validate())
	l.Under("defense", c.Defense.Validate())
	l.Under("packet", c.Packet.Validate())
	l.Under("rules", c.Rules.Validate())
	return l
}

func (a Admin) validate() problem.List {
	var l problem.List
	ap, err := netip.ParseAddrPort(a.Listen)
	host, _, splitErr := net.SplitHostPort(a.Listen)
	switch {
	case splitErr != nil || (err != nil && host != "localhost"):
		l.Add("listen", "write an address and a port, such as 127.0.0.1:9090", "%q is no address to listen on", a.Listen)
	case host != "localhost" && !ap.Addr().IsLoopback() && len(a.Token) < 16:
		l.Add("token", "set a token of at least 16 characters, or listen on 127.0.0.1", "is missing, and %s can be reached from outside", a.Listen)
	}
	return l
}

// Watch says that nobody is to be stopped by the machine.
func (c *Config) Watch() bool { return c.Mode == defense.Watch }

// Errors is every problem of one file.
type Errors []Located

// Located is one problem and where it stands; Line is 0 for what is missing.
type Located struct {
	File string `json:"file"`
	Line int    `json:"line"`
	problem.Problem
}

func (e Located) String() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Problem)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem)
}

func (e Errors) Error() string {
	inOrder := slices.Clone(e)
	slices.SortStableFunc(inOrder, func(a, b Located) int {
		if (a.Line == 0) != (b.Line == 0) { // what is missing comes last
			return b.Line - a.Line
		}
		return a.Line - b.Line
	})
	lines := make([]string, len(e))
	for i, p := range inOrder {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// lineOf finds the line of a key, or of the nearest key above it.
func lineOf(lines map[string]int, key string) int {
	for key != "" {
		if n, ok := lines[key]; ok {
			return n
		}
		cut := strings.LastIndexAny(key, ".[")
		if cut < 0 {
			break
		}
		key = key[:cut]
	}
	return 0
}

// cause strips the operation and the path that os puts before a reason.
func cause(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, ": "); i >= 0 {
		return s[i+2:]
	}
	return s
}
