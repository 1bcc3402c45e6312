package httpflood

import (
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// How much of the shape (see shape.score) makes a flood.
const (
	scoreFlood     = 0.5  // by itself
	scoreSuffering = 0.35 // while the origin suffers
	scorePlain     = 0.7  // enough not to wait for a second window
	scoreCrowd     = 0.25 // below it, demand is a crowd
	scoreStill     = 0.2  // below it, a flood that runs is taken for over
)

// youth is how much ordinary traffic must have been seen before shares of
// fields mean anything.
const youth = 5 * time.Second

// Detector tells floods from crowds. It remembers what it said of the windows
// before. Make it with New.
type Detector struct {
	cfg Config

	suspect bool          // the last window looked like a flood
	flood   bool          // a flood runs
	floodAt clock.Instant // since then
	calm    time.Duration // how long the flood has been quiet
	crowd   bool          // a crowd is here
	crowdAt clock.Instant
	since   clock.Instant // when suspicion began
	comes   traffic.Arrivals
	rate    float64 // requests a second of the last window
	blocked float64 // packets a second that the block list usually stops
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "httpflood" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 {
		return nil
	}
	if n == nil {
		n = &traffic.Normal{}
	}
	came := d.comes.Came(w)
	dem := d.demand(w.Steady(came), n)
	dem.rate = w.Rate(came)
	d.rate = dem.rate
	pain := suffering(w, n)
	sh := shapeOf(w, n)
	begin := w.At.Add(-w.Span)

	looks := dem.high && sh.score >= scoreFlood ||
		pain.any && (dem.high || dem.strained) && sh.score >= scoreSuffering
	blatant := dem.blatant && sh.score >= scoreFlood
	switch {
	case looks && d.flood:
		d.calm = 0
	case looks:
		if !d.suspect {
			d.since = begin
		}
		if d.suspect || blatant || pain.any || sh.score >= scorePlain {
			d.flood, d.floodAt, d.calm, d.crowd = true, d.since, 0, false
		}
	case d.flood && d.still(w, n, dem, sh):
		d.calm = 0
	case d.flood:
		if d.calm += w.Span; d.calm >= d.cfg.EndAfter {
			d.flood = false
		}
	}
	d.suspect = looks
	if !d.flood && !looks {
		d.blocked += (w.Rate(w.Packets.Blocked()) - d.blocked) / blockedMemory
	}
	if d.flood {
		return []attack.Finding{d.finding(attack.HTTPFlood, d.floodAt, w, n, dem, pain, sh, blatant)}
	}

	if n.Learned < youth {
		// What is not known to be usual cannot be more than usual.
		d.crowd = false
		return nil
	}
	if dem.high && sh.score < scoreCrowd {
		if !d.crowd {
			d.crowd, d.crowdAt = true, begin
		}
	} else if !dem.lingers || sh.score >= scoreFlood {
		d.crowd = false
	}
	if d.crowd {
		return []attack.Finding{d.finding(attack.FlashCrowd, d.crowdAt, w, n, dem, pain, sh, false)}
	}
	return nil
}

// still says whether a flood that was found goes on: its shape is still there,
// or what we refuse is, or what the kernel stops.
func (d *Detector) still(w *traffic.Window, n *traffic.Normal, dem demand, sh shape) bool {
	met := w.Reasons["mitigation"] + w.Reasons["ban"] // the slowed among them
	turnedAway := w.Rate(met - min(w.Slowed, met))
	return dem.lingers && sh.score >= scoreStill || turnedAway >= max(20, n.Requests/2) || d.held(w)
}

// What the kernel stops never becomes a request. A client whose packets vanish
// asks for its connections again, each once in one to some twenty seconds, so
// that few packets stand for many requests.
const (
	blockedFloor  = 5  // packets a second that say that a flood waits outside
	blockedTimes  = 2  // or as many times those that are stopped in peace
	blockedMemory = 30 // windows over which the latter are averaged
)

// held says whether the block list holds a flood off that would come back.
func (d *Detector) held(w *traffic.Window) bool {
	return w.Rate(w.Packets.Blocked()) >= max(blockedFloor, blockedTimes*d.blocked)
}

func (d *Detector) finding(v attack.Vector, since clock.Instant, w *traffic.Window, n *traffic.Normal,
	dem demand, pain pain, sh shape, blatant bool) attack.Finding {
	f := attack.Finding{
		Vector: v, Target: target(w), Since: since,
		Rate: dem.rate, Normal: n.Requests,
		Suffering: pain.any, Blatant: blatant,
		Facts: []attack.Fact{{Name: "requests offered", Value: dem.rate, Usual: n.Requests, Unit: "/s"}},
		Top:   sh.top,
	}
	if n := w.Packets.Blocked(); n > 0 {
		f.Facts = append(f.Facts, attack.Fact{Name: "packets stopped by the block list", Value: w.Rate(n), Usual: d.blocked, Unit: "/s"})
	}
	f.Facts = append(f.Facts, pain.facts...)
	f.Facts = append(f.Facts, sh.facts...)
	if v == attack.HTTPFlood {
		f.What = whatOf(w, n)
		f.Confidence = 0.4 + 0.5*min(max(sh.score, 0), 1)
	} else {
		f.Confidence = 0.5 + 0.5*min(max(-sh.score, 0), 0.8)
	}
	if pain.any && v == attack.HTTPFlood {
		f.Confidence += 0.08
	}
	f.Confidence = min(f.Confidence, 0.99)
	return f
}

// target is the host that nearly everybody asked for, or "" when several are
// meant.
func target(w *traffic.Window) string {
	top := w.Top[traffic.FieldHost]
	if len(top) == 0 || w.Offered == 0 || float64(top[0].Count) < 0.8*float64(w.Offered) {
		return ""
	}
	return top[0].Key
}
