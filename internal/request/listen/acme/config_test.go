package acme

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		key    string // of the one problem; "" none
		says   string
	}{
		"nothing":         {func(*Config) {}, "", ""},
		"names":           {func(c *Config) { c.Domains = []string{"example.org", "a-b.xn--bcher-kva.example"} }, "", ""},
		"asterisk":        {func(c *Config) { c.Domains = []string{"*.example.org"} }, "domains[0]", "write each name out"},
		"address":         {func(c *Config) { c.Domains = []string{"192.0.2.1"} }, "domains[0]", "is an address"},
		"IPv6 address":    {func(c *Config) { c.Domains = []string{"2001:db8::1"} }, "domains[0]", "more than a name"},
		"web address":     {func(c *Config) { c.Domains = []string{"https://example.org"} }, "domains[0]", "more than a name"},
		"port":            {func(c *Config) { c.Domains = []string{"example.org:443"} }, "domains[0]", "more than a name"},
		"no dot":          {func(c *Config) { c.Domains = []string{"localhost"} }, "domains[0]", "no name that the internet"},
		"dot at the end":  {func(c *Config) { c.Domains = []string{"example.org."} }, "domains[0]", "no name that the internet"},
		"hyphen":          {func(c *Config) { c.Domains = []string{"-a.example.org"} }, "domains[0]", "no name that the internet"},
		"space":           {func(c *Config) { c.Domains = []string{"a b.example.org"} }, "domains[0]", "no name that the internet"},
		"capitals":        {func(c *Config) { c.Domains = []string{"Example.org"} }, "domains[0]", "write example.org"},
		"umlaut":          {func(c *Config) { c.Domains = []string{"bücher.example"} }, "domains[0]", "xn--"},
		"long label":      {func(c *Config) { c.Domains = []string{strings.Repeat("a", 64) + ".example"} }, "domains[0]", "no name that the internet"},
		"twice":           {func(c *Config) { c.Domains = []string{"example.org", "example.org"} }, "domains[1]", "twice"},
		"mail":            {func(c *Config) { c.Email = "help@example.org" }, "", ""},
		"no mail":         {func(c *Config) { c.Email = "Help <help@example.org>" }, "email", "is no mail address"},
		"no directory":    {func(c *Config) { c.Directory = "" }, "directory", "https://"},
		"clear directory": {func(c *Config) { c.Directory = "http://example.org/dir" }, "directory", "https://"},
		"no staging":      {func(c *Config) { c.Staging = "none" }, "", ""},
		"staging":         {func(c *Config) { c.Staging = "staging" }, "staging", "https://"},
		"resolver":        {func(c *Config) { c.Resolvers = []string{"192.0.2.53"} }, "resolvers[0]", "192.0.2.53:53"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			c.change(&cfg)
			l := cfg.Validate()
			switch {
			case c.key == "" && len(l) > 0:
				t.Error(l.Err())
			case c.key != "" && (len(l) != 1 || l[0].Key != c.key || !strings.Contains(l[0].String(), c.says)):
				t.Errorf("said: %v", l.Err())
			}
		})
	}
}

func TestStagingBelongsToDirectory(t *testing.T) {
	for _, c := range []struct{ directory, staging, want string }{
		{letsEncrypt, "", letsEncryptStaging},
		{letsEncrypt, "none", ""},
		{letsEncrypt, "https://other.test/dir", "https://other.test/dir"},
		{"https://ca.test/dir", "", ""},
	} {
		if got := (Config{Directory: c.directory, Staging: c.staging}).staging(); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg Config
		key string
	}{
		"nothing":   {Config{}, ""},
		"missing":   {Config{CAFile: file + "s"}, "ca_file"},
		"no PEM":    {Config{CAFile: file}, "ca_file"},
		"no folder": {Config{Storage: file}, "storage"},
		"to be":     {Config{Storage: file + "s"}, ""},
	} {
		l := c.cfg.Check()
		if (len(l) > 0) != (c.key != "") || len(l) > 0 && l[0].Key != c.key {
			t.Errorf("%s: %v", name, l.Err())
		}
	}
}
