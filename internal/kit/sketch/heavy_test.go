package sketch

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// check proves the promises against exact counts.
func check[K cmp.Ordered](t *testing.T, exact map[K]uint64, top []Entry[K], floor, total uint64, capacity int) {
	t.Helper()
	held := map[K]bool{}
	for i, e := range top {
		held[e.Key] = true
		if x := exact[e.Key]; e.Count < x || e.Count-e.Error > x {
			t.Errorf("%v: true count %d is outside [%d, %d]", e.Key, x, e.Count-e.Error, e.Count)
		}
		if i > 0 && e.Count > top[i-1].Count {
			t.Errorf("entry %d is larger than the one before", i)
		}
	}
	var want uint64
	for k, n := range exact {
		want += n
		if !held[k] && n > floor {
			t.Errorf("%v, %d times, is not held though the floor is %d", k, n, floor)
		}
		if !held[k] && n > total/uint64(capacity) {
			t.Errorf("%v, %d of %d, is not among %d keys", k, n, total, capacity)
		}
	}
	if total != want {
		t.Errorf("total %d, want %d", total, want)
	}
	if floor > total/uint64(capacity) {
		t.Errorf("after %d a floor of %d with %d keys", total, floor, capacity)
	}
	if len(held) != len(top) {
		t.Errorf("%d entries but %d keys", len(top), len(held))
	}
}

func zipf(seed uint64, n int, s float64, keys uint64) []uint64 {
	z := rand.NewZipf(rand.New(rand.NewPCG(seed, 1)), s, 1, keys-1)
	out := make([]uint64, n)
	for i := range out {
		out[i] = z.Uint64()
	}
	return out
}

func TestHeavyOnZipf(t *testing.T) {
	for _, skew := range []float64{1.01, 1.2, 2} {
		for _, capacity := range []int{1, 2, 3, 64, 256} {
			t.Run(fmt.Sprintf("%v/%d", skew, capacity), func(t *testing.T) {
				s := NewNumbers(capacity, NewSeed())
				exact := map[uint64]uint64{}
				for i, k := range zipf(uint64(capacity), 50_000, skew, 100_000) {
					n := uint64(1 + i%3)
					s.Add(k, n)
					exact[k] += n
				}
				check(t, exact, s.Top(s.Len()), s.Floor(), s.Total(), capacity)
			})
		}
	}
}

func TestMergeKeepsTheBounds(t *testing.T) {
	for _, parts := range []int{2, 5} {
		for _, capacity := range []int{1, 4, 64} {
			for _, shared := range []bool{true, false} {
				seed := NewSeed()
				sum := NewStrings(capacity, 12, seed)
				exact := map[string]uint64{}
				for p := range parts {
					if !shared {
						seed = NewSeed()
					}
					s := NewStrings(capacity, 12, seed)
					// The last part is small, so that one side is not full.
					n := []int{20_000, capacity / 2}[p/(parts-1)]
					for _, k := range zipf(uint64(p), n, 1.1, 5000) {
						key := fmt.Sprint("key-", k)
						s.Add(key, 1)
						exact[key]++
					}
					sum.Merge(s)
				}
				check(t, exact, sum.Top(sum.Len()), sum.Floor(), sum.Total(), capacity)
				// It still works as a sketch.
				for range 100 {
					sum.Add("later", 50)
					exact["later"] += 50
				}
				check(t, exact, sum.Top(sum.Len()), sum.Floor(), sum.Total(), capacity)
			}
		}
	}
}

func TestNumbersMerge(t *testing.T) {
	a, b := NewNumbers(8, NewSeed()), NewNumbers(8, NewSeed())
	exact := map[uint64]uint64{}
	for i, k := range zipf(7, 4000, 1.1, 500) {
		[]*Numbers{a, b}[i%2].Add(k, 1)
		exact[k]++
	}
	a.Merge(b)
	check(t, exact, a.Top(a.Len()), a.Floor(), a.Total(), 8)
	a.Reset()
	if a.Len() != 0 || a.Total() != 0 || a.Floor() != 0 || len(a.Top(8)) != 0 {
		t.Error("Reset left something")
	}
	a.Merge(b)
	byKey := func(x, y Entry[uint64]) int { return cmp.Compare(x.Key, y.Key) }
	got, want := slices.SortedFunc(slices.Values(a.Top(a.Len())), byKey), slices.SortedFunc(slices.Values(b.Top(b.Len())), byKey)
	if !slices.Equal(got, want) {
		t.Errorf("merged into an empty sketch: %v, want %v", got, want)
	}
}

