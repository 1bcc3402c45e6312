package proxy

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"seawall/internal/kit/clock"
)

// waiting gives the place at the origin back once the client has kept us waiting for
// long, at a time or again and again: it is not for those who send or read slowly.
// Each side that waits has one of its own.
type waiting struct {
	timer *time.Timer
	ran   bool          // once; the timer may be at it still
	since clock.Instant // when this wait began
	spent time.Duration // on those before it
	waits atomic.Bool
	over  atomic.Bool // it is a stream, and nothing more is to be done
	mu    sync.Mutex  // held while the timer acts
}

// begin is called before what may wait for the client, end after it.
func (w *waiting) begin(x *exchange) {
	if w.over.Load() {
		return
	}
	w.since = x.p.clk.Now()
	w.waits.Store(true)
	switch left := x.p.slowClient - w.spent; {
	case left <= 0:
		w.tooLong(x)
	case w.timer == nil:
		w.timer = time.AfterFunc(left, func() { w.tooLong(x) })
	default:
		w.timer.Reset(left)
	}
}

func (w *waiting) end(x *exchange) {
	if !w.waits.Swap(false) {
		return
	}
	w.spent += x.p.clk.Now().Sub(w.since)
	if !w.timer.Stop() {
		w.ran = true
		w.mu.Lock() // once it has acted
		x.slot.Moves()
		w.mu.Unlock()
	}
}

// tooLong makes the slot a stream, since it is the client that is slow. Where there are
// too many already, it keeps its place until it has lasted too long, or somebody better
// wants it: without one it would have the origin hold more than the limits allow.
func (w *waiting) tooLong(x *exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.waits.Load() {
		return
	}
	switch {
	case !x.stream():
		x.slot.Stuck(x.giveWay)
	case !x.slot.InFlight(): // else it has its place by rank, and tries again
		w.over.Store(true)
	}
}

// giveWay ends the exchange from outside, for a better visitor to have its place. rc is
// the handler's.
func (x *exchange) giveWay() {
	x.cut.Store(true)
	rc := http.NewResponseController(x.w)
	_ = rc.SetWriteDeadline(past)
	_ = rc.SetReadDeadline(past)
}
