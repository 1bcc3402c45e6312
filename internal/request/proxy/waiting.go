package proxy

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// waiting gives the place at the origin back once the client keeps us waiting: it
// is not for those who send or read slowly. Each side that waits has one of its own.
type waiting struct {
	timer *time.Timer
	ran   bool // once; the timer may be at it still
	waits atomic.Bool
	mu    sync.Mutex // held while the timer acts
}

// begin is called before what may wait for the client, end after it.
func (w *waiting) begin(x *exchange) {
	w.waits.Store(true)
	if w.timer == nil {
		w.timer = time.AfterFunc(x.p.slowClient, func() { w.tooLong(x) })
		return
	}
	w.timer.Reset(x.p.slowClient)
}

func (w *waiting) end(x *exchange) {
	w.waits.Store(false)
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
	if w.waits.Load() && !x.stream() {
		x.slot.Stuck(x.giveWay)
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
