package traffic

import (
	"testing"
	"time"
)

// What waits in line came in the window in which the line grew, and not when it is answered.
func TestArrivals(t *testing.T) {
	var a Arrivals
	for i, c := range []struct {
		answered         uint64
		inFlight, inLine int
		came             uint64
	}{
		{100, 5, 0, 105},
		{100, 10, 85, 190}, // the line grows
		{150, 10, 0, 65},   // and is worked off
		{5, 0, 0, 0},       // more was answered than is counted, by chance
	} {
		w := &Window{Span: time.Second, Offered: c.answered, Origin: Origin{InFlight: c.inFlight, Waiting: c.inLine}}
		if got := a.Came(w); got != c.came {
			t.Errorf("window %d: %d came, want %d", i, got, c.came)
		}
	}
	w := &Window{Span: 500 * time.Millisecond, Offered: 100}
	for _, c := range []struct {
		n    Normal
		want float64
	}{{Normal{}, 200}, {Normal{Learned: time.Hour, Requests: 150}, 50}, {Normal{Learned: time.Hour, Requests: 500}, 0}} {
		if got := new(Arrivals).Above(w, &c.n); got != c.want {
			t.Errorf("above %+v: %v, want %v", c.n, got, c.want)
		}
	}
}
