package defense

import (
	"math"
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
	"seawall/internal/defense/sign"
	"seawall/internal/traffic"
)

const (
	// gatherFor is over how many windows samples of a flood of few requests are
	// gathered.
	gatherFor = 5
	// gatherNone is how many of one window are enough.
	gatherNone = 200
	// mostOfIt is the share of a window's samples from which a part is what the flood
	// of all requests consists of, and is described with it.
	mostOfIt = 0.3
)

// gathered are samples of floods of a part of the requests, of the last windows: one
// has too few to say what they have in common.
type gathered map[attack.Vector]*batches

type batches struct {
	part attack.Part
	last [][]traffic.Sample // a window each, oldest first
}

// input is what there is to decide on of the requests of a window: what each flood has in
// common, and what tells whether an earlier one's signatures may be used again.
func (l *Loop) input(now decide.Moment, findings []attack.Finding, flood *attack.Finding, w *traffic.Window, n *traffic.Normal) decide.Input {
	in := decide.Input{Now: now, Window: w, Findings: findings, Usual: n.Requests, Judge: sign.Again(n)}
	switch {
	case flood == nil:
	case flood.Part.Whole():
		in.Signatures = l.sign(now, flood, w, n)
	default:
		in.Signatures = l.signPart(now, flood, w, n)
	}
	in.Others = l.parts(now, findings, flood, len(in.Signatures) > 0, w, n)
	return in
}

// parts lists the floods of parts of the requests besides the one that the attack goes
// by, each with what is left of it in common. mined says that of that one something was
// described in this window.
func (l *Loop) parts(now decide.Moment, findings []attack.Finding, flood *attack.Finding, mined bool, w *traffic.Window, n *traffic.Normal) []decide.RequestFlood {
	var out []decide.RequestFlood
	for i := range findings {
		f := &findings[i]
		if f == flood || !f.Vector.Requests() || f.Part.Whole() || mined && flood.Part.Whole() && f.Rate >= mostOfIt*flood.Rate {
			continue
		}
		out = append(out, decide.RequestFlood{Finding: *f, Signatures: l.signPart(now, f, w, n)})
	}
	for v := range l.gathered {
		if find(findings, v) == nil {
			delete(l.gathered, v)
		}
	}
	return out
}

// signPart mines what is left of a flood of a part of the requests.
func (l *Loop) signPart(now decide.Moment, f *attack.Finding, w *traffic.Window, n *traffic.Normal) []attack.Signature {
	all := l.gather(f, w)
	refusing := l.decider.Refusing()
	left := all
	if len(refusing) > 0 {
		left = slices.DeleteFunc(slices.Clone(all), func(s traffic.Sample) bool { return anyHits(refusing, &s.Visit) })
	}
	if len(left) == 0 || f.Rate <= 0 {
		return nil
	}
	// Visitors of the page are always left.
	usual := 1.5 * f.Normal / f.Rate * float64(len(all))
	if float64(len(left)) <= usual+2*math.Sqrt(usual) {
		return nil
	}
	rest := *f
	rest.Rate *= float64(len(left)) / float64(len(all))
	began := time.Now()
	sigs := sign.Mine(rest, left, n)
	if len(sigs) == 0 {
		if s, ok := sign.Part(f, left, n); ok {
			sigs = append(sigs, s)
		}
	}
	l.tellSigns(now, &rest, sigs, len(left), n, time.Since(began))
	return sigs
}

// gather adds the window's samples of the part to those of the last windows.
func (l *Loop) gather(f *attack.Finding, w *traffic.Window) []traffic.Sample {
	if l.gathered == nil {
		l.gathered = gathered{}
	}
	b := l.gathered[f.Vector]
	if b == nil || b.part != f.Part {
		b = &batches{part: f.Part}
		l.gathered[f.Vector] = b
	}
	var batch []traffic.Sample
	for i := range w.Samples {
		if f.Part.Has(&w.Samples[i].Visit) {
			batch = append(batch, w.Samples[i])
		}
	}
	if len(batch) >= gatherNone {
		b.last = b.last[:0]
		return batch
	}
	b.last = append(b.last, batch)
	if len(b.last) > gatherFor {
		b.last = slices.Delete(b.last, 0, 1)
	}
	return slices.Concat(b.last...)
}
