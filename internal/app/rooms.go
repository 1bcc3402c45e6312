package app

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/request/admit"
	"seawall/internal/request/identify"
	"seawall/internal/request/listen"
	"seawall/internal/request/proxy"
	"seawall/internal/request/refuse"
	"seawall/internal/traffic"
)

// rooms are the handlers behind the door, in the order in which a visit that
// was let in passes them. The last one asks the origin.
type rooms struct {
	first http.Handler
	// straight is the way past all rooms that have nothing to do for a visit, which it
	// may be after it has asked each.
	straight func(listen.Straight) bool
	proxy    *proxy.Proxy
	stop     func() // ends the proxy's health checks, and returns when they have
}

func newRooms(cfg proxy.Config, door *admit.Admit, id *identify.Identify, ref *refuse.Refuse, clk *clock.Clock, log *slog.Logger) (rooms, error) {
	unseen := new(traffic.Visit) // of a request that nobody saw at the door; nobody writes to it
	var pages sync.Pool          // of *[]byte, for refusals: thousands a second, in a flood
	full := func(w http.ResponseWriter, isHead bool, h traffic.Headers, v *traffic.Visit, d mitigation.Verdict) {
		if v == nil {
			v = unseen
		}
		page, _ := pages.Get().(*[]byte)
		if page == nil {
			page = new([]byte)
		}
		a := ref.Refuse(*page, v, d, h)
		refuse.Write(w, isHead, a)
		*page = a.Body // nobody keeps what was written
		pages.Put(page)
	}
	p, err := proxy.New(cfg, full, clk, log)
	if err != nil {
		return rooms{}, err
	}
	p.AskAgain(door.Reconsider)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	keep := id.Keep // once, since it takes memory
	return rooms{
		first: id.Room(p), // takes our cookie away, and hands it out
		straight: func(s listen.Straight) bool {
			return id.Straight(s.Visit(), s) && p.Straight(s, keep)
		},
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

// inLine has those who wait in line for the origin asked again once the door knows of a
// mitigation. It fails at nothing.
type inLine struct{ door *door }

func (l inLine) Apply(m mitigation.Mitigation) error {
	if m.Action >= mitigation.Slow && !m.Shadow && !m.Match.OnPackets() {
		l.door.now.Load().rooms.proxy.Reconsider()
	}
	return nil
}

func (l inLine) Withdraw(mitigation.ID) error { return nil }
