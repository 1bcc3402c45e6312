package identify

import (
	"os"
	"strconv"
	"time"

	"seawall/internal/kit/problem"
)

// Which header tells the client's address behind a trusted proxy.
const (
	// HeaderAuto takes X-Forwarded-For where there is one, else Forwarded.
	HeaderAuto = "auto"
	// HeaderXFF takes X-Forwarded-For only.
	HeaderXFF = "x-forwarded-for"
	// HeaderForwarded takes Forwarded (RFC 7239) only.
	HeaderForwarded = "forwarded"
)

// How visitors reach us.
const (
	// SchemeAuto believes X-Forwarded-Proto of trusted proxies.
	SchemeAuto = "auto"
	// SchemeHTTPS: something in front ends TLS and does not say so in a header,
	// as relays that only speak the PROXY protocol do.
	SchemeHTTPS = "https"
)

// Config is the room's settings.
type Config struct {
	// TrustedProxies may say whom they speak for: prefixes, addresses, and the
	// names loopback, private, cloudflare, fastly (see Prefixes).
	TrustedProxies []string `yaml:"trusted_proxies"`
	// ClientHeader is the header that the trusted proxies write. A proxy passes
	// on the other one as the client sent it, so where they write Forwarded
	// only, say so here.
	ClientHeader string `yaml:"client_header"`
	// Scheme is how visitors reach us: auto or https.
	Scheme string `yaml:"scheme"`
	// CountryFile and NetworkFile are MMDB files that take the place of the
	// table that is part of the program; "" for none.
	CountryFile string `yaml:"country_file"`
	NetworkFile string `yaml:"network_file"`
	// Cookie is the name of the clearance cookie.
	Cookie string `yaml:"cookie"`
	// ClearanceFor is how long a clearance is good without being renewed. It is
	// renewed by itself in the second half of that time.
	ClearanceFor time.Duration `yaml:"clearance_for"`
	// NewPerMinute is how many new clearances a wide prefix (/24, /48) gets: a
	// conference behind one address, and no farm.
	NewPerMinute int `yaml:"new_per_minute"`
}

// DefaultConfig trusts no proxy.
func DefaultConfig() Config {
	return Config{
		ClientHeader: HeaderAuto,
		Scheme:       SchemeAuto,
		Cookie:       "seawall",
		ClearanceFor: 24 * time.Hour,
		NewPerMinute: 120,
	}
}

// Validate returns all that is wrong with the settings.
func (c Config) Validate() problem.List {
	var l problem.List
	for i, name := range c.TrustedProxies {
		if _, err := prefixes(name); err != nil {
			l.Add("trusted_proxies["+strconv.Itoa(i)+"]",
				"write 192.0.2.0/24, 2001:db8::1, loopback, private, cloudflare or fastly", "%v", err)
		}
	}
	switch c.ClientHeader {
	case HeaderAuto, HeaderXFF, HeaderForwarded:
	default:
		l.Add("client_header", "write auto, x-forwarded-for or forwarded", "%q is no choice", c.ClientHeader)
	}
	if c.Scheme != SchemeAuto && c.Scheme != SchemeHTTPS {
		l.Add("scheme", "write auto or https", "%q is no choice", c.Scheme)
	}
	for _, f := range []struct{ key, path string }{{"country_file", c.CountryFile}, {"network_file", c.NetworkFile}} {
		if f.path == "" {
			continue
		}
		if s, err := os.Stat(f.path); err != nil {
			l.Add(f.key, "name a file in MMDB format, or leave it out", "%v", err)
		} else if s.IsDir() {
			l.Add(f.key, "name a file in MMDB format, or leave it out", "%s is a folder", f.path)
		}
	}
	if !validCookieName(c.Cookie) {
		l.Add("cookie", "letters, digits, - and _, at most 40", "%q is no name for our cookie", c.Cookie)
	}
	if c.ClearanceFor < time.Minute || c.ClearanceFor > 30*24*time.Hour {
		l.Add("clearance_for", "1m to 720h; 24h is usual", "%v is out of range", c.ClearanceFor)
	}
	if c.NewPerMinute < 1 || c.NewPerMinute > maxPerMinute {
		l.Add("new_per_minute", "1 to "+strconv.Itoa(maxPerMinute)+"; 120 is usual", "%d is out of range", c.NewPerMinute)
	}
	return l
}

// validCookieName is stricter than RFC 6265. Names with the prefix __ are out:
// browsers take __Host- and __Secure- only over HTTPS, and plain HTTP must work.
func validCookieName(s string) bool {
	if len(s) == 0 || len(s) > 40 || len(s) > 1 && s[:2] == "__" {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
