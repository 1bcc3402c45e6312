package replay

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"unsafe"

	"seawall/internal/traffic"
)

// Clients are told apart, found again however the table grows, and no more than there is
// room for.
func TestClients(t *testing.T) {
	table, r := newClients(), rand.New(rand.NewPCG(1, 2))
	known := map[uint64]bool{}
	for len(known) < clientSlots {
		var keys [Together]uint64
		var of [Together]*client
		for i := range keys {
			keys[i] = r.Uint64N(4 * clientSlots) // 0 is a client as well
		}
		table.find(keys[:], of[:])
		for i, c := range of {
			if c == nil {
				if len(known) < clientSlots {
					t.Fatalf("no room for %d, of %d", keys[i], len(known))
				}
				continue
			}
			if c.key != keys[i] || known[keys[i]] != (c.since != 0) {
				t.Fatalf("%d is %+v; known: %v", keys[i], c, known[keys[i]])
			}
			known[keys[i]] = true
			c.since = 1
		}
	}
	if table.n != clientSlots || len(table.places) > 2*clientSlots {
		t.Errorf("%d clients in %d places", table.n, len(table.places))
	}
	if size := unsafe.Sizeof(client{}); size != 32 {
		t.Errorf("a client takes %d bytes", size)
	}
	var of [1]*client
	if table.find([]uint64{1 << 60}, of[:]); of[0] != nil {
		t.Error("there is room for one more")
	}
}

// Where an address is registered holds for it, and for no other of its prefix.
func TestPlaces(t *testing.T) {
	here := traffic.Visit{Client: netip.MustParseAddr("2001:db8::1"), Country: traffic.Country{'D', 'E'}, Network: 7}
	var c client
	c.learn(&here)
	for text, want := range map[string]bool{"2001:db8::1": true, "2001:db8::2": false, "2001:db8::1%eth0": false} {
		v := traffic.Visit{Client: netip.MustParseAddr(text)}
		if c.place(&v); v.Located != want || v.Located && (v.Country != here.Country || v.Network != here.Network) {
			t.Errorf("%s: %+v", text, v)
		}
	}
}
