package cachebust

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"seawall/internal/traffic"
)

// A window with too few queries is told from others before they are looked at: that changes
// nothing of what is found, whatever came before it.
func TestFewQueries(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	quick, whole := New(DefaultConfig()), New(DefaultConfig())
	found := 0
	for sec := range 2000 {
		n := site()
		if n.Learned = time.Hour; rng.IntN(3) == 0 {
			n.Learned = time.Second
		}
		queries, few := rng.IntN(100), rng.IntN(20)
		switch {
		case sec%200 > 100:
			queries = rng.IntN(9)
		case sec%200 > 20:
			queries = rng.IntN(25)
		}
		w := window(sec, queries+few, func(i int, s *traffic.Sample) {
			if i < queries {
				s.Visit.RawQuery, s.Visit.QueryShape = fmt.Sprint("q=", rng.IntN(5000)), 7
			}
			s.Visit.Client = netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(250))})
			if s.Visit.Path = "/"; rng.IntN(20) == 0 {
				s.Visit.Path, s.Visit.Kind, s.Visit.RawQuery = "/a.css", traffic.KindAsset, ""
			}
		})
		w.Offered *= uint64(1 + rng.IntN(2))
		if rng.IntN(4) == 0 {
			w.Span = 400 * time.Millisecond
		}
		floor := whole.cfg.Floor
		if n.Learned < youth {
			floor *= young
		}
		got, want := quick.Detect(w, n), whole.judge(w, n, floor)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("second %d: %+v, want %+v", sec, got, want)
		}
		found += len(got)
	}
	if found < 100 || found > 1900 {
		t.Errorf("something is found in %d seconds", found)
	}
}
