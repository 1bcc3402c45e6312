package app

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/request/identify"
	"seawall/internal/request/proxy"
	"seawall/internal/request/refuse"
	"seawall/internal/traffic"
)

// rooms are the handlers behind the door, in the order in which a visit that
// was let in passes them. The last one asks the origin.
type rooms struct {
	first http.Handler
	proxy *proxy.Proxy
	stop  func() // ends the proxy's health checks, and returns when they have
}

func newRooms(cfg proxy.Config, id *identify.Identify, ref *refuse.Refuse, clk *clock.Clock, log *slog.Logger) (rooms, error) {
	full := func(w http.ResponseWriter, r *http.Request, v *traffic.Visit, d mitigation.Verdict) {
		if v == nil {
			v = &traffic.Visit{}
		}
		refuse.Write(w, r.Method == http.MethodHead, ref.Refuse(nil, v, d, r.Header))
	}
	p, err := proxy.New(cfg, full, clk, log)
	if err != nil {
		return rooms{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	return rooms{
		first: id.Room(p), // takes our cookie away, and hands it out
		proxy: p,
		stop:  func() { cancel(); running.Wait() },
	}, nil
}

// close ends what the rooms run, upgraded connections among it. Other requests
// in flight are not disturbed.
func (r *rooms) close() {
	r.stop()
	r.proxy.Close()
}

// retire closes the rooms once the last visit that met them is over, or the
// program ends.
func (r *rooms) retire(ending <-chan struct{}) {
	r.stop()
	defer r.proxy.Close()
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for r.proxy.Origin().InFlight > 0 || r.proxy.Streams() > 0 {
		select {
		case <-t.C:
		case <-ending:
			return
		}
	}
}
