package baseline

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	"seawall/internal/traffic"
)

// live learns a stretch of ordinary traffic in windows of ten seconds, one in so many.
func live(b *Baseline, s *site, d time.Duration, every int, path string) {
	s.step = 10 * time.Second
	for i := range int(d / s.step) {
		if i%every != 0 {
			s.at, s.wall = s.at.Add(s.step), s.wall.Add(s.step)
			continue
		}
		w := s.second(100, 0)
		if path != "" {
			for j := range w.Samples {
				w.Samples[j].Visit.Path = path
			}
		}
		b.Learn(w, false)
	}
}

// of counts the samples of a path.
func of(samples []traffic.Sample, path string) (n int) {
	for i := range samples {
		if samples[i].Visit.Path == path {
			n++
		}
	}
	return n
}

// TestSpansAreEven: however busy an hour is, each weighs the same; what is older than a
// day, or a week, is gone; and there are never more than was said.
func TestSpansAreEven(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Samples = 1000 // counting shares is what takes long
	b, s := New(cfg), newSite()
	for h := range 9 * 24 {
		every := 60
		if h%24 >= 10 && h%24 < 20 {
			every = 15 // four times as busy by day
		}
		live(b, s, time.Hour, every, fmt.Sprint("/hour/", h))
		n := b.Normal()
		if len(n.OrdinaryDay) > mostSpan || len(n.OrdinaryWeek) > mostSpan {
			t.Fatalf("hour %d: %d and %d samples", h, len(n.OrdinaryDay), len(n.OrdinaryWeek))
		}
		if h == 3 && (len(n.OrdinaryDay) < 1500 || len(n.OrdinaryWeek) < 1500) {
			t.Errorf("after four hours: %d and %d samples", len(n.OrdinaryDay), len(n.OrdinaryWeek))
		}
	}
	last := 9*24 - 1
	for _, c := range []struct {
		name    string
		samples []traffic.Sample
		hours   int
	}{{"day", b.Normal().OrdinaryDay, 24}, {"week", b.Normal().OrdinaryWeek, 7 * 24}} {
		if len(c.samples) < mostSpan*9/10 {
			t.Errorf("%s: %d samples", c.name, len(c.samples))
		}
		even := float64(len(c.samples)) / float64(c.hours)
		for from := last - c.hours + 3; from+6 <= last; from += 6 {
			some := 0
			for h := from; h < from+6; h++ {
				some += of(c.samples, fmt.Sprint("/hour/", h))
			}
			near(t, fmt.Sprintf("%s: share of hours %d to %d", c.name, from, from+5), float64(some)/6/even, 1, 0.25)
		}
		for h := range last - c.hours - 1 {
			if n := of(c.samples, fmt.Sprint("/hour/", h)); n > 0 {
				t.Errorf("%s: %d samples of hour %d, now is %d", c.name, n, h, last)
			}
		}
	}
	// In an hour that is not over the newest are there, too.
	if n := of(b.Normal().OrdinaryWeek, fmt.Sprint("/hour/", last)); n == 0 {
		t.Error("nothing of the last hour")
	}
}

// TestSpansAreFrozen: nothing of an attack comes in, and nothing goes for it, however long
// it takes.
func TestSpansAreFrozen(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	live(b, s, 20*time.Minute, 1, "")
	live(b, s, 2*time.Minute, 1, "")
	before := *b.Normal()
	s.step = time.Second
	for range 9 {
		b.Learn(s.second(40, 2000), false) // a slow eye
	}
	for range 20 {
		b.Learn(s.second(40, 2000), true)
	}
	s.step = time.Hour
	for range 50 {
		b.Learn(s.second(40, 2000), true)
	}
	during := b.Normal()
	if of(during.OrdinaryDay, "/") > 0 || of(during.OrdinaryWeek, "/") > 0 {
		t.Error("the flood is in the samples")
	}
	if len(during.OrdinaryDay) < len(before.OrdinaryDay) || len(during.OrdinaryWeek) < len(before.OrdinaryWeek) {
		t.Errorf("%d and %d samples, before it %d and %d", len(during.OrdinaryDay), len(during.OrdinaryWeek), len(before.OrdinaryDay), len(before.OrdinaryWeek))
	}
}

