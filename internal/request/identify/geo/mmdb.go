package geo

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/oschwald/maxminddb-golang/v2"

	"seawall/internal/traffic"
)

// layout is the fields that the common MMDB files have: ip-location-db
// (country_code, autonomous_system_number) and MaxMind's GeoLite2 Country, City
// and ASN (country.iso_code, registered_country.iso_code,
// autonomous_system_number).
type layout struct {
	CountryCode string `maxminddb:"country_code"`
	Registered  struct {
		ISO string `maxminddb:"iso_code"`
	} `maxminddb:"registered_country"`
	Country struct {
		ISO string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Network uint32 `maxminddb:"autonomous_system_number"`
	Name    string `maxminddb:"autonomous_system_organization"`
}

// country prefers where the address is registered over where somebody thinks
// that it is used: that is what our words promise.
func (l *layout) country() traffic.Country {
	for _, s := range []string{l.CountryCode, l.Registered.ISO, l.Country.ISO} {
		if c, ok := traffic.ParseCountry(s); ok {
			return c
		}
	}
	return traffic.Country{}
}

// ReadMMDB turns an MMDB file into a Table in memory (about as large as the
// file's number of ranges times five bytes) and closes the file again, so that
// replacing it on disk cannot hurt a running Seawall. A file in which no address
// has a country or a network is an error.
func ReadMMDB(path string) (*Table, error) {
	db, err := maxminddb.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer db.Close()
	b := NewBuilder(About{Day: db.Metadata.BuildTime().UTC(), Sources: []string{filepath.Base(path)}})
	useful, err := addMMDB(b, db)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if useful == 0 {
		return nil, fmt.Errorf("read %s: it has neither countries nor network numbers "+
			"(looked for country_code, registered_country.iso_code, country.iso_code, autonomous_system_number)", path)
	}
	return Load(string(b.Bytes()))
}

// addMMDB adds every range of db and returns how many of them say something.
func addMMDB(b *Builder, db *maxminddb.Reader) (useful int, err error) {
	// Records are shared by many ranges; decoding each once is most of the speed.
	records := map[uintptr]Range{}
	for res := range db.Networks() {
		if err := res.Err(); err != nil {
			return 0, err
		}
		if res.Prefix().Addr().Is4In6() {
			continue // a second copy of IPv4
		}
		at := res.Offset()
		r, ok := records[at]
		if !ok {
			var l layout
			if err := res.Decode(&l); err != nil {
				return 0, err
			}
			r = Range{Country: l.country(), Network: l.Network}
			records[at] = r
			b.Name(l.Network, l.Name)
		}
		if r.Country == (traffic.Country{}) && r.Network == 0 {
			continue
		}
		r.First, r.Last = Ends(res.Prefix())
		if err := b.Add(r); err != nil {
			return 0, err
		}
		useful++
	}
	return useful, nil
}

// Ends returns a prefix's first and last address. IPv4 prefixes that are
// written as ::a.b.c.d, as in files that hold both families, come out as IPv4.
func Ends(p netip.Prefix) (first, last netip.Addr) {
	a, bits := p.Masked().Addr(), p.Bits()
	if high, low := halves(a); !a.Is4() && high == 0 && low>>32 == 0 && bits >= 96 {
		b := a.As16()
		a, bits = netip.AddrFrom4([4]byte(b[12:])), bits-96
	}
	if a.Is4() {
		b := a.As4()
		for i := bits; i < 32; i++ {
			b[i/8] |= 0x80 >> (i % 8)
		}
		return a, netip.AddrFrom4(b)
	}
	b := a.As16()
	for i := bits; i < 128; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return a, netip.AddrFrom16(b)
}
