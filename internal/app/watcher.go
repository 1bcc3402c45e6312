package app

import (
	"net/netip"
	"sync/atomic"

	"seawall/internal/defense/observe"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// watcher is listen's Watcher over whichever control loop there is: a process that
// takes everything back from another one has a new loop and the old sockets.
type watcher struct {
	now atomic.Pointer[observe.Observer]
}

func (w *watcher) Record(v *traffic.Visit, d mitigation.Verdict, o traffic.Outcome) {
	if to := w.now.Load(); to != nil {
		to.Record(v, d, o)
	}
}

func (w *watcher) TurnedAway(v *traffic.Visit, d mitigation.Verdict) {
	if to := w.now.Load(); to != nil {
		to.TurnedAway(v, d)
	}
}

func (w *watcher) Linked(from netip.Addr, ja4 string, e traffic.LinkEvent) {
	if to := w.now.Load(); to != nil {
		to.Linked(from, ja4, e)
	}
}
