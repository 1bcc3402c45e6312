package listen

import (
	"net"
	"net/netip"
	"strconv"
	"time"

	"seawall/internal/kit/problem"
	"seawall/internal/request/listen/acme"
)

// ProxyMode says what is done with a PROXY header (HAProxy's PROXY protocol,
// versions 1 and 2), which tells who is really at the other end of a relay.
type ProxyMode string

// The modes. A header from a peer that is not trusted is never believed: it is
// a malformed request.
const (
	// ProxyOff: no connection begins with one.
	ProxyOff ProxyMode = "off"
	// ProxyOptional: connections from trusted proxies may begin with one.
	ProxyOptional ProxyMode = "optional"
	// ProxyRequired: every connection begins with one and comes from a trusted
	// proxy; all others are closed.
	ProxyRequired ProxyMode = "required"
)

// Config is the room's settings. Sizes are bytes.
type Config struct {
	// Addresses to listen on, host:port. An empty host is every address.
	Addresses []string `yaml:"addresses"`
	// TrustedProxies may say whom they speak for by a PROXY header, and are not
	// held to the limits per client and network.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	ProxyProtocol  ProxyMode      `yaml:"proxy_protocol"`
	TLS            TLS            `yaml:"tls"`

	// H2C says that HTTP/2 is spoken in clear text as well, with who begins with
	// it (prior knowledge): relays do that.
	H2C bool `yaml:"h2c"`

	// HeadTimeout is for a head to arrive, counted from the connection's start
	// or from the head's first byte; also for a PROXY header.
	HeadTimeout time.Duration `yaml:"head_timeout"`
	// IdleTimeout is for a connection between two requests.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// MinRate, bytes a second, is the least at which a client must send a body
	// or take an answer while we wait for it, after Grace and on average.
	MinRate int           `yaml:"min_rate"`
	Grace   time.Duration `yaml:"grace"`

	MaxHead   int   `yaml:"max_head"`
	MaxFields int   `yaml:"max_fields"`
	MaxBody   int64 `yaml:"max_body"` // 0: no limit

	MaxConns           int `yaml:"max_conns"`
	MaxConnsPerClient  int `yaml:"max_conns_per_client"`  // for a /32 or /64
	MaxConnsPerNetwork int `yaml:"max_conns_per_network"` // for a /24 or /48
}

// DefaultConfig suits a small server that faces the internet.
func DefaultConfig() Config {
	return Config{
		Addresses:     []string{"127.0.0.1:8080"},
		ProxyProtocol: ProxyOff,
		TLS:           TLS{MinVersion: version12, HTTP2: true, ACME: acme.DefaultConfig(), Handshakes: defaultHandshakes()},
		HeadTimeout:   10 * time.Second,
		IdleTimeout:   60 * time.Second,
		MinRate:       1 << 10,
		Grace:         10 * time.Second,
		MaxHead:       16 << 10,
		MaxFields:     100,
		// About 20 KiB each while idle: 160 MiB. A thousand people behind one
		// address, whose browsers keep one or two connections open, fit in.
		MaxConns:           8192,
		MaxConnsPerClient:  2048,
		MaxConnsPerNetwork: 4096,
	}
}

// Validate says all that is wrong.
func (c Config) Validate() problem.List {
	var l problem.List
	c.TLS.validate(&l)
	if len(c.Addresses)+len(c.TLS.Addresses) == 0 {
		l.Add("addresses", `write ["127.0.0.1:8080"]`, "there is no address to listen on")
	}
	for i, a := range c.Addresses {
		if what := addressFault(a); what != "" {
			l.Add("addresses["+strconv.Itoa(i)+"]", `write host:port, such as "127.0.0.1:8080" or ":80"`, "%q %s", a, what)
		}
	}
	for i, p := range c.TrustedProxies {
		if !p.IsValid() {
			l.Add("trusted_proxies["+strconv.Itoa(i)+"]", "write 192.0.2.0/24 or 2001:db8::/32", "not a prefix")
		}
	}
	switch c.ProxyProtocol {
	case ProxyOff:
	case ProxyOptional, ProxyRequired:
		if len(c.TrustedProxies) == 0 {
			l.Add("proxy_protocol", "name the proxies in trusted_proxies, or write off",
				"%q believes nobody while trusted_proxies is empty", c.ProxyProtocol)
		}
		if c.ProxyProtocol == ProxyRequired && c.TLS.HTTP3 {
			l.Add("tls.http3", "write http3: false, or proxy_protocol: optional", "there is no PROXY protocol for UDP, and proxy_protocol requires it")
		}
	default:
		l.Add("proxy_protocol", "write off, optional or required", "unknown mode %q", c.ProxyProtocol)
	}
	for _, d := range []struct {
		key string
		is  time.Duration
	}{{"head_timeout", c.HeadTimeout}, {"idle_timeout", c.IdleTimeout}, {"grace", c.Grace}} {
		if d.is < 10*time.Millisecond || d.is > time.Hour {
			l.Add(d.key, "write a time from 1s to 1h, such as 10s", "%v is out of range", d.is)
		}
	}
	between := func(key string, is, low, high int64) {
		if is < low || is > high {
			l.Add(key, "write a number from "+strconv.FormatInt(low, 10)+" to "+strconv.FormatInt(high, 10),
				"%d is out of range", is)
		}
	}
	between("min_rate", int64(c.MinRate), 1, 1<<30)
	between("max_head", int64(c.MaxHead), 512, 60<<10)
	between("max_fields", int64(c.MaxFields), 8, 1000)
	between("max_body", c.MaxBody, 0, 1<<50)
	between("max_conns", int64(c.MaxConns), 16, 1<<20)
	between("max_conns_per_client", int64(c.MaxConnsPerClient), 1, 1<<20)
	between("max_conns_per_network", int64(c.MaxConnsPerNetwork), 1, 1<<20)
	return l
}

func addressFault(a string) string {
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return "has no port"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "has a port that is no number up to 65535"
	} else if n == 0 && host == "" {
		return "asks for any port on every address"
	}
	if host == "" || host == "localhost" {
		return ""
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return "does not begin with an IP address"
	}
	return ""
}
