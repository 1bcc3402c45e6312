package main

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"seawall/internal/request/identify/geo"
	"seawall/internal/traffic"
)

// source is what the two packages say.
type source struct {
	about    geo.About
	country  *maxminddb.Reader
	networks []row // ascending, IPv4 first
	names    map[uint32]string
}

// row is one line of the network package: both ends included.
type row struct {
	first, last netip.Addr
	network     uint32
}

func read(countryDir, networkDir string) (*source, error) {
	s := &source{names: map[uint32]string{}}
	for _, p := range []struct{ dir, name, licence string }{
		{countryDir, countryPackage, "CC0-1.0, data of the regional registries (nro.net, CC BY 4.0)"},
		{networkDir, networkPackage, "CC BY 4.0: routeviews.org, db-ip.com, nro.net; cut into a table, IPv6 to the /64"},
	} {
		version, day, err := describe(p.dir)
		if err != nil {
			return nil, err
		}
		if s.about.Day.IsZero() || day.Before(s.about.Day) {
			s.about.Day = day
		}
		s.about.Sources = append(s.about.Sources, p.name+" "+version+" ("+p.licence+")")
	}
	var err error
	if s.country, err = maxminddb.Open(filepath.Join(countryDir, countryFile)); err != nil {
		return nil, err
	}
	for _, name := range []string{"asn-ipv4.csv", "asn-ipv6.csv"} {
		if err := s.readRows(filepath.Join(networkDir, name)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if !slices.IsSortedFunc(s.networks, func(a, b row) int { return a.first.Compare(b.first) }) {
		return nil, fmt.Errorf("the networks are out of order")
	}
	return s, nil
}

// describe reads a package's version, whose last part begins with a date.
func describe(dir string) (version string, day time.Time, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return "", day, err
	}
	var p struct{ Version string }
	if err := json.Unmarshal(raw, &p); err != nil {
		return "", day, fmt.Errorf("%s: %w", dir, err)
	}
	last := p.Version[bytes.LastIndexByte([]byte(p.Version), '.')+1:]
	if len(last) < 8 {
		return "", day, fmt.Errorf("%s: no date in version %q", dir, p.Version)
	}
	day, err = time.Parse("20060102", last[:8])
	return p.Version, day, err
}

func (s *source) readRows(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := csv.NewReader(f)
	lines.FieldsPerRecord, lines.ReuseRecord = 4, true
	for {
		rec, err := lines.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		first, err1 := netip.ParseAddr(rec[0])
		last, err2 := netip.ParseAddr(rec[1])
		network, err3 := strconv.ParseUint(rec[2], 10, 32)
		if err1 != nil || err2 != nil || err3 != nil {
			return fmt.Errorf("odd line %q", rec)
		}
		s.networks = append(s.networks, row{first, last, uint32(network)})
		if _, ok := s.names[uint32(network)]; !ok {
			s.names[uint32(network)] = strings.TrimSpace(strings.Clone(rec[3]))
		}
	}
}

// The answers of the sources themselves, read in a plain and slow way.

func (s *source) countryOf(a netip.Addr) traffic.Country {
	var code string
	if err := s.country.Lookup(a).DecodePath(&code, "country_code"); err != nil {
		return traffic.Country{}
	}
	c, _ := traffic.ParseCountry(code)
	return c
}

func (s *source) networkOf(a netip.Addr) uint32 {
	i := sort.Search(len(s.networks), func(i int) bool { return a.Less(s.networks[i].first) }) - 1
	if i < 0 || s.networks[i].last.Less(a) || s.networks[i].last.Is4() != a.Is4() {
		return 0
	}
	return s.networks[i].network
}

// build cuts the address space wherever either source changes.
func (s *source) build() ([]byte, error) {
	var cuts []netip.Addr
	for res := range s.country.Networks() {
		if err := res.Err(); err != nil {
			return nil, err
		}
		first, last := geo.Ends(res.Prefix())
		cuts = append(cuts, first, after(last))
	}
	for _, r := range s.networks {
		cuts = append(cuts, r.first, after(r.last))
	}
	cuts = slices.DeleteFunc(cuts, func(a netip.Addr) bool { return !a.IsValid() })
	slices.SortFunc(cuts, netip.Addr.Compare)
	cuts = slices.Compact(cuts)

	b := geo.NewBuilder(s.about)
	for i, first := range cuts {
		last := end(first.Is4())
		if i+1 < len(cuts) && cuts[i+1].Is4() == first.Is4() {
			last = cuts[i+1].Prev()
		}
		err := b.Add(geo.Range{First: first, Last: last, Country: s.countryOf(first), Network: s.networkOf(first)})
		if err != nil {
			return nil, err
		}
	}
	var names []string
	for _, network := range slices.Sorted(maps.Keys(s.names)) {
		b.Name(network, s.names[network])
		names = append(names, s.names[network])
	}
	b.Tokens(tokens(names, 127))
	return b.Bytes(), nil
}

// after returns the next address; invalid past a family's last.
func after(a netip.Addr) netip.Addr { return a.Next() }

func end(v4 bool) netip.Addr {
	if v4 {
		return netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	var b [16]byte
	for i := range b {
		b[i] = 0xff
	}
	return netip.AddrFrom16(b)
}

// check compares the table with the sources at every address at which either
// changes, the one before it, and a million others.
func (s *source) check(t *geo.Table) (int, error) {
	n := 0
	one := func(a netip.Addr) error {
		if !a.IsValid() {
			return nil
		}
		if !a.Is4() {
			// The table promises the /64's first address.
			b := a.As16()
			clear(b[8:])
			if a = netip.AddrFrom16(b); a.Compare(netip.AddrFrom16([16]byte{0: 1})) < 0 {
				return nil // ::/8: IPv4 lies there in the source
			}
		}
		n++
		c, network := t.Lookup(a)
		if wc, wn := s.countryOf(a), s.networkOf(a); c != wc || network != wn {
			return fmt.Errorf("%v: the table says %v and %d, the sources %v and %d", a, c, network, wc, wn)
		}
		return nil
	}
	for res := range s.country.Networks() {
		first, last := geo.Ends(res.Prefix())
		for _, a := range []netip.Addr{first, first.Prev(), last, last.Next()} {
			if err := one(a); err != nil {
				return n, err
			}
		}
	}
	for _, r := range s.networks {
		for _, a := range []netip.Addr{r.first, r.first.Prev(), r.last, r.last.Next()} {
			if err := one(a); err != nil {
				return n, err
			}
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500_000 {
		if err := one(random4(rng)); err != nil {
			return n, err
		}
		if err := one(s.random6(rng)); err != nil {
			return n, err
		}
	}
	for network, name := range s.names {
		if got := t.NetworkName(network); got != name && len(name) < 255 {
			return n, fmt.Errorf("network %d: the table says %q, the source %q", network, got, name)
		}
	}
	return n, nil
}

func random4(rng *rand.Rand) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], rng.Uint32())
	return netip.AddrFrom4(b)
}

// random6 returns an address within, or a little past, a range that is in use.
func (s *source) random6(rng *rand.Rand) netip.Addr {
	for {
		r := s.networks[rng.IntN(len(s.networks))]
		if r.first.Is4() {
			continue
		}
		b := r.first.As16()
		binary.BigEndian.PutUint32(b[3:7], binary.BigEndian.Uint32(b[3:7])+rng.Uint32()>>rng.IntN(32))
		return netip.AddrFrom16(b)
	}
}

// sample writes what the sources say about 2,000 addresses.
func (s *source) sample() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# address, country, network: what %s and %s say; written by tools/geodata\n", s.about.Sources[0], s.about.Sources[1])
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 2000 {
		a := random4(rng)
		if i%2 == 1 {
			b := s.random6(rng).As16()
			clear(b[8:])
			a = netip.AddrFrom16(b)
		}
		fmt.Fprintf(&out, "%s\t%s\t%d\n", a, s.countryOf(a), s.networkOf(a))
	}
	return out.Bytes()
}
