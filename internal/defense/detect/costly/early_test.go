package costly

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"seawall/internal/traffic"
)

// Where nothing is known of what pages take, and no flood runs, no path is looked at: that
// changes nothing of what is found, whatever came before.
func TestNothingKnown(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	quick, whole := New(DefaultConfig()), New(DefaultConfig())
	found, unknown := 0, 0
	for sec := range 1500 {
		w, n := window(sec, ask{n: rng.IntN(30), path: "/", took: usual, like: true}), site()
		if sec%100 < 10 {
			w = window(sec, ask{n: 40 + rng.IntN(40), path: "/export", took: 40 * usual}, ask{n: rng.IntN(30), path: "/", took: usual, like: true})
		}
		known := true
		switch rng.IntN(3 + sec/500) {
		case 0:
			n.OriginP50, known = 0, false
		case 1:
			n.Learned, known = time.Second, false
		}
		as := n
		if !known {
			as, unknown = &traffic.Normal{}, unknown+1
		}
		got, want := quick.Detect(w, n), whole.judge(w, as)
		if !reflect.DeepEqual(got, want) || quick.path != whole.path {
			t.Fatalf("second %d: %+v, want %+v", sec, got, want)
		}
		found += len(got)
	}
	if found < 100 || unknown < 100 {
		t.Errorf("something is found in %d seconds; %d are unknown", found, unknown)
	}
}
