package admit

import (
	"net/netip"

	"seawall/internal/kit/problem"
)

// Config is what a person can set about the door.
type Config struct {
	// Clients is how many clients are remembered at once. Memory for them is
	// taken at the start: BytesPerClient bytes each.
	Clients int `yaml:"clients"`
	// Rate and Burst are the budget of one client (an IPv4 address, an IPv6
	// /64): requests a second, and requests at once.
	Rate  float64 `yaml:"rate"`
	Burst int     `yaml:"burst"`
	// How many times a client's budget wider prefixes have. Homes and
	// organisations share an IPv4 /24; an IPv6 /48 is often one customer.
	Times56 int `yaml:"times_56"`
	Times48 int `yaml:"times_48"`
	Times24 int `yaml:"times_24"`
	// Allow, Deny and Monitors are addresses or prefixes. Allow wins over
	// everything. Monitors are the operator's own health checks.
	Allow    []string `yaml:"allow"`
	Deny     []string `yaml:"deny"`
	Monitors []string `yaml:"monitors"`
	// Bans is how many prefixes each of the lists (allow, bans by people, bans
	// by the machine) can hold.
	Bans int `yaml:"bans"`
	// Recent is how many refused prefixes are remembered, for an hour at most,
	// so that `seawall why` can name them.
	Recent int `yaml:"recent"`
	// Watch has budgets, and what the machine orders, only be counted: nobody is
	// stopped but by people's orders and rules. It is the mode of the whole, set by app.
	Watch bool `yaml:"-"`
	// Seed is for what is replayed, which must give the same each time: then it is not
	// 0. It is nobody's setting.
	Seed uint64 `yaml:"-"`
}

// DefaultConfig suits a small server: about 30 MiB for a quarter of a million
// clients.
func DefaultConfig() Config {
	return Config{
		Clients: 1 << 18,
		Rate:    20,
		Burst:   150,
		Times56: 2,
		Times48: 4,
		Times24: 16,
		Bans:    100_000,
		Recent:  1 << 15,
	}
}

// Validate lists what is wrong.
func (c Config) Validate() problem.List {
	var l problem.List
	within := func(key string, n, least, most int) {
		if n < least || n > most {
			l.Add(key, "", "%d is not between %d and %d", n, least, most)
		}
	}
	within("clients", c.Clients, 1024, 1<<26)
	if !(c.Rate >= 0.1 && c.Rate <= 1e6) {
		l.Add("rate", "20 suits most sites", "%v requests a second is not between 0.1 and 1000000", c.Rate)
	}
	within("burst", c.Burst, 1, 1e6)
	within("times_56", c.Times56, 1, 1024)
	within("times_48", c.Times48, 1, 1024)
	within("times_24", c.Times24, 1, 1024)
	within("bans", c.Bans, 1, 1e7)
	within("recent", c.Recent, 1, 1<<22)
	prefixes("allow", c.Allow, &l)
	prefixes("deny", c.Deny, &l)
	prefixes("monitors", c.Monitors, &l)
	if n := len(c.Allow) + len(c.Monitors); n > c.Bans {
		l.Add("bans", "raise it", "%d is too few for the %d entries of allow and monitors", c.Bans, n)
	}
	if n := len(c.Deny); n > c.Bans {
		l.Add("bans", "raise it", "%d is too few for the %d entries of deny", c.Bans, n)
	}
	return l
}

// prefixes reads addresses and prefixes, and reports those that are neither.
func prefixes(key string, texts []string, l *problem.List) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range texts {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				l.Add(key, "write 198.51.100.7 or 2001:db8::/48", "%q is no address and no prefix", s)
				continue
			}
			a = a.Unmap().WithZone("")
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if m := p.Masked(); m != p {
			l.Add(key, "write "+m.String(), "%q has bits beyond its length", s)
			continue
		}
		out = append(out, p)
	}
	return out
}
