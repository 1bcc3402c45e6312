package httpflood

import (
	"time"

	"seawall/internal/attack"
	"seawall/internal/traffic"
)

// demand is how much is asked for, against what is usual.
type demand struct {
	rate     float64 // requests a second
	high     bool    // enough for a flood or a crowd
	strained bool    // above the peak; counts only while the origin suffers
	lingers  bool    // enough for one that is already there to go on
	blatant  bool
}

func (d *Detector) demand(rate float64, n *traffic.Normal) demand {
	floor, blatant := d.cfg.Floor, d.cfg.BlatantFloor
	if n.Learned < youth {
		// Little is known of this site: be slower to speak.
		floor, blatant = 3*floor, 3*blatant
	}
	return demand{
		rate:     rate,
		high:     rate > max(d.cfg.Times*n.Peak, floor),
		strained: rate > max(1.5*n.Peak, floor),
		lingers:  rate > max(1.5*n.Peak, d.cfg.Floor/2),
		blatant:  rate > max(d.cfg.BlatantTimes*n.Peak, blatant),
	}
}

// pain is what the origin suffers.
type pain struct {
	any   bool
	facts []attack.Fact
}

func suffering(w *traffic.Window, n *traffic.Normal) pain {
	var p pain
	o := &w.Origin
	usual := n.OriginP95
	limit := max(3*usual, usual+50*time.Millisecond)
	if usual <= 0 {
		limit = time.Second
	}
	if o.Asked >= 5 && o.P95 > limit {
		p.any = true
		p.facts = append(p.facts, attack.Fact{Name: "origin's time to first byte, 95th percentile", Value: ms(o.P95), Usual: ms(usual), Unit: "ms"})
	}
	if o.Failed >= 3 && float64(o.Failed) >= 0.05*float64(o.Asked) {
		p.any = true
		p.facts = append(p.facts, attack.Fact{Name: "origin's failures", Value: float64(o.Failed) / float64(max(o.Asked, 1)), Unit: "share"})
	}
	if o.Shed >= 3 && float64(o.Shed) >= 0.01*float64(w.Admitted) {
		p.any = true
		p.facts = append(p.facts, attack.Fact{Name: "found the line for the origin full", Value: w.Rate(o.Shed), Unit: "/s"})
	}
	if lineFull(o) {
		p.any = true
		p.facts = append(p.facts, attack.Fact{Name: "waiting in line for the origin", Value: float64(o.Waiting), Unit: "requests"})
	}
	return p
}

// lineFull says that as many wait for the origin as it works on at once.
func lineFull(o *traffic.Origin) bool { return o.Limit > 0 && o.Waiting >= max(8, o.Limit) }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
