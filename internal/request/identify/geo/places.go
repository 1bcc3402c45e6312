package geo

import (
	_ "embed"
	"net/netip"

	"seawall/internal/traffic"
)

//go:embed geodata.bin
var embedded string

// Embedded returns the table that is part of the program.
func Embedded() (*Table, error) { return Load(embedded) }

// Places answers from one table, or from one for countries and one for
// networks. It never changes; safe for concurrent use.
type Places struct{ country, network *Table }

// Open makes Places from the embedded table; where a path is not empty, that
// MMDB file takes its place. The embedded table is not read at all where both
// are given.
func Open(countryFile, networkFile string) (*Places, error) {
	p := &Places{}
	for _, half := range []struct {
		to   **Table
		path string
	}{{&p.country, countryFile}, {&p.network, networkFile}} {
		if half.path == "" {
			continue
		}
		if half.path == countryFile && p.country != nil {
			*half.to = p.country
			continue
		}
		t, err := ReadMMDB(half.path)
		if err != nil {
			return nil, err
		}
		*half.to = t
	}
	if p.country != nil && p.network != nil {
		return p, nil
	}
	t, err := Embedded()
	if err != nil {
		return nil, err
	}
	if p.country == nil {
		p.country = t
	}
	if p.network == nil {
		p.network = t
	}
	return p, nil
}

// From makes Places that answer from one table.
func From(t *Table) *Places { return &Places{t, t} }

// Lookup returns where an address is registered and which network announces it.
func (p *Places) Lookup(a netip.Addr) (traffic.Country, uint32) {
	c, n := p.country.Lookup(a)
	if p.network != p.country {
		_, n = p.network.Lookup(a)
	}
	return c, n
}

// NetworkName returns the name of a network, "" where unknown.
func (p *Places) NetworkName(network uint32) string { return p.network.NetworkName(network) }

// Addresses is Table.Addresses of the table of countries.
func (p *Places) Addresses(country traffic.Country, n int, seed uint64) []netip.Addr {
	return p.country.Addresses(country, n, seed)
}

// About says where the countries and the networks come from.
func (p *Places) About() (country, network About) { return p.country.about, p.network.about }