// TestSpansNameNobody: from the moment that they are taken.
func TestSpansNameNobody(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	live(b, s, 3*time.Minute, 1, "")
	n := b.Normal()
	for _, samples := range [][]traffic.Sample{n.OrdinaryDay, n.OrdinaryWeek} {
		if len(samples) < 100 {
			t.Fatalf("%d samples", len(samples))
		}
		for _, o := range samples {
			v := &o.Visit
			if v.Client.String() != "192.0.2.0" || v.Peer.IsValid() || v.RawQuery != "" || v.ClearanceID != 0 || !v.ClearanceAt.IsZero() || v.At != 0 {
				t.Fatalf("%+v", v)
			}
			if o.Outcome != (traffic.Outcome{}) || o.Blind {
				t.Fatalf("%+v", o)
			}
		}
	}
	cfg := DefaultConfig()
	cfg.FromLog = true
	b = New(cfg)
	live(b, s, 3*time.Minute, 1, "")
	for _, o := range b.Normal().OrdinaryWeek {
		if !o.Blind {
			t.Fatal("what is from a log does not say so")
		}
	}
}

// TestOneSecondIsNotADay: a burst that nobody calls an attack weighs no more than three
// usual seconds.
func TestOneSecondIsNotADay(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for i := range 600 {
		flood := 0
		if i == 300 {
			flood = 2000
		}
		b.Learn(s.second(20, flood), false)
	}
	n := b.Normal()
	for _, samples := range [][]traffic.Sample{n.OrdinaryDay, n.OrdinaryWeek} {
		if share := float64(of(samples, "/")) / float64(len(samples)); share > 0.01 || len(samples) < 1500 {
			t.Errorf("one second of 600 is %.3f of %d samples", share, len(samples))
		}
	}
}

// TestSpansReplayExactly, and what was published never changes.
func TestSpansReplayExactly(t *testing.T) {
	learn := func(hook func(*Baseline)) *traffic.Normal {
		b, s := New(DefaultConfig()), newSite()
		for range 6 {
			live(b, s, 20*time.Minute, 4, "")
			if hook != nil {
				hook(b)
			}
		}
		return b.Normal()
	}
	var shown [][]traffic.Sample
	var copies [][]traffic.Sample
	first := learn(func(b *Baseline) {
		for _, s := range [][]traffic.Sample{b.Normal().OrdinaryDay, b.Normal().OrdinaryWeek} {
			shown, copies = append(shown, s), append(copies, slices.Clone(s))
		}
	})
	if !reflect.DeepEqual(shown, copies) {
		t.Error("what was published has changed")
	}
	again := learn(nil)
	if !reflect.DeepEqual(first.OrdinaryDay, again.OrdinaryDay) || !reflect.DeepEqual(first.OrdinaryWeek, again.OrdinaryWeek) {
		t.Error("the same input gives other samples")
	}
}

// TestSpansSurviveTheClock: it may be set, to any time.
func TestSpansSurviveTheClock(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for _, wall := range []time.Time{
		s.wall, s.wall.Add(-time.Hour), s.wall.AddDate(0, 0, 3), time.Unix(-5, 0), time.Unix(0, 0), s.wall.AddDate(100, 0, 0), s.wall, s.wall.Add(time.Hour),
	} {
		s.wall = wall
		live(b, s, 5*time.Minute, 1, "")
		for _, sp := range b.spans() {
			held := 0
			for i := range sp.slots {
				held += len(sp.slots[i].items)
			}
			if held > 2*mostSpan || sp.count() > mostSpan {
				t.Fatalf("at %v: %d samples held, %d shown", wall, held, sp.count())
			}
		}
	}
	if n := len(b.Normal().OrdinaryDay); n < 500 {
		t.Errorf("%d samples at the end", n)
	}
}

// TestSpansMemory: doc.go says what they take.
func TestSpansMemory(t *testing.T) {
	size := 2 * mostSpan * int(unsafe.Sizeof(traffic.Sample{}))
	strings := 2 * mostSpan * (160 + 160 + 80 + 36 + 16)
	t.Logf("%d bytes and %d of strings", size, strings)
	if all := 3*size + strings; all > 6<<20 {
		t.Errorf("%d bytes: kept, published, and published before", all)
	}
}

// TestDayIsShown: what is learnt of a day is published within a minute while it is young, and
// within ten once two hours are learnt.
func TestDayIsShown(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	live(b, s, 30*time.Minute, 1, "/young")
	for _, c := range []struct {
		path   string
		before time.Duration // what is learnt first
		within time.Duration
	}{
		{"/first", 0, time.Minute},
		{"/later", 3 * time.Hour, 10 * time.Minute},
	} {
		live(b, s, c.before, 1, "")
		learnt := c.within + b.cfg.Delay + 2*10*time.Second
		live(b, s, learnt, 1, c.path)
		if of(b.Normal().OrdinaryDay, c.path) == 0 {
			t.Errorf("%s is not shown after %v", c.path, learnt)
		}
	}
}