func TestStringsAreClipped(t *testing.T) {
	s := NewStrings(4, 8, NewSeed())
	s.Add(strings.Repeat("a", 8), 1)
	s.Add(strings.Repeat("a", 1<<20), 2)
	s.Add("", 3)
	top := s.Top(9)
	want := []Entry[string]{{"aaaaaaaa", 3, 0}, {"", 3, 0}}
	if !slices.Equal(top, want) {
		t.Errorf("Top = %v, want %v", top, want)
	}
	if e, ok := s.Get("aaaaaaaaaaaa"); !ok || e.Count != 3 {
		t.Errorf("Get = %v, %v", e, ok)
	}
	if e, ok := s.Get("b"); ok || e.Count != 0 {
		t.Errorf("Get of an absent key = %v, %v", e, ok)
	}
}

// Half as many keys as the capacity stay where none is more frequent than others.
func TestEqualOnesStay(t *testing.T) {
	n, s := NewNumbers(64, NewSeed()), NewStrings(64, 8, NewSeed())
	for i := range uint64(10_000) {
		n.Add(i, 1)
		s.Add(fmt.Sprint(i), 1)
		if held := min(int(i+1), 32); n.Len() < held || s.Len() < held {
			t.Fatalf("after %d: %d numbers and %d texts of 64", i+1, n.Len(), s.Len())
		}
	}
	a, b := NewNumbers(64, NewSeed()), NewNumbers(64, NewSeed())
	for i := range uint64(90) {
		a.Add(i, 1)
		b.Add(1000+i, 1)
	}
	a.Merge(b)
	if a.Len() < 64 || a.Floor() != 1 {
		t.Errorf("merged: %d of 64, floor %d", a.Len(), a.Floor())
	}
	a.Add(89, 1) // was its last one before
	if e, ok := a.Get(89); e.Count != 2 || e.Error != 0 || !ok {
		t.Errorf("%+v, %v", e, ok)
	}
}

// lowest is what sorting finds.
func TestLowest(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		c := newCore(1+r.IntN(100), 0.5)
		for i := range c.counts {
			c.counts[i] = 1 + r.Uint64N(1+r.Uint64N(40))
		}
		k := 1 + r.IntN(len(c.counts))
		sorted := slices.Sorted(slices.Values(c.counts))
		got, seen := c.lowest(k), map[uint16]bool{}
		if len(got) != len(sorted) || c.counts[got[k-1]] != sorted[k-1] {
			t.Fatalf("%d of %v: %v", k, c.counts, got)
		}
		for i, slot := range got {
			if i < k && c.counts[slot] > sorted[k-1] || seen[slot] {
				t.Fatalf("%d of %v: slot %d in %v", k, c.counts, slot, got)
			}
			seen[slot] = true
		}
	}
}

// FuzzHeavy plays any sequence of additions to two sketches, and merges, against exact
// counts.
func FuzzHeavy(f *testing.F) {
	f.Add([]byte("abcabcabcaaaa"), uint8(2), uint8(3))
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x00\x00"), uint8(1), uint8(1))
	f.Add([]byte("\xc0a\xc0b\xc0c\xc0d\xffccddee\xc0c\xff"), uint8(2), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, capacity, others uint8) {
		s, o := NewStrings(int(capacity), 4, NewSeed()), NewStrings(int(others), 4, NewSeed())
		exact := map[string]uint64{}
		for i, b := range stream {
			k, n, to := string(stream[i:min(len(stream), i+1+int(b%4))]), uint64(b%5), s
			switch {
			case b == 0xff:
				s.Merge(o)
				o.Reset()
				continue
			case b >= 0xc0:
				to = o
			}
			to.Add(k, n)
			if n > 0 {
				exact[k] += n
			}
			if e, _ := to.Get(k); e.Count < n || e.Count-e.Error > exact[k] {
				t.Fatalf("%q: %+v of %d", k, e, exact[k])
			}
		}
		s.Merge(o)
		check(t, exact, s.Top(s.Len()), s.Floor(), s.Total(), max(int(min(capacity, others)), 1))
	})
}

