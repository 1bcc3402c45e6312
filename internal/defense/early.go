package defense

import (
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

const (
	// earliest is how much of a window there must be before its packets are looked
	// at: rates of less are chance, and there are too few samples to say what
	// packets have in common.
	earliest = 300 * time.Millisecond
	// A kind of packet abounds above so many a second, the least that a detector
	// calls a flood by default, and so many times its usual peak.
	aboundLeast = 1000
	aboundTimes = 3
	// mostEarly looks are had at what abounds. If it is no flood by then, it is a
	// crowd, or stopped already. What has not abounded for earlyAgain may be new.
	mostEarly  = 4
	earlyAgain = 10 * time.Second
)

// Brief is a Detector of floods of packets that can judge a part of a window, from
// its beginning: At, Wall, Span, Offered, the line of Origin, and Packets. The
// whole window comes later.
type Brief interface {
	Brief(w *traffic.Window, n *traffic.Normal) []attack.Finding
}

// earlyLooks is what is known of looks at windows that are not over.
type earlyLooks struct {
	head   traffic.Packets // of this window, taken from the filter already
	looked bool            // at this window
	n      int             // looks since something abounds
	last   clock.Instant   // when something abounded last
}

// take adds what the filter has counted since it was asked last to the window's
// packets.
func (e *earlyLooks) take(p traffic.Packets) traffic.Packets {
	e.head = e.head.And(p)
	return e.head
}

// lookEarly looks at the packets of a window that is not over, where so many have
// come that a flood need not wait for its end. It begins floods and ends none, and
// requests are not looked at.
func (l *Loop) lookEarly(now decide.Moment, since time.Duration) {
	if l.deps.PacketsYet == nil || l.early.looked || since < earliest-glanceEvery/2 || l.packets.held() {
		return
	}
	n := l.baseline.Normal()
	if !abounds(l.deps.PacketsYet(), since, n) {
		return
	}
	if now.At.Sub(l.early.last) >= earlyAgain {
		l.early.n = 0
	}
	l.early.last = now.At
	if l.early.n >= mostEarly {
		return
	}
	l.early.n++
	l.early.looked = true
	o := l.origin()
	w := &traffic.Window{At: now.At, Wall: now.Wall, Span: since, Offered: l.observer.Offered(), Packets: l.early.take(l.deps.Packets())}
	w.Origin.InFlight, w.Origin.Waiting, w.Origin.Behind = o.InFlight, o.Waiting, o.Behind
	var findings []attack.Finding
	for _, d := range l.detectors {
		if d, ok := d.(Brief); ok {
			findings = append(findings, d.Brief(w, n)...)
		}
	}
	floods := l.packetFloods(w, n, findings)
	if len(floods) == 0 {
		return
	}
	l.take(now, l.decider.Early(decide.Input{Now: now, Window: w, Packets: floods}))
	for i := range floods {
		l.enterPackets(now, w, &floods[i])
	}
	l.changed = true
}

// abounds says whether there is clearly more than usual of a kind.
func abounds(came [traffic.PacketKinds]uint64, since time.Duration, n *traffic.Normal) bool {
	for k, count := range came {
		if float64(count)/since.Seconds() > max(aboundLeast, aboundTimes*n.Packets.Kinds[k].Peak) {
			return true
		}
	}
	return false
}

// held says whether there are floods, and most of each is stopped.
func (b *packetBook) held() bool {
	for _, a := range b.current {
		if a.Mitigated == nil {
			return false
		}
	}
	return len(b.current) > 0
}
