package app

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"

	"seawall/internal/defense"
)

const (
	collectEvery = 5 * time.Second
	// collectFrom is how much of the room that the heap has must be used, for it to be
	// worth collecting.
	collectFrom = 0.25
)

// collect has the garbage collector work in quiet moments. By itself it begins when the heap
// has doubled, which is most likely in a flood's first second, when thousands of connections
// come: then it takes half of the processors for 50 ms, and every request has to help.
func (p *program) collect(ctx context.Context) error {
	t := time.NewTicker(collectEvery)
	defer t.Stop()
	r := newRoom()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if s := p.loop.Status(); quiet(&s) && p.door.now.Load().rooms.proxy.Origin().Waiting == 0 && r.used() > collectFrom {
				runtime.GC()
			}
		}
	}
}

// quiet says that nothing happens that needs the processor.
func quiet(s *defense.Status) bool {
	return s.State != defense.UnderAttack && s.Crowd == nil && len(s.Findings) == 0
}

// room is what the heap may take before the garbage collector begins by itself.
type room struct{ read []metrics.Sample }

func newRoom() *room {
	return &room{[]metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/goal:bytes"}}}
}

// used is the share of it that is used.
func (r *room) used() float64 {
	metrics.Read(r.read)
	live, now, goal := r.read[0].Value.Uint64(), r.read[1].Value.Uint64(), r.read[2].Value.Uint64()
	if now <= live || goal <= live {
		return 0
	}
	return float64(now-live) / float64(goal-live)
}