func BenchmarkNumbers(b *testing.B) {
	seed := NewSeed()
	b.Run("known", func(b *testing.B) {
		s := NewNumbers(256, seed)
		b.ReportAllocs()
		for i := range b.N {
			s.Add(uint64(i*7)%200, 1)
		}
	})
	b.Run("one", func(b *testing.B) {
		s := NewNumbers(256, seed)
		b.ReportAllocs()
		for range b.N {
			s.Add(7, 1)
		}
	})
	b.Run("zipf", func(b *testing.B) {
		s := NewNumbers(256, seed)
		keys := zipf(1, 1<<16, 1.1, 1e6)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			s.Add(keys[i&(1<<16-1)], 1)
		}
	})
	b.Run("new", func(b *testing.B) { // beside keys that are never given up
		s := NewNumbers(256, seed)
		for i := range uint64(255) {
			s.Add(1<<63+i, 1<<40)
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			s.Add(uint64(i), 1)
		}
	})
}

func BenchmarkStrings(b *testing.B) {
	seed := NewSeed()
	agents := make([]string, 1024)
	for i := range agents {
		agents[i] = fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", i)
	}
	for name, n := range map[string]int{"known": 100, "new": len(agents)} {
		b.Run(name, func(b *testing.B) {
			s := NewStrings(128, 160, seed)
			b.ReportAllocs()
			for i := range b.N {
				s.Add(agents[i*7%n], 1)
			}
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	x, y := NewStrings(128, 160, NewSeed()), NewStrings(128, 160, NewSeed())
	for i := range 4000 {
		y.Add(fmt.Sprint("/some/path/", i%300), 1)
	}
	b.ReportAllocs()
	for range b.N {
		x.Merge(y)
	}
}

// Runs of one key, which is not looked up again, are counted like all others.
func TestRunsOfOneKey(t *testing.T) {
	seed := FixedSeed(1)
	r := rand.New(rand.NewPCG(5, 6))
	n, s := NewNumbers(16, seed), NewStrings(16, 8, seed)
	nAll, sAll := NewNumbers(16, seed), NewStrings(16, 8, seed)
	want := map[uint64]uint64{}
	for range 400 {
		key := r.Uint64N(12)
		for range 1 + r.IntN(5) {
			want[key]++
			n.Add(key, 1)
			s.Add(fmt.Sprint(key), 1)
		}
		switch r.IntN(20) {
		case 0:
			if e, ok := n.Get(key); !ok || e.Count != want[key] || e.Error != 0 {
				t.Fatalf("%d in the middle: %+v, want %d", key, e, want[key])
			}
		case 1: // as at a window's end
			nAll.Merge(n)
			sAll.Merge(s)
			n.Reset()
			s.Reset()
			for k, c := range want {
				e, _ := nAll.Get(k)
				f, _ := sAll.Get(fmt.Sprint(k))
				if e.Count != c || f.Count != c {
					t.Fatalf("%d: %d and %d, want %d", k, e.Count, f.Count, c)
				}
			}
			if top := sAll.Top(1); len(top) != 1 || top[0].Count != slices.Max(slices.Collect(maps.Values(want))) {
				t.Fatalf("%+v", top)
			}
			n.Merge(nAll) // and go on from there
			nAll.Reset()
			s.Merge(sAll)
			sAll.Reset()
		}
	}
}

// What a sketch tells alone is what an empty one tells that it was merged into, in the same
// order; and few of it are the first of all of it.
func TestAlone(t *testing.T) {
	seed := FixedSeed(1)
	r := rand.New(rand.NewPCG(7, 8))
	for _, capacity := range []int{1, 3, 16, 100} {
		for range 20 {
			n, s := NewNumbers(capacity, seed), NewStrings(capacity, 8, seed)
			for range r.IntN(400) {
				key := uint64(r.ExpFloat64() * 20)
				n.Add(key, 1)
				s.Add(fmt.Sprint(key), 1)
			}
			nAll, sAll := NewNumbers(capacity, seed), NewStrings(capacity, 8, seed)
			nAll.Merge(n)
			sAll.Merge(s)
			for _, few := range []int{0, 1, 5, 20, 32, 33, 200} {
				if got, want := n.Top(few), nAll.Top(few); !slices.Equal(got, want) {
					t.Fatalf("%d numbers of %d: %v, want %v", few, capacity, got, want)
				}
				if got, want := s.Top(few), sAll.Top(few); !slices.Equal(got, want) {
					t.Fatalf("%d texts of %d: %v, want %v", few, capacity, got, want)
				}
				if all := n.Top(n.Len()); !slices.Equal(n.Top(few), all[:min(few, len(all))]) {
					t.Fatalf("%d of %v: %v", few, all, n.Top(few))
				}
			}
		}
	}
}
