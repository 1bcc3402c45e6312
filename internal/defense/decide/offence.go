package decide

import (
	"net/netip"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
)

// Offences bans clients that went on after being refused many times: a minute,
// and twice as long each time they come back within the hour. The door lets
// protected visitors behind a banned prefix pass.
func (d *Decider) Offences(now Moment, list []mitigation.Offence) Output {
	for _, o := range list {
		d.offence(now, o)
	}
	return d.take()
}

func (d *Decider) offence(now Moment, o mitigation.Offence) {
	p := o.Prefix.Masked()
	switch {
	case d.off || !p.IsValid():
		return
	case d.allows.covers(p), d.undone.barsPrefix(p, now.At):
		return
	}
	if id, banned := d.bans[p]; banned {
		// Met behind a proxy first, and now at the other end of a connection.
		if e := d.active[id]; e.kind == kindBan && o.Direct && !e.m.Direct {
			e.m.Direct = true
			d.publish(e)
		}
		return
	}
	if d.machineBans >= d.cfg.Bans {
		d.noRoom++
		return
	}
	times := d.offenders.again(p, now.At)
	ttl := min(d.cfg.Ban<<min(times, 20), d.cfg.BanMost)
	d.begin(now, kindBan, mitigation.Mitigation{
		Match: match.Client(p), Action: mitigation.Refuse, By: mitigation.ByMachine,
		Note:   "This client went on after being refused many times within a minute.",
		Direct: o.Direct,
	}, ttl)
	d.newBans++
}

// offenders remembers who was banned lately, and how often. When it is full,
// the oldest is forgotten.
type offenders struct {
	seen  map[netip.Prefix]offender
	queue []netip.Prefix // oldest first; may hold forgotten ones
}

type offender struct {
	times int
	last  clock.Instant
}

func newOffenders() offenders { return offenders{seen: make(map[netip.Prefix]offender)} }

// again notes an offence and tells how many there were before it.
func (o *offenders) again(p netip.Prefix, now clock.Instant) int {
	was, ok := o.seen[p]
	if ok && now.Sub(was.last) > offenderFor {
		was.times = 0
	}
	if !ok {
		for len(o.seen) >= mostOffenders && len(o.queue) > 0 {
			delete(o.seen, o.queue[0])
			o.queue = o.queue[1:]
		}
		o.queue = append(o.queue, p)
	}
	o.seen[p] = offender{times: min(was.times+1, 30), last: now}
	return was.times
}

func (o *offenders) sweep(now clock.Instant) {
	var kept []netip.Prefix
	for _, p := range o.queue {
		if s, ok := o.seen[p]; ok && now.Sub(s.last) <= offenderFor-10*time.Minute {
			kept = append(kept, p)
		} else {
			delete(o.seen, p)
		}
	}
	o.queue = kept
}
