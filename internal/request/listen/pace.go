package listen

import (
	"hash/maphash"
	"net/netip"
	"runtime"
	"sync/atomic"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/gcra"
	"seawall/internal/kit/problem"
)

// Handshakes is how many of them there can be.
type Handshakes struct {
	// Rate and Burst are the budget of one client (an IPv4 address, an IPv6 /64):
	// handshakes a second, and at once.
	Rate  float64 `yaml:"rate"`
	Burst int     `yaml:"burst"`
	// TimesNetwork is how many clients' budgets a /24 or /48 has.
	TimesNetwork int `yaml:"times_network"`
	// AtOnce is how many strangers' handshakes compute at a time; 0: half as many
	// as there are processors.
	AtOnce int `yaml:"at_once"`
}

// defaultHandshakes bears a thousand people behind one address: a browser opens
// one to six connections, keeps them, and resumes most later ones.
func defaultHandshakes() Handshakes {
	return Handshakes{Rate: 50, Burst: 1000, TimesNetwork: 4}
}

func (h Handshakes) validate(l *problem.List) {
	if !(h.Rate >= 0.1 && h.Rate <= 1e6) {
		l.Add("tls.handshakes.rate", "50 suits most sites", "%v handshakes a second is not between 0.1 and 1000000", h.Rate)
	}
	for _, n := range []struct {
		key             string
		is, least, most int
	}{{"burst", h.Burst, 1, 1e6}, {"times_network", h.TimesNetwork, 1, 1024}, {"at_once", h.AtOnce, 0, 4096}} {
		if n.is < n.least || n.is > n.most {
			l.Add("tls.handshakes."+n.key, "", "%d is not between %d and %d", n.is, n.least, n.most)
		}
	}
}

func (h Handshakes) atOnce() int {
	if h.AtOnce > 0 {
		return h.AtOnce
	}
	return max(1, runtime.GOMAXPROCS(0)/2)
}

// paceSlots is the size of each row of a pace: 512 KiB for both.
const paceSlots = 1 << 15

// pace holds prefixes to a rate in a table of fixed size: two rows of states of
// kit/gcra under two hashes, of which the one with more left counts. Both are then
// raised to the same, and no further than that (the conservative update of a
// count-min sketch; Estan and Varghese, 2002). Somebody can meet the budget of
// others by chance, who must be heavy users of both slots, and never escapes the
// own. Safe for concurrent use; of those who ask at one moment a few too many may
// pass, one for each processor.
type pace struct {
	seed maphash.Seed
	rows [2][paceSlots]atomic.Int64
}

func newPace() *pace { return &pace{seed: maphash.MakeSeed()} }

// take charges cost to p; false where that is more than the limit allows, and
// nothing was charged.
func (t *pace) take(p netip.Prefix, l gcra.Limit, now clock.Instant, cost int) bool {
	h := maphash.Comparable(t.seed, p)
	a, b := &t.rows[0][h%paceSlots], &t.rows[1][h>>32%paceSlots]
	next, ok, _ := l.Take(clock.Instant(min(a.Load(), b.Load())), now, cost)
	if ok {
		raise(a, int64(next))
		raise(b, int64(next))
	}
	return ok
}

func raise(n *atomic.Int64, to int64) {
	for {
		was := n.Load()
		if was >= to || n.CompareAndSwap(was, to) {
			return
		}
	}
}
