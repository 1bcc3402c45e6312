package baseline

import (
	"testing"
	"time"

	"seawall/internal/traffic"
)

// linked adds to a window what became of connections: so many came, a tenth of
// them was of no use, and a flood's as well.
func linked(w *traffic.Window, n, flood int) *traffic.Window {
	w.Links = traffic.Links{
		Counted: true, Opened: uint64(n + flood), Unused: uint64(n/10 + flood), Open: n, Most: 8192, Malformed: 1,
		Handshakes: traffic.Handshakes{Begun: uint64(n / 2), Made: uint64(n/2 - 1)},
		Lagging:    [traffic.Waits]int{traffic.WaitSilent: 3, traffic.WaitBody: 2},
	}
	return w
}

func TestLearnsLinks(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for i := range 60 {
		b.Learn(linked(s.second(80, 0), 40+i%3, 0), false)
	}
	n := b.Normal().Links
	near(t, "learned", n.Learned.Seconds(), 50, 4)
	near(t, "opened", n.Opened.Usual, 41, 2)
	near(t, "opened at peak", n.Opened.Peak, 42, 2)
	near(t, "of no use", n.Unused.Usual, 4, 0.5)
	near(t, "handshakes", n.Begun.Usual, 20, 2)
	near(t, "handshakes not made", n.Unmade.Usual, 1, 0.1)
	near(t, "silent", n.Silent.Usual, 3, 0.3)
	near(t, "laggards", n.Laggards.Usual, 2, 0.2)
	near(t, "malformed", n.Malformed.Usual, 1, 0.1)

	// A flood that is found three seconds late leaves no trace, and what is turned
	// away for want of places teaches nothing.
	for range 3 {
		b.Learn(linked(s.second(80, 0), 40, 5000), false)
	}
	for range 30 {
		b.Learn(linked(s.second(80, 0), 40, 5000), true)
	}
	for range 30 {
		w := linked(s.second(80, 0), 40, 5000)
		w.Links.Full = 5000
		b.Learn(w, false)
	}
	near(t, "opened after a flood", b.Normal().Links.Opened.Peak, n.Opened.Peak, 0.5)
}

// TestLinksAreKept: across a restart, and not for longer than a day.
func TestLinksAreKept(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for range 60 {
		b.Learn(linked(s.second(80, 0), 40, 0), false)
	}
	data, err := b.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	next := New(DefaultConfig())
	if err := next.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	if got, want := next.Normal().Links, b.Normal().Links; got != want {
		t.Errorf("kept %+v, not %+v", got, want)
	}
	w := linked(s.second(80, 0), 40, 0)
	w.Wall = w.Wall.Add(48 * time.Hour)
	next.Learn(w, false)
	if n := next.Normal().Links; n.Opened.Usual != 0 || n.Learned == 0 {
		t.Errorf("two days later %+v", n)
	}
}
