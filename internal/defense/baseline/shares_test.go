package baseline

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"seawall/internal/traffic"
)

// sharesOf works out the shares of samples from nothing.
func sharesOf(items []traffic.Sample) (out [traffic.Fields]map[string]float64) {
	for f := range out {
		counts, n := map[string]int{}, 0
		for i := range items {
			if f != int(traffic.FieldClient) { // no addresses
				counts[items[i].Visit.Key(traffic.Field(f))]++
				n++
			}
		}
		keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
			return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
		})
		out[f] = map[string]float64{}
		for _, k := range keys[:min(len(keys), shareKeys)] {
			out[f][k] = float64(counts[k]) / float64(n)
		}
	}
	return out
}

// Shares that are kept up to date are those of the samples that there are, while samples
// come, replace others, and lose their addresses.
func TestSharesAreUpToDate(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Samples = 600
	b, s := New(cfg), newSite()
	s.networks = 50
	for _, c := range []struct{ step, long time.Duration }{{time.Second, 3 * time.Minute}, {30 * time.Second, 3 * time.Hour}} {
		s.step = c.step
		for range int(c.long / c.step) {
			w := s.second(20+s.rng.IntN(200), 0)
			for i := range w.Samples { // some of many keys
				v := &w.Samples[i].Visit
				v.Path = fmt.Sprint("/", int(s.rng.ExpFloat64()*200))
				v.UserAgent, v.Network = fmt.Sprint("browser ", s.rng.IntN(900)), uint32(s.rng.IntN(300))
			}
			b.Learn(w, false)
			o := b.ordinary
			if o.dirty || o.counted != len(o.items) {
				continue // what was added is not published yet
			}
			want := sharesOf(o.items)
			for f := range want {
				if !maps.Equal(o.shares[f], want[f]) {
					t.Fatalf("%v: %d keys, want %d: %v, want %v", traffic.Field(f), len(o.shares[f]), len(want[f]), o.shares[f], want[f])
				}
			}
		}
	}
	if len(b.ordinary.items) != cfg.Samples || len(b.ordinary.shares[traffic.FieldUserAgent]) != shareKeys {
		t.Errorf("%d samples, %d programs: too few to say anything", len(b.ordinary.items), len(b.ordinary.shares[traffic.FieldUserAgent]))
	}
}

func TestFirstOf(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		texts := make([]string, r.IntN(40))
		for i := range texts {
			texts[i] = fmt.Sprint(r.IntN(30))
		}
		n := r.IntN(len(texts) + 1)
		want := slices.Sorted(slices.Values(texts))[:n]
		if got := firstOf(slices.Clone(texts), n); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Fatalf("the first %d of %v are %v, want %v", n, texts, got, want)
		}
	}
}

// Of a window all of whose requests were let in, and no more than may be taken, its own
// samples are taken, behind which nothing can be written; of others, copies.
func TestLetIn(t *testing.T) {
	of := func(n, refused int) []traffic.Sample {
		list := make([]traffic.Sample, n, n+1)
		for i := range list {
			list[i] = traffic.Sample{Visit: traffic.Visit{Network: uint32(i)}, Refused: i < refused}
		}
		return list
	}
	for _, c := range []struct {
		name             string
		n, refused, most int
		want             int
		own              bool
	}{
		{"all", 30, 0, 30, 30, true},
		{"one too many", 31, 0, 30, 30, false},
		{"one was refused", 30, 1, 30, 29, false},
		{"none", 0, 0, 30, 0, false},
	} {
		from := of(c.n, c.refused)
		got := newOrdinary(100).letIn(from, c.most)
		if len(got) != c.want || cap(got) != len(got) || slices.ContainsFunc(got, func(s traffic.Sample) bool { return s.Refused }) ||
			!slices.IsSortedFunc(got, func(a, b traffic.Sample) int { return cmp.Compare(a.Visit.Network, b.Visit.Network) }) {
			t.Errorf("%s: %d samples, want %d", c.name, len(got), c.want)
		}
		if own := len(got) > 0 && &got[0] == &from[0]; own != c.own {
			t.Errorf("%s: its own %v", c.name, own)
		}
	}
}
