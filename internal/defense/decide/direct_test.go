package decide

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Only a client that was met at the other end of a connection is banned so that
// its packets may be stopped, and that outlives a restart.
func TestDirectBans(t *testing.T) {
	w := newWorld(t)
	near, far := netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("203.0.113.8/32")
	w.apply(w.Offences(w.now, []mitigation.Offence{{Prefix: near, Refused: 40, Direct: true}, {Prefix: far, Refused: 40}}))
	if !w.stands[1].Direct || w.stands[2].Direct {
		t.Fatalf("direct: %v, %v", w.stands[1].Direct, w.stands[2].Direct)
	}
	w.disk = append(w.disk, []byte(`{"set":{"id":9,"kind":"ban","action":"refuse","from":"2026-05-01T12:00:00Z","until":"2026-05-01T12:05:00Z","by":"machine","client":"203.0.113.9/32"}}`))
	n := w.restart()
	if !n.stands[1].Direct || n.stands[2].Direct || n.stands[9].Direct || len(n.stands) != 3 {
		t.Errorf("after a restart: %+v", n.stands)
	}
	// The one behind a proxy comes by itself, the other comes behind a proxy.
	before := w.stands[2].Until
	w.pass(time.Second)
	o := w.apply(w.Offences(w.now, []mitigation.Offence{{Prefix: near}, {Prefix: far, Direct: true}, {Prefix: far, Direct: true}}))
	if len(o.Changes) != 1 || !w.stands[1].Direct || !w.stands[2].Direct || w.stands[2].Until != before {
		t.Errorf("%d changes, %+v", len(o.Changes), w.stands)
	}
	if n = w.restart(); !n.stands[2].Direct {
		t.Error("forgotten by a restart")
	}
	// An order about it is never direct: it need not be.
	w.order(Order{Verb: Ban, Prefix: near})
	if m := w.stands[w.last]; m.Direct || m.By != mitigation.ByOperator {
		t.Errorf("%+v", m)
	}
}

// stopped is second with packets that the block list stopped.
func (w *world) stopped(findings []attack.Finding, packets uint64) {
	w.t.Helper()
	w.pass(time.Second)
	win := &traffic.Window{At: w.now.At, Wall: w.now.Wall, Span: time.Second, Hits: map[uint32]uint64{}, Packets: traffic.Packets{
		Filtered: true, Reasons: map[string]traffic.Counted{"blocked": {Packets: packets}},
	}}
	w.apply(w.Step(Input{Now: w.now, Window: win, Findings: findings}))
	w.apply(w.Tick(w.now))
}

// Bans that began together do not end together while the kernel holds their
// clients off; each ends within a minute of its time all the same.
func TestBansEndOneByOneUnderAttack(t *testing.T) {
	for _, c := range []struct {
		name          string
		attack        bool
		packets       uint64
		most, longest int // that end in one second; seconds until the last has ended
	}{
		{"held off", true, 100, 5, 121},
		{"an attack elsewhere", true, 0, 200, 61},
		{"in peace", false, 100, 200, 61},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			list := offences(200)
			for i := range list {
				list[i].Direct = true
			}
			var found []attack.Finding
			if c.attack {
				found = flood(false, false)
			}
			w.stopped(found, c.packets)
			w.apply(w.Offences(w.now, list))
			var ends []int
			events := len(w.disk)
			for second := 1; len(w.stands) > 0 && second < 300; second++ {
				before := len(w.stands)
				w.stopped(found, c.packets)
				if n := before - len(w.stands); n > c.most {
					t.Errorf("%d end in second %d", n, second)
				} else if n > 0 {
					ends = append(ends, second)
				}
			}
			if len(w.stands) > 0 || slices.Max(ends) > c.longest {
				t.Errorf("%d stand after %d s", len(w.stands), slices.Max(ends))
			}
			if n := len(w.disk) - events; n > 2*len(list) {
				t.Errorf("%d events for %d bans", n, len(list))
			}
		})
	}
}
