package sketch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestDistinct(t *testing.T) {
	d := NewDistinct(NewSeed())
	if n := d.Count(); n != 0 {
		t.Errorf("empty: %d", n)
	}
	seen := 0
	for _, want := range []int{1, 2, 10, 40, 100, 1000, 5000, 20_000, 200_000, 1_000_000} {
		for ; seen < want; seen++ {
			d.Add(uint64(seen))
			d.Add(uint64(seen / 2))
		}
		got := float64(d.Count())
		// Five standard errors: a wrong alarm in about two million runs.
		if math.Abs(got-float64(want)) > max(1.5, 5*0.01625*float64(want)) {
			t.Errorf("%d keys: estimated %v", want, got)
		}
	}
	d.Reset()
	if n := d.Count(); n != 0 {
		t.Errorf("after Reset: %d", n)
	}
}

func TestDistinctMerge(t *testing.T) {
	seed := NewSeed()
	a, b, both := NewDistinct(seed), NewDistinct(seed), NewDistinct(seed)
	for i := range uint64(30_000) {
		both.Add(i)
		if i < 20_000 {
			a.Add(i)
		}
		if i >= 10_000 {
			b.Add(i)
		}
	}
	a.Merge(b)
	if a.Count() != both.Count() {
		t.Errorf("merged %d, together %d", a.Count(), both.Count())
	}
}

func TestStepsAreOrderedAndNarrow(t *testing.T) {
	was := -1
	for v := uint64(0); v < 1<<maxBits; v = v + 1 + v/200 {
		s := Step(v)
		if s < was || s >= Steps {
			t.Fatalf("Step(%d) = %d after %d", v, s, was)
		}
		was = s
		if m := float64(Middle(s)); math.Abs(m-float64(v)) > float64(v)/60 {
			t.Fatalf("Middle(Step(%d)) = %v", v, m)
		}
		if Step(Middle(s)) != s {
			t.Fatalf("Middle(%d) lies in step %d", s, Step(Middle(s)))
		}
	}
	if Step(math.MaxUint64) != Steps-1 {
		t.Error("large values leave the scale")
	}
}

func TestQuantiles(t *testing.T) {
	var q, half Quantiles
	if q.Quantile(0.5) != 0 {
		t.Error("empty: not 0")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var exact []time.Duration
	for i := range 20_000 {
		d := time.Duration(math.Exp(rng.NormFloat64()*1.5)*5e6) + 40*time.Microsecond
		exact = append(exact, d)
		if i%2 == 0 {
			q.Add(d)
		} else {
			half.Add(d)
		}
	}
	q.Merge(&half)
	slices.Sort(exact)
	for _, p := range []float64{0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1} {
		want := exact[max(0, int(math.Ceil(p*float64(len(exact))))-1)]
		got := q.Quantile(p)
		if e := math.Abs(float64(got-want)) / float64(want); e > 0.02 {
			t.Errorf("p%v: %v, exact %v (%.1f %% off)", 100*p, got, want, 100*e)
		}
	}
	q.Add(-1)
	q.Add(time.Hour)
	if q.Quantile(1) > time.Hour || q.Quantile(0) != 0 {
		t.Errorf("extremes: %v, %v", q.Quantile(0), q.Quantile(1))
	}
	q.Reset()
	if q.Count() != 0 || q.Quantile(0.5) != 0 {
		t.Error("Reset left something")
	}
}

// chances adds up how often each of n items is kept over many runs and
// compares with what an even sample would keep.
func chances(t *testing.T, runs, n int, run func(seed uint64) []int) {
	t.Helper()
	kept := make([]float64, 10) // by tenth of the stream
	var all float64
	for seed := range uint64(runs) {
		for _, i := range run(seed) {
			kept[i*10/n]++
			all++
		}
	}
	for i, k := range kept {
		if want := all / 10; math.Abs(k-want) > 5*math.Sqrt(want) {
			t.Errorf("tenth %d: kept %v, want about %v", i, k, want)
		}
	}
}

func TestReservoirIsEven(t *testing.T) {
	chances(t, 400, 1000, func(seed uint64) []int {
		r := NewReservoir[int](50, seed)
		for i := range 1000 {
			if p := r.Offer(); p != nil {
				*p = i
			}
		}
		if len(r.Items()) != 50 || r.Seen() != 1000 {
			t.Fatalf("kept %d of %d", len(r.Items()), r.Seen())
		}
		return r.Items()
	})
}

func TestReservoirMergeIsEven(t *testing.T) {
	chances(t, 600, 1000, func(seed uint64) []int {
		// Shares of 60 %, 30 % and 10 %, the last one whole; then more.
		sum := NewReservoir[int](80, seed)
		parts := []*Reservoir[int]{NewReservoir[int](60, seed+1000), NewReservoir[int](60, seed+2000), NewReservoir[int](200, seed+3000)}
		for i := range 900 {
			p := 0
			if i%10 >= 6 {
				p = 1
			}
			if i%10 >= 9 {
				p = 2
			}
			if s := parts[p].Offer(); s != nil {
				*s = i
			}
		}
		for _, p := range parts {
			MergeAs(sum, p, func(to, from *int) { *to = *from })
		}
		for i := 900; i < 1000; i++ {
			if s := sum.Offer(); s != nil {
				*s = i
			}
		}
		if n := len(sum.Items()); n < 60 || n > 80 || sum.Seen() != 1000 {
			t.Fatalf("kept %d of %d", n, sum.Seen())
		}
		return sum.Items()
	})
}

func TestReservoirMergeKeepsAllThatFits(t *testing.T) {
	sum := NewReservoir[int](10, 1)
	for p := range 3 {
		r := NewReservoir[int](4, uint64(p))
		for i := range 3 {
			*r.Offer() = 3*p + i
		}
		sum.Merge(r)
	}
	got := slices.Sorted(slices.Values(sum.Items()))
	if fmt.Sprint(got) != "[0 1 2 3 4 5 6 7 8]" {
		t.Errorf("kept %v", got)
	}
	sum.Reset()
	sum.Merge(NewReservoir[int](4, 1))
	if len(sum.Items()) != 0 || sum.Seen() != 0 {
		t.Error("Reset left something")
	}
}

func TestAddingAllocatesNothing(t *testing.T) {
	seed := NewSeed()
	n, s, d := NewNumbers(64, seed), NewStrings(64, 32, seed), NewDistinct(seed)
	r := NewReservoir[int](64, 1)
	var q Quantiles
	texts := make([]string, 500)
	for i := range texts {
		texts[i] = fmt.Sprint("/", i)
	}
	i := 0
	if a := testing.AllocsPerRun(2000, func() {
		i++
		n.Add(uint64(i%500), 1)
		s.Add(texts[i%500], 1)
		d.Add(uint64(i))
		q.Add(time.Duration(i) * time.Microsecond)
		if p := r.Offer(); p != nil {
			*p = i
		}
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func BenchmarkDistinct(b *testing.B) {
	d := NewDistinct(NewSeed())
	b.ReportAllocs()
	for i := range b.N {
		d.Add(uint64(i))
	}
}

func BenchmarkQuantiles(b *testing.B) {
	var q Quantiles
	b.ReportAllocs()
	for i := range b.N {
		q.Add(time.Duration(i&0xfffff) * time.Microsecond)
	}
}

func BenchmarkReservoir(b *testing.B) {
	r := NewReservoir[int](1000, 1)
	b.ReportAllocs()
	for i := range b.N {
		if p := r.Offer(); p != nil {
			*p = i
		}
	}
}
