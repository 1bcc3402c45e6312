package traffic

import "time"

// youth is how much ordinary traffic must have been learnt to tell what is more than usual.
const youth = 5 * time.Second

// Arrivals counts requests when they come. A window counts them when they are answered, so
// that what waits in line shows late, and what has left the line came earlier. The zero
// value has seen nothing; it is told every window, in order.
type Arrivals struct {
	inLine int // in flight or in line for the origin when the last window ended
}

// Came is how many requests came during the window: those answered, and what the line for
// the origin grew by.
func (a *Arrivals) Came(w *Window) uint64 {
	inLine := w.Origin.InFlight + w.Origin.Waiting
	came := max(int(w.Offered)+inLine-a.inLine, 0)
	a.inLine = inLine
	return uint64(came)
}

// Above is how many requests a second came above what is usual, where that is known; all
// that came, where it is not.
func (a *Arrivals) Above(w *Window, n *Normal) float64 {
	visits := w.Rate(a.Came(w))
	if n.Learned >= youth {
		visits = max(visits-n.Requests, 0)
	}
	return visits
}
