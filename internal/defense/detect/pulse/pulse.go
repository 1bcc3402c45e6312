package pulse

import (
	"fmt"
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

const (
	most     = 16 // pulses remembered
	leastOn  = 3  // pulses, to be more than a flood that came back
	begins   = 0.5
	ends     = 0.25
	overdue  = 2                // periods after the last pulse's beginning, until it is over
	atLeast  = 10 * time.Second // and at least so long
	blockedN = 5                // packets a second that the block list stops, from which a flood is held off
)

// pulse is a time in which a flood ran.
type pulse struct {
	from, to clock.Instant // to is 0 while it runs
	peak     float64
}

// Detector tells pulses. It remembers the last ones. Make it with New.
type Detector struct {
	cfg    Config
	pulses []pulse // oldest first
	normal float64
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "pulse" }

// Detect finds nothing by itself.
func (d *Detector) Detect(*traffic.Window, *traffic.Normal) []attack.Finding { return nil }

// After judges the next window by what was found in it.
func (d *Detector) After(w *traffic.Window, _ *traffic.Normal, found []attack.Finding) []attack.Finding {
	if w == nil || w.Span <= 0 {
		return nil
	}
	d.follow(w, attack.Flood(found))
	return d.say(w.At)
}

// follow enters the window in what is known of pulses.
func (d *Detector) follow(w *traffic.Window, f *attack.Finding) {
	rate := 0.0
	if f != nil {
		rate, d.normal = f.Rate, f.Normal
	}
	var last *pulse
	if n := len(d.pulses); n > 0 {
		last = &d.pulses[n-1]
	}
	top := 0.0
	for i := range d.pulses {
		top = max(top, d.pulses[i].peak)
	}
	switch on := last != nil && last.to == 0; {
	case on && f != nil && (rate >= ends*top || w.Rate(w.Packets.Blocked()) >= blockedN):
		last.peak = max(last.peak, rate)
	case on:
		last.to = w.At.Add(-w.Span)
	case last != nil && w.At.Sub(last.to) > d.cfg.Pause:
		d.pulses, last, top = d.pulses[:0], nil, 0
		fallthrough
	default:
		if f == nil || rate < begins*top {
			return
		}
		if len(d.pulses) == most {
			d.pulses = slices.Delete(d.pulses, 0, 1)
		}
		d.pulses = append(d.pulses, pulse{from: w.At.Add(-w.Span), peak: rate})
	}
}

func (d *Detector) say(now clock.Instant) []attack.Finding {
	if len(d.pulses) < leastOn {
		return nil
	}
	var apart, long []time.Duration
	peak := 0.0
	for i, p := range d.pulses {
		peak = max(peak, p.peak)
		if i > 0 {
			apart = append(apart, p.from.Sub(d.pulses[i-1].from))
		}
		if p.to != 0 {
			long = append(long, p.to.Sub(p.from))
		}
	}
	period, lasts := middle(apart), middle(long)
	last := d.pulses[len(d.pulses)-1]
	if last.to != 0 && now.Sub(last.from) > max(overdue*period, period+atLeast) {
		return nil
	}
	return []attack.Finding{{
		Vector: attack.PulseWave, Since: d.pulses[0].from, Rate: peak, Normal: d.normal, Confidence: 0.8,
		What: fmt.Sprintf("it comes about every %v and lasts %v", period.Round(time.Second), lasts.Round(time.Second)),
		Facts: []attack.Fact{
			{Name: "from one pulse's beginning to the next one's", Value: period.Seconds(), Unit: "s"},
			{Name: "a pulse lasts", Value: lasts.Seconds(), Unit: "s"},
			{Name: "of the time, in pulses", Value: min(lasts.Seconds()/max(period.Seconds(), 1e-9), 1), Unit: "share"},
			{Name: "pulses remembered", Value: float64(len(d.pulses)), Unit: "pulses"},
		},
	}}
}

// middle is the median, 0 of none.
func middle(l []time.Duration) time.Duration {
	if len(l) == 0 {
		return 0
	}
	slices.Sort(l)
	return l[len(l)/2]
}
