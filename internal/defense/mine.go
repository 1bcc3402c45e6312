package defense

import (
	"fmt"
	"math"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
	"seawall/internal/defense/sign"
	"seawall/internal/traffic"
)

// sign mines what is left of the flood besides what is refused already.
func (l *Loop) sign(now decide.Moment, flood *attack.Finding, w *traffic.Window, n *traffic.Normal) []attack.Signature {
	left := w.Samples
	if refusing := l.decider.Refusing(); len(refusing) > 0 {
		left = make([]traffic.Sample, 0, len(w.Samples))
		for i := range w.Samples {
			if !anyHits(refusing, &w.Samples[i].Visit) {
				left = append(left, w.Samples[i])
			}
		}
	}
	if len(left) == 0 || len(w.Samples) == 0 {
		return nil
	}
	// Ordinary visitors are always left. Mine only when there is clearly more
	// than they: half more than their peak, and twice the chance error of the
	// sample (a Poisson count's is its root).
	usual := max(1.5*n.Peak, l.cfg.HTTPFlood.Floor) / flood.Rate * float64(len(w.Samples))
	if float64(len(left)) <= usual+2*math.Sqrt(usual) {
		return nil
	}
	f := *flood
	f.Rate *= float64(len(left)) / float64(len(w.Samples))
	begin := time.Now()
	sigs := sign.Mine(f, left, n)
	l.tellSigns(now, &f, sigs, len(left), n, time.Since(begin))
	return sigs
}

// tellSigns records what is new of what a flood has in common.
func (l *Loop) tellSigns(now decide.Moment, f *attack.Finding, sigs []attack.Signature, left int, n *traffic.Normal, took time.Duration) {
	fresh, covered := 0, 0.0
	for i := range sigs {
		covered += sigs[i].Coverage
		if text := sigs[i].Match.String(); !l.seen[text] && len(l.seen) < 1024 {
			l.seen[text] = true
			fresh++
		}
	}
	if fresh == 0 && (len(sigs) > 0 || l.seen[""]) {
		return
	}
	text := fmt.Sprintf("What is left of the flood has this in common, for %.0f %% of it: %s", 100*min(covered, 1), first(sigs))
	if more := len(sigs) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more of the kind)", more)
	}
	text += "."
	if len(sigs) == 0 {
		l.seen[""] = true
		text = "Nothing tells what is left of the flood from ordinary traffic yet."
	}
	l.record(now, "sign", text, map[string]float64{
		"signatures": float64(len(sigs)), "coverage": min(covered, 1), "flood_tested": float64(left),
		"ordinary_tested": float64(len(n.Ordinary)), "rate_left": f.Rate, "took_ms": float64(took.Microseconds()) / 1000,
	}, false)
}
