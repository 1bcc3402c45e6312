package identify

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"seawall/internal/traffic"
)

func TestBudgetUnderContention(t *testing.T) {
	b := &budget{perMinute: 30}
	now := time.Unix(1_800_000_000, 0)
	var given [8]atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 8000 {
				// Eight prefixes: four share a set, four have sets of their own.
				p := i % 8
				if b.take(uint64(p+1)<<32|uint64(p&4), now) {
					given[p].Add(1)
				}
			}
		})
	}
	wg.Wait()
	for p := range given {
		if n := given[p].Load(); n != 30 {
			t.Errorf("prefix %d was given %d, want 30", p, n)
		}
	}
}

// A set that is full of prefixes of this minute gives none to a further one, and
// all of it is free again in the next.
func TestBudgetFullSet(t *testing.T) {
	b := &budget{perMinute: 30}
	now := time.Unix(1_800_000_000, 0)
	for p := range uint64(budgetWays) {
		if !b.take((p+1)<<32, now) {
			t.Fatalf("prefix %d was given none", p)
		}
	}
	if b.take(99<<32, now) {
		t.Error("a prefix too many was given one")
	}
	if !b.take(99<<32, now.Add(time.Minute)) {
		t.Error("none in the next minute either")
	}
}

func BenchmarkCookie(b *testing.B) {
	id := newTest(b, nil)
	v := benchVisit(id)
	b.ReportAllocs()
	v.Clearance, v.ClearanceID, v.ClearanceAt = traffic.ClearanceProven, 7, time.Now()
	for b.Loop() {
		id.setCookie(&v, false)
	}
}
