package decide

import (
	"slices"
	"strconv"
	"time"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// begin makes m active under a new number. ttl 0 is without end.
func (d *Decider) begin(now Moment, k kind, m mitigation.Mitigation, ttl time.Duration) *entry {
	d.last++
	m.ID, m.From = d.last, now.Wall
	m.Shadow = m.Shadow || d.watch && m.By == mitigation.ByMachine
	e := &entry{m: m, kind: k, made: now.At, harsh: now.At, ttl: ttl}
	if ttl > 0 {
		e.until, e.m.Until = now.At.Add(ttl), now.Wall.Add(ttl)
	}
	d.index(e)
	d.publish(e)
	return e
}

// index files e under everything that it is looked up by.
func (d *Decider) index(e *entry) {
	d.active[e.m.ID] = e
	switch e.kind {
	case kindSignature, kindEmergency:
		d.byText[e.m.Match.String()] = e.m.ID
	case kindPackets:
		d.packet.byText[e.m.Match.String()] = e.m.ID
	case kindBan:
		d.machineBans++
	case kindOrder:
		d.orders++
		if e.pinned() {
			d.pinned[e.m.Match.String()] = e.m.ID
		}
	case kindRule:
		d.rules++
	}
	if p, ok := e.m.Banned(); ok && !(e.m.Shadow && e.kind == kindRule) {
		switch e.m.Action {
		case mitigation.Refuse, mitigation.Drop:
			d.bans[p] = e.m.ID
		case mitigation.Admit:
			d.allows.add(p)
		}
	}
}

// unfile takes e out of everything that index files it under.
func (d *Decider) unfile(e *entry) {
	delete(d.active, e.m.ID)
	switch e.kind {
	case kindSignature, kindEmergency:
		if text := e.m.Match.String(); d.byText[text] == e.m.ID {
			delete(d.byText, text)
		}
	case kindPackets:
		if text := e.m.Match.String(); d.packet.byText[text] == e.m.ID {
			delete(d.packet.byText, text)
		}
	case kindBan:
		d.machineBans--
	case kindOrder:
		d.orders--
		if text := e.m.Match.String(); d.pinned[text] == e.m.ID {
			delete(d.pinned, text)
		}
	case kindRule:
		d.rules--
	}
	if p, ok := e.m.Banned(); ok && !(e.m.Shadow && e.kind == kindRule) {
		if d.bans[p] == e.m.ID {
			delete(d.bans, p)
		}
		if e.m.Action == mitigation.Admit {
			d.allows.remove(p)
		}
	}
}

// end takes e out and keeps it among the ended. by is who ordered the end, ""
// when it ended by itself.
func (d *Decider) end(now Moment, e *entry, why string, by mitigation.By) {
	d.unfile(e)
	over := Ended{Mitigation: e.m, At: now.Wall, Why: why, EndedBy: by, Hits: e.hits, kind: e.kind}
	d.ended.add(over)
	d.out.Events = append(d.out.Events, Event{End: &EndEvent{ID: e.m.ID, At: now.Wall, Why: why, By: by, Hits: e.hits}})
	d.out.Changes = append(d.out.Changes, Change{Withdraw: e.m.ID})
}

// publish hands e as it is now to enforce and to the journal.
func (d *Decider) publish(e *entry) {
	m := e.m
	d.out.Changes = append(d.out.Changes, Change{Apply: &m})
	d.out.Events = append(d.out.Events, Event{Set: store(e)})
}

// extend makes e end in left.
func (d *Decider) extend(now Moment, e *entry, left time.Duration) {
	e.until, e.m.Until = now.At.Add(left), now.Wall.Add(left)
	d.publish(e)
}

// Restamp gives every mitigation its wall time anew, after the wall clock was
// set. What counts, the Instants, stays.
func (d *Decider) Restamp(now Moment) Output {
	for _, id := range d.ids() {
		e := d.active[id]
		e.m.From = now.Wall.Add(e.made.Sub(now.At))
		if e.until != 0 {
			e.m.Until = now.Wall.Add(e.until.Sub(now.At))
		}
		d.publish(e)
	}
	return d.take()
}

// ids lists what is active, oldest first.
func (d *Decider) ids() []mitigation.ID {
	out := make([]mitigation.ID, 0, len(d.active))
	for id := range d.active {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// sortedText lists signatures and the emergency, oldest first.
func (d *Decider) sortedText() []mitigation.ID {
	out := make([]mitigation.ID, 0, len(d.byText))
	for _, id := range d.byText {
		if d.active[id] != nil {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// Listed is a mitigation with what became of it, as people see it.
type Listed struct {
	mitigation.Mitigation
	Kind     string  `json:"kind"`                // signature (of requests or packets), emergency, ban, order or rule
	Hits     uint64  `json:"hits"`                // on a dry run: what it would have met
	Cleared  uint64  `json:"hits_cleared"`        // of them, requests of visitors with a clearance
	Asked    uint64  `json:"asked,omitempty"`     // of them, asked to come back with a cookie
	Answered uint64  `json:"answered,omitempty"`  // of those, who did
	Observed float64 `json:"observed_collateral"` // share of real visitors' sampled requests that it met
}

// told is the kind as people see it: whether a signature is of packets they see
// from its match.
func (k kind) told() string {
	if k == kindPackets {
		k = kindSignature
	}
	return string(k)
}

func (e *entry) listed() Listed {
	l := Listed{Mitigation: e.m, Kind: e.kind.told(), Hits: e.hits, Cleared: e.cleared, Asked: e.asked, Answered: e.answered}
	if e.good > 0 {
		l.Observed = float64(e.met) / float64(e.good)
	}
	return l
}

// List lists what is active: first what is no machine's ban, newest first, then
// the bans, newest first; at most limit of them (0: all).
func (d *Decider) List(limit int) []Listed {
	ids := d.ids()
	slices.Reverse(ids)
	out := make([]Listed, 0, min(len(ids), max(limit, 64)))
	for _, bans := range []bool{false, true} {
		for _, id := range ids {
			if limit > 0 && len(out) >= limit {
				return out
			}
			if e := d.active[id]; (e.kind == kindBan) == bans {
				out = append(out, e.listed())
			}
		}
	}
	return out
}

// Counts says how many mitigations are active, and how many of them are bans
// by the machine.
func (d *Decider) Counts() (active, bans int) { return len(d.active), d.machineBans }

// Idle says that nothing is active but rules, which always are.
func (d *Decider) Idle() bool { return len(d.active) == d.rules }

// Known is a mitigation that is active, or was.
type Known struct {
	Listed
	Active bool      `json:"active"`
	Ended  time.Time `json:"ended,omitzero"`     // valid iff not Active
	Why    string    `json:"why_ended,omitzero"` // valid iff not Active
}

// Find looks a mitigation up, ended ones too.
func (d *Decider) Find(id mitigation.ID) (Known, bool) {
	if e := d.active[id]; e != nil {
		return Known{Listed: e.listed(), Active: true}, true
	}
	if e, ok := d.ended.find(id); ok {
		return Known{Listed: Listed{Mitigation: e.Mitigation, Kind: e.kind.told(), Hits: e.Hits}, Ended: e.At, Why: e.Why}, true
	}
	return Known{}, false
}

// aboutAddress says whether a match names an address.
func aboutAddress(m *match.Match) bool {
	if m == nil {
		return false
	}
	return slices.ContainsFunc(m.Tests(), func(t match.Test) bool { return t.Field() == traffic.FieldClient })
}

func itoa(id mitigation.ID) string { return strconv.FormatUint(uint64(id), 10) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
