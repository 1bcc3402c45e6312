package app

import (
	"net/netip"

	"seawall/internal/request/identify/geo"
	"seawall/internal/traffic"
)

// Addresses returns a function that names addresses registered in a country,
// for the demo: they are told by PROXY protocol and never sent to.
func Addresses() (func(country string, n int) []netip.Addr, error) {
	table, err := geo.Embedded()
	if err != nil {
		return nil, err
	}
	return func(country string, n int) []netip.Addr {
		c, ok := traffic.ParseCountry(country)
		if !ok {
			return nil
		}
		return table.Addresses(c, n, 1)
	}, nil
}

// where is served, as bound.
func (p *program) where() []string {
	var out []string
	for _, a := range p.listen.Addrs() {
		out = append(out, a.String())
	}
	return out
}
