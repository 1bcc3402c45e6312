package gcra

import (
	"math/rand/v2"
	"testing"
	"time"

	"seawall/internal/kit/clock"
)

const start = clock.Instant(time.Hour)

func TestTake(t *testing.T) {
	type step struct {
		after time.Duration // since the step before
		cost  int
		ok    bool
		retry time.Duration
	}
	for name, c := range map[string]struct {
		l     Limit
		steps []step
	}{
		"a burst, then the rate": {New(10, 3), []step{
			{0, 1, true, 0}, {0, 1, true, 0}, {0, 1, true, 0},
			{0, 1, false, 100 * time.Millisecond},
			{40 * time.Millisecond, 1, false, 60 * time.Millisecond},
			{60 * time.Millisecond, 1, true, 0},
			{0, 1, false, 100 * time.Millisecond},
		}},
		"a no is not charged": {New(10, 1), []step{
			{0, 1, true, 0},
			{50 * time.Millisecond, 1, false, 50 * time.Millisecond},
			{49 * time.Millisecond, 1, false, time.Millisecond},
			{time.Millisecond, 1, true, 0},
		}},
		"rest fills up to the burst and no further": {New(10, 2), []step{
			{0, 2, true, 0},
			{time.Hour, 2, true, 0},
			{0, 1, false, 100 * time.Millisecond},
		}},
		"a cost above the burst never passes": {New(10, 2), []step{
			{0, 3, false, 100 * time.Millisecond},
			{time.Hour, 3, false, 100 * time.Millisecond},
		}},
		"a cost of four is a quarter": {New(20, 150), []step{
			{0, 4 * 37, true, 0}, {0, 4, false, 100 * time.Millisecond},
		}},
		"the zero limit": {Limit{}, []step{{0, 1, false, 0}, {time.Hour, 0, false, 0}}},
		"no rate":        {New(0, 10), []step{{0, 1, false, 0}}},
		"no burst":       {New(10, 0), []step{{0, 1, false, 0}}},
		"times":          {New(10, 2).Times(4), []step{{0, 8, true, 0}, {0, 1, false, 25 * time.Millisecond}}},
		"deeper":         {New(10, 2).Deeper(2), []step{{0, 4, true, 0}, {0, 1, false, 100 * time.Millisecond}}},
	} {
		t.Run(name, func(t *testing.T) {
			var tat clock.Instant
			now := start
			for i, s := range c.steps {
				now = now.Add(s.after)
				next, ok, retry := c.l.Take(tat, now, s.cost)
				if ok != s.ok || retry != s.retry {
					t.Fatalf("step %d: ok %v after %v, want %v after %v", i, ok, retry, s.ok, s.retry)
				}
				if !ok && next != tat {
					t.Fatalf("step %d: a no changed the state", i)
				}
				tat = next
			}
		})
	}
}

// A limit holds over every span of time, not only from the start: between any
// two moments at most burst + rate x span passes.
func TestNeverMoreThanBurstPlusRate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		rate, burst := 0.1+r.Float64()*1000, 1+r.IntN(200)
		n := 1 + r.IntN(64)
		l := New(rate, burst).Times(n)
		rate, burst = rate*float64(n), burst*n
		var tat clock.Instant
		now := start
		var at []clock.Instant // when each passed
		for range 2000 {
			now = now.Add(time.Duration(r.ExpFloat64() * float64(time.Second) / rate / 2))
			var ok bool
			if tat, ok, _ = l.Take(tat, now, 1); ok {
				at = append(at, now)
			}
		}
		for range 200 {
			i := r.IntN(len(at))
			j := i + r.IntN(len(at)-i)
			passed, span := float64(j-i+1), at[j].Sub(at[i]).Seconds()
			if most := float64(burst) + rate*span; passed > most+1e-6 {
				t.Fatalf("rate %.2f burst %d: %v passed in %.3f s, at most %.2f may", rate, burst, passed, span, most)
			}
		}
	}
}

// What Take says to wait is enough, and a nanosecond less is not.
func TestRetryAfterIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		l := New(0.5+r.Float64()*100, 1+r.IntN(20))
		var tat clock.Instant
		now := start
		for {
			next, ok, retry := l.Take(tat, now, 1)
			if ok {
				tat = next
				continue
			}
			if _, ok, _ := l.Take(tat, now.Add(retry), 1); !ok {
				t.Fatalf("%v was not enough", retry)
			}
			if _, ok, _ := l.Take(tat, now.Add(retry-1), 1); ok {
				t.Fatalf("less than %v was enough", retry)
			}
			break
		}
	}
}

// Those who are asked the deeper limit get through when the others have used
// up all that they may, and the sum stays within the rate.
func TestDeeperIsAReserve(t *testing.T) {
	l := New(10, 5)
	deep := l.Deeper(2)
	var tat clock.Instant
	for {
		next, ok, _ := l.Take(tat, start, 1)
		if !ok {
			break
		}
		tat = next
	}
	for i := range 5 {
		next, ok, _ := deep.Take(tat, start, 1)
		if !ok {
			t.Fatalf("request %d of the reserve was refused", i)
		}
		tat = next
	}
	if _, ok, _ := deep.Take(tat, start, 1); ok {
		t.Error("the reserve has no end")
	}
}

func TestAlmostNothingDoesNotOverflow(t *testing.T) {
	l := New(1e-300, 1<<30)
	tat, ok, _ := l.Take(0, start, 1)
	if !ok || tat <= start {
		t.Errorf("Take = %d, %v", tat, ok)
	}
}

func BenchmarkTake(b *testing.B) {
	l := New(20, 150)
	var tat clock.Instant
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now += 1000
		tat, _, _ = l.Take(tat, now, 1)
	}
}
