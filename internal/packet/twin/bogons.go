package twin

import "net/netip"

// bogons are sources that are not reachable from the internet: what IANA's registries of
// special-purpose addresses say (RFC 6890, RFC 8190), as filter/bpf/bogons.h has it.
type bogons struct{ none, but []network }

func (b *bogons) has(source [2]uint64) bool { return within(b.none, source) && !within(b.but, source) }

func newBogons() bogons {
	return bogons{none: parsed(
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
		"198.18.0.0/15", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "192.88.99.2/32", "192.0.0.0/24",
		"fc00::/7", "2001:db8::/32", "3fff::/20", "5f00::/16", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64",
		"2001::/23",
	), but: parsed( // entries within them that are, or of which nothing is said
		"192.0.0.9/32", "192.0.0.10/32",
		"2001::/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32", "2001:4:112::/48",
		"2001:10::/28", "2001:20::/28", "2001:30::/28",
	)}
}

func parsed(list ...string) []network {
	prefixes := make([]netip.Prefix, len(list))
	for i, text := range list {
		prefixes[i] = netip.MustParsePrefix(text)
	}
	return networks(prefixes)
}
