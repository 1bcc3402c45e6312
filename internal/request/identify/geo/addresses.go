package geo

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"seawall/internal/traffic"
)

// Addresses returns n different IPv4 addresses that are registered in a
// country, spread over as many of its prefixes as there are, the same ones for
// the same seed. It is there to name the sources of rehearsals; nothing is ever
// sent to them. It returns fewer only where a country has fewer, and walks the
// whole table: milliseconds.
func (t *Table) Addresses(country traffic.Country, n int, seed uint64) []netip.Addr {
	type run struct{ first, last uint64 }
	var runs []run
	t.v4.each(func(first, last uint64, place uint32) bool {
		// Whole /24s only, so that an address looks like a customer's.
		if c, _ := t.place(place); c == country && last-first >= 255 {
			runs = append(runs, run{first, last})
		}
		return true
	})
	if len(runs) == 0 || n <= 0 {
		return nil
	}
	rng := rand.New(rand.NewPCG(seed, uint64(country[0])<<8|uint64(country[1])))
	rng.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
	seen := make(map[uint64]bool, n)
	out := make([]netip.Addr, 0, n)
	// Each round takes one address of every run; small countries need several.
	for misses := 0; len(out) < n && misses < 4*n+1000; {
		for _, r := range runs {
			key := r.first + rng.Uint64N(r.last-r.first+1)
			if host := byte(key); host == 0 || host == 255 || seen[key] {
				misses++
				continue
			}
			seen[key] = true
			var a [4]byte
			binary.BigEndian.PutUint32(a[:], uint32(key))
			if out = append(out, netip.AddrFrom4(a)); len(out) == n {
				break
			}
		}
	}
	return out
}
