package replay

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// clientSlots is how many clients are told apart.
const clientSlots = 1 << 20

// client is what is kept of one: where its address is registered, when it came first, and
// whether it was refused. It is half a cache line (32 bytes), without pointers.
type client struct {
	key     uint64        // traffic.ClientKey
	low     uint64        // the rest of the address that is registered there: others of the prefix may not be
	since   clock.Instant // 0: it has not been counted yet
	network uint32
	country traffic.Country
	marks   mark
}

// mark is what is said of a client: yes or no.
type mark uint8

const (
	taken   mark = 1 << iota // else the place is free
	located                  // low, network and country are known
	refused
	regular // it had come for long before it was refused, if it was
)

func (c *client) is(m mark) bool { return c.marks&m != 0 }

// lowOf is the second half of an address; false where it has a zone, too.
func lowOf(a netip.Addr) (uint64, bool) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[8:]), a.Zone() == ""
}

// place fills in where a visit comes from, if that is known.
func (c *client) place(v *traffic.Visit) {
	if low, plain := lowOf(v.Client); c.is(located) && plain && c.low == low {
		v.Country, v.Network, v.Located = c.country, c.network, true
	}
}

// learn notes where a visit comes from.
func (c *client) learn(v *traffic.Visit) {
	if low, plain := lowOf(v.Client); plain {
		c.low, c.country, c.network = low, v.Country, v.Network
		c.marks |= located
	}
}

// clients is an open-addressing table, so that a client costs one wait for memory. It grows
// up to twice clientSlots places, 64 MiB. The seed keeps who can choose addresses from choosing
// where they fall; nothing that is told depends on it.
type clients struct {
	places []client // a power of two
	n      int
	seed   [2]uint64
}

func newClients() clients {
	return clients{places: make([]client, 1<<12), seed: [2]uint64{rand.Uint64(), rand.Uint64() | 1}}
}

// home is where to look for a key first.
func (t *clients) home(key uint64) uint64 {
	hi, lo := bits.Mul64(key^t.seed[0], t.seed[1])
	return (hi ^ lo) & uint64(len(t.places)-1)
}

// find finds the clients of some keys, at most Together, and takes up those that are new; nil
// where there are too many. They are valid until it is called again. All homes are looked
// at first, so that the processor waits for them side by side; how many of them are taken
// means nothing.
func (t *clients) find(keys []uint64, of []*client) (looked int) {
	if (t.n+len(keys))*4 > len(t.places)*3 {
		t.grow()
	}
	for _, key := range keys {
		looked += int(t.places[t.home(key)].marks & taken)
	}
	for i, key := range keys {
		c := t.at(key)
		if !c.is(taken) {
			if t.n >= clientSlots {
				of[i] = nil
				continue
			}
			t.n++
			*c = client{key: key, marks: taken}
		}
		of[i] = c
	}
	return looked
}

// at is the place of a key, or the one that it is to have.
func (t *clients) at(key uint64) *client {
	for i := t.home(key); ; i = (i + 1) & uint64(len(t.places)-1) {
		if c := &t.places[i]; !c.is(taken) || c.key == key {
			return c
		}
	}
}

func (t *clients) grow() {
	old := t.places
	t.places = make([]client, 2*len(old))
	for i := range old {
		if c := &old[i]; c.is(taken) {
			*t.at(c.key) = *c
		}
	}
}
