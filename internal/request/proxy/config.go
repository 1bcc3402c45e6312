package proxy

import (
	"crypto/x509"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"seawall/internal/kit/problem"
)

// Config says where the origin is and how much of it may be used at a time.
type Config struct {
	// Origins are the servers behind Seawall, all of which serve the same site.
	Origins []Origin `yaml:"origins"`
	// Host is sent as the Host field: "" the visitor's own, "origin" the
	// origin's address, anything else itself.
	Host string `yaml:"host"`
	// CAFile holds PEM certificates to trust for https origins, in place of the
	// system's.
	CAFile string `yaml:"ca_file"`

	ConnectTimeout  time.Duration `yaml:"connect_timeout"`  // TCP and TLS handshakes together
	AnswerTimeout   time.Duration `yaml:"answer_timeout"`   // from request sent to answer's head read
	ContinueTimeout time.Duration `yaml:"continue_timeout"` // for the origin's 100 Continue; the body follows without it then
	UpgradeIdle     time.Duration `yaml:"upgrade_idle"`     // an upgraded connection without a byte either way is closed
	KeepIdle        time.Duration `yaml:"keep_idle"`        // how long an unused connection to the origin is kept

	// MaxInFlight is the most requests at the origin at a time; 0 lets Seawall
	// find out what the origin bears.
	MaxInFlight int `yaml:"max_in_flight"`
	// MaxStreams is the most long-lived answers (WebSocket, event streams,
	// long downloads); they do not count as in flight.
	MaxStreams int `yaml:"max_streams"`
	// MaxWaiting is the most requests in line for the origin.
	MaxWaiting int `yaml:"max_waiting"`

	Health Health `yaml:"health"`
}

// Origin is one server of the site.
type Origin struct {
	// URL is http://host:port, https://host:port or unix:/path/to/socket.
	URL string `yaml:"url"`
	// HTTP2 says that it is spoken to in HTTP/2, which gRPC needs: over TLS as
	// agreed in the handshake, in clear text without asking first.
	HTTP2 bool `yaml:"http2"`
	// Weight is its share of the requests against the others'; 0 means 1.
	Weight int `yaml:"weight"`
}

// Health says how origins are checked.
type Health struct {
	// Path is asked with GET; any answer below 500 is good. With "" it is
	// enough that a connection can be made.
	Path    string        `yaml:"path"`
	Every   time.Duration `yaml:"every"`
	Timeout time.Duration `yaml:"timeout"`
	Rise    int           `yaml:"rise"` // good checks in a row until it is used again
	Fall    int           `yaml:"fall"` // failed checks or connections in a row until it is not
}

// DefaultConfig fits most sites; it names no origin.
func DefaultConfig() Config {
	return Config{
		ConnectTimeout:  5 * time.Second,
		AnswerTimeout:   60 * time.Second,
		ContinueTimeout: 2 * time.Second,
		UpgradeIdle:     10 * time.Minute,
		// Below the 5 s after which Node, Apache and many others close an
		// unused connection, so that we do not send into a closing one.
		KeepIdle:   4 * time.Second,
		MaxStreams: 4096,
		MaxWaiting: 1024,
		Health:     Health{Every: 3 * time.Second, Timeout: 2 * time.Second, Rise: 2, Fall: 3},
	}
}

// Validate finds everything that is wrong, without asking any origin.
func (c Config) Validate() problem.List {
	var l problem.List
	if len(c.Origins) == 0 {
		l.Add("origins", "write where the site answers, for example http://127.0.0.1:3000", "no origin is given")
	}
	for i, o := range c.Origins {
		key := "origins[" + strconv.Itoa(i) + "]"
		if _, what, hint := parseOrigin(o.URL); what != "" {
			l.Add(key+".url", hint, "%s", what)
		}
		if o.Weight < 0 || o.Weight > 1000 {
			l.Add(key+".weight", "write a number from 1 to 1000, or leave it out", "weight %d is out of range", o.Weight)
		}
	}
	if strings.ContainsAny(c.Host, " \t\r\n/?#@") {
		l.Add("host", "write a name such as www.example.org, or origin, or leave it out", "%q is no host name", c.Host)
	}
	if c.CAFile != "" {
		if pem, err := os.ReadFile(c.CAFile); err != nil {
			l.Add("ca_file", "name a readable file of PEM certificates", "cannot read it: %v", err)
		} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			l.Add("ca_file", "name a file of PEM certificates", "%s holds no certificate", c.CAFile)
		}
	}
	for _, t := range []struct {
		key      string
		d        time.Duration
		min, max time.Duration
	}{
		{"connect_timeout", c.ConnectTimeout, 10 * time.Millisecond, time.Minute},
		{"answer_timeout", c.AnswerTimeout, 10 * time.Millisecond, time.Hour},
		{"continue_timeout", c.ContinueTimeout, 10 * time.Millisecond, time.Minute},
		{"upgrade_idle", c.UpgradeIdle, 10 * time.Millisecond, 24 * time.Hour},
		{"keep_idle", c.KeepIdle, 0, 10 * time.Minute},
		{"health.every", c.Health.Every, 10 * time.Millisecond, time.Hour},
		{"health.timeout", c.Health.Timeout, 10 * time.Millisecond, time.Minute},
	} {
		if t.d < t.min || t.d > t.max {
			l.Add(t.key, "write a time from "+t.min.String()+" to "+t.max.String(), "%v is out of range", t.d)
		}
	}
	for _, n := range []struct {
		key         string
		n, min, max int
	}{
		{"max_in_flight", c.MaxInFlight, 0, 65536},
		{"max_streams", c.MaxStreams, 1, 1 << 20},
		{"max_waiting", c.MaxWaiting, 1, 65536},
		{"health.rise", c.Health.Rise, 1, 100},
		{"health.fall", c.Health.Fall, 1, 100},
	} {
		if n.n < n.min || n.n > n.max {
			l.Add(n.key, "write a number from "+strconv.Itoa(n.min)+" to "+strconv.Itoa(n.max), "%d is out of range", n.n)
		}
	}
	if p := c.Health.Path; p != "" && (p[0] != '/' || strings.ContainsAny(p, " \t\r\n#")) {
		l.Add("health.path", "write a path such as /health, or leave it out", "%q is no path", p)
	}
	return l
}

// place is where an origin answers.
type place struct {
	network, address string // for net.Dial
	tls              bool
	name             string // for TLS, without port
	host             string // for the Host field
}

// parseOrigin reads an origin's URL, or says what is wrong and what would be
// right.
func parseOrigin(s string) (p place, what, hint string) {
	const example = "write http://127.0.0.1:3000, https://site.example or unix:/run/site.sock"
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if !strings.HasPrefix(path, "/") {
			return p, strconv.Quote(s) + " names no absolute path", example
		}
		return place{network: "unix", address: path, host: "localhost"}, "", ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return p, strconv.Quote(s) + " is no web address", example
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return p, strconv.Quote(s) + " says more than where the origin is", "leave out everything after the port, and any name and password"
	}
	port := u.Port()
	switch {
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return p, strconv.Quote(s) + " has no valid port", "write a port from 1 to 65535"
	}
	name := u.Hostname()
	address := name + ":" + port
	if a, err := netip.ParseAddr(name); err == nil && a.Is6() {
		address = "[" + name + "]:" + port
	}
	return place{network: "tcp", address: address, tls: u.Scheme == "https", name: name, host: u.Host}, "", ""
}
