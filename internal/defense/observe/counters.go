package observe

import (
	"sync/atomic"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// fate is what became of a request, as coarse as the exact counters need it.
type fate uint8

const (
	refused     fate = iota // turned away by the door
	copied                  // turned away, but with a saved copy of the page
	admitted                // let in, and not served
	admittedYes             // let in, and served
	slowed                  // let in behind everybody else, and not served
	slowedYes               // let in behind everybody else, and served
	challenged              // asked to come back with a cookie
	fates
)

func fateOf(d mitigation.Verdict, o *traffic.Outcome) fate {
	served := !o.Shed && o.Status >= 100 && o.Status < 500
	f := refused
	switch d.Action {
	case mitigation.Admit:
		f = admitted
	case mitigation.Slow:
		f = slowed
	case mitigation.Challenge:
		return challenged
	case mitigation.ServeCopy:
		// f + 1 is copied.
	default:
		served = false
	}
	if served {
		f++
	}
	return f
}

func (f fate) served() bool { return f == copied || f == admittedYes || f == slowedYes }

const cells = int(fates) * int(traffic.Kinds) * int(traffic.Clearances)

// counts are the exact counters of some stretch of time. One cell stands for
// one combination of fate, kind and clearance, so that a request costs one
// atomic addition for all of them.
type counts struct {
	cell     [cells]uint64
	asked    uint64
	failed   uint64
	shed     uint64
	answered uint64 // asked, and with a time to the first byte
	waited   uint64 // sum of those times, nanoseconds
	lost     uint64
}

// lane is a set of exact counters that only ever grow. There are several, so
// that processors seldom meet on one.
type lane struct {
	_        [64]byte // a cache line of distance to the neighbour
	cell     [cells]atomic.Uint64
	asked    atomic.Uint64
	failed   atomic.Uint64
	shed     atomic.Uint64
	answered atomic.Uint64
	waited   atomic.Uint64
	lost     atomic.Uint64
	_        [64]byte
}

func cellOf(f fate, v *traffic.Visit) int {
	k, c := min(v.Kind, traffic.Kinds-1), min(v.Clearance, traffic.Clearances-1)
	return (int(f)*int(traffic.Kinds)+int(k))*int(traffic.Clearances) + int(c)
}

func (l *lane) add(f fate, v *traffic.Visit, o *traffic.Outcome) {
	l.cell[cellOf(f, v)].Add(1)
	if o.Reached {
		l.asked.Add(1)
		if o.OriginTime > 0 {
			l.answered.Add(1)
			l.waited.Add(uint64(o.OriginTime))
		}
		if o.Failed {
			l.failed.Add(1)
		}
	}
	if o.Shed {
		l.shed.Add(1)
	}
}

// read adds up all lanes. It is no snapshot of one instant: a request that is
// being recorded meanwhile may show in some counters and in others next time.
func (o *Observer) read() counts {
	var c counts
	for i := range o.lanes {
		l := &o.lanes[i]
		for j := range l.cell {
			c.cell[j] += l.cell[j].Load()
		}
		c.asked += l.asked.Load()
		c.failed += l.failed.Load()
		c.shed += l.shed.Load()
		c.answered += l.answered.Load()
		c.waited += l.waited.Load()
		c.lost += l.lost.Load()
	}
	return c
}

// since returns how much was added after was.
func (c *counts) since(was *counts) counts {
	d := *c
	for i := range d.cell {
		d.cell[i] -= was.cell[i]
	}
	d.asked -= was.asked
	d.failed -= was.failed
	d.shed -= was.shed
	d.answered -= was.answered
	d.waited -= was.waited
	d.lost -= was.lost
	return d
}

// Glance is what the exact counters saw since the last Peek.
type Glance struct {
	At   clock.Instant // its end
	Span time.Duration // its length

	Offered, Admitted, Slowed, Challenged, Refused uint64 // Admitted counts the slowed too

	ByKind      [traffic.Kinds]uint64 // offered
	ByClearance [traffic.Clearances]uint64
	AdmittedBy  [traffic.Clearances]uint64
	AskedBy     [traffic.Clearances]uint64 // challenged

	AdmittedKind [traffic.Kinds]uint64
	ServedBy     [traffic.Clearances]uint64

	Asked, Failed, Shed uint64        // of the origin; see traffic.Origin
	OriginTime          time.Duration // mean time to the origin's first byte; 0 when it gave none
}

// Rate returns n as a rate per second over the glance.
func (g *Glance) Rate(n uint64) float64 {
	if g.Span <= 0 {
		return 0
	}
	return float64(n) / g.Span.Seconds()
}

func (c *counts) glance() Glance {
	g := Glance{Asked: c.asked, Failed: c.failed, Shed: c.shed}
	if c.answered > 0 {
		g.OriginTime = time.Duration(c.waited / c.answered)
	}
	i := 0
	for f := range fates {
		for k := range traffic.Kinds {
			for cl := range traffic.Clearances {
				n := c.cell[i]
				i++
				g.Offered += n
				g.ByKind[k] += n
				g.ByClearance[cl] += n
				switch f {
				case refused, copied:
					g.Refused += n
				case challenged:
					g.Challenged += n
					g.AskedBy[cl] += n
				case slowed, slowedYes:
					g.Slowed += n
					fallthrough
				default:
					g.Admitted += n
					g.AdmittedBy[cl] += n
					g.AdmittedKind[k] += n
				}
				if f.served() {
					g.ServedBy[cl] += n
				}
			}
		}
	}
	return g
}
