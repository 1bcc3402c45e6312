package decide

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/match"
	"seawall/internal/mitigation"
)

// Event is one line of the journal: exactly one field is set. Replaying the
// events of a journal, oldest first, gives back what was decided; replaying
// some of them twice does no harm.
type Event struct {
	Set    *SetEvent     `json:"set,omitempty"`
	End    *EndEvent     `json:"end,omitempty"`
	Undone *UndoneEvent  `json:"undone,omitempty"`
	Last   mitigation.ID `json:"last,omitempty"` // numbers given out so far
}

// Matched is a match as it stands on disk: one prefix, or an expression, or
// neither when it has been forgotten.
type Matched struct {
	Client netip.Prefix `json:"client,omitzero"`
	Match  string       `json:"match,omitempty"`
}

// SetEvent says that a mitigation stands as it is told here.
type SetEvent struct {
	ID     mitigation.ID     `json:"id"`
	Kind   string            `json:"kind"`
	Action mitigation.Action `json:"action"`
	From   time.Time         `json:"from"`
	Until  time.Time         `json:"until,omitzero"`
	By     mitigation.By     `json:"by"`
	Note   string            `json:"note,omitempty"`
	Direct bool              `json:"direct,omitempty"`
	Name   string            `json:"name,omitempty"`
	Shadow bool              `json:"dry_run,omitempty"`
	Matched

	Finding   *attack.Finding   `json:"finding,omitempty"`
	Signature *attack.Signature `json:"signature,omitempty"`
	Expected  float64           `json:"expected,omitempty"`
}

// EndEvent says that a mitigation ended.
type EndEvent struct {
	ID   mitigation.ID `json:"id"`
	At   time.Time     `json:"at"`
	Why  string        `json:"why"`
	By   mitigation.By `json:"by,omitempty"`
	Hits uint64        `json:"hits,omitempty"`
}

// UndoneEvent says that the machine may not repeat something for a while.
type UndoneEvent struct {
	Match Matched   `json:"match"`
	Until time.Time `json:"until"`
}

func writeMatch(m *match.Match) Matched {
	if m == nil {
		return Matched{}
	}
	if p, ok := m.OnlyClient(); ok {
		return Matched{Client: p}
	}
	return Matched{Match: m.String()}
}

// read returns nil without error for what has been forgotten.
func (m Matched) read() (*match.Match, error) {
	switch {
	case m.Client.IsValid():
		return match.Client(m.Client), nil
	case m.Match != "":
		return match.Parse(m.Match)
	}
	return nil, nil
}

func store(e *entry) *SetEvent { return storeMitigation(&e.m, e.kind) }

func storeMitigation(m *mitigation.Mitigation, k kind) *SetEvent {
	return &SetEvent{
		ID: m.ID, Kind: string(k), Action: m.Action, From: m.From, Until: m.Until, By: m.By, Note: m.Note, Direct: m.Direct,
		Name: m.Name, Shadow: m.Shadow, Matched: writeMatch(m.Match), Finding: m.Finding, Signature: m.Signature, Expected: m.Expected,
	}
}

// mined says that the entry rests on a signature.
func (e *entry) mined() bool { return e.kind == kindSignature || e.kind == kindPackets }

// Encode writes an event for the journal.
func (e *Event) Encode() ([]byte, error) { return json.Marshal(e) }

// Restored says what a journal held.
type Restored struct {
	Active  int // mitigations that stand again
	Expired int // whose time ran out meanwhile
	Bad     int // events that could not be read, and are left out
}

// Restore takes over what a journal holds. It is called once, on a new
// Decider. Output holds what enforce has to apply, and the ends of what expired
// meanwhile.
func (d *Decider) Restore(now Moment, each func(func(rec []byte) error) error) (Restored, Output, error) {
	var r Restored
	set := make(map[mitigation.ID]*entry)
	err := each(func(rec []byte) error {
		var ev Event
		if err := json.Unmarshal(rec, &ev); err != nil {
			r.Bad++
			return nil
		}
		switch {
		case ev.Set != nil:
			d.last = max(d.last, ev.Set.ID)
			e, err := ev.Set.entry(now, d.cfg.TimeToLive)
			if err != nil {
				r.Bad++
				return nil
			}
			d.ended.remove(e.m.ID)
			set[e.m.ID] = e
		case ev.End != nil:
			if e := set[ev.End.ID]; e != nil {
				delete(set, ev.End.ID)
				d.ended.add(Ended{Mitigation: e.m, At: ev.End.At, Why: ev.End.Why, EndedBy: ev.End.By, Hits: ev.End.Hits, kind: e.kind})
			}
		case ev.Undone != nil:
			m, err := ev.Undone.Match.read()
			if err != nil || m == nil {
				r.Bad++
				return nil
			}
			if left := ev.Undone.Until.Sub(now.Wall); left > 0 {
				d.undone.add(m, now.At.Add(min(left, undoneFor)))
			}
		default:
			d.last = max(d.last, ev.Last)
		}
		return nil
	})
	if err != nil {
		return r, Output{}, fmt.Errorf("read the journal of mitigations: %w", err)
	}
	ids := make([]mitigation.ID, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		e := set[id]
		if e.m.Match == nil {
			r.Bad++
			continue
		}
		if e.m.By == mitigation.ByMachine {
			e.m.Shadow = d.watch // it was made in the other mode, maybe
		}
		d.index(e)
		if e.m.Expired(now.Wall) {
			d.end(now, e, "its time was over", "")
			r.Expired++
			continue
		}
		// A mined signature has to be met again soon, or it is over.
		if most := d.cfg.TimeToLive; e.mined() && e.until.Sub(now.At) > most {
			d.extend(now, e, most)
		} else {
			m := e.m
			d.out.Changes = append(d.out.Changes, Change{Apply: &m})
		}
		r.Active++
	}
	return r, d.take(), nil
}

func (s *SetEvent) entry(now Moment, ttl time.Duration) (*entry, error) {
	m, err := s.Matched.read()
	if err != nil {
		return nil, err
	}
	k := kind(s.Kind)
	switch k {
	case kindSignature, kindPackets, kindEmergency, kindBan, kindOrder, kindRule:
	default:
		return nil, fmt.Errorf("unknown kind %q", s.Kind)
	}
	e := &entry{kind: k, m: mitigation.Mitigation{
		ID: s.ID, Match: m, Action: s.Action, From: s.From, Until: s.Until, By: s.By, Note: s.Note, Direct: s.Direct && k == kindBan,
		Name: s.Name, Shadow: s.Shadow,
		Finding: s.Finding, Signature: s.Signature, Expected: s.Expected,
	}}
	e.made = now.At.Add(s.From.Sub(now.Wall))
	e.harsh = e.made
	if !s.Until.IsZero() {
		e.until = now.At.Add(s.Until.Sub(now.Wall))
		if e.until == 0 {
			e.until = 1
		}
		if e.ttl = s.Until.Sub(s.From); e.mined() {
			e.ttl = ttl // the end was put off whenever the flood met it
		}
	}
	return e, nil
}

// Snapshot adds the events that everything can be restored from.
func (d *Decider) Snapshot(now Moment, add func(Event) error) error {
	if err := add(Event{Last: d.last}); err != nil {
		return err
	}
	for _, list := range d.ended.lists {
		for _, id := range list {
			e := d.ended.byID[id]
			if err := add(Event{Set: storeMitigation(&e.Mitigation, e.kind)}); err != nil {
				return err
			}
			if err := add(Event{End: &EndEvent{ID: id, At: e.At, Why: e.Why, By: e.EndedBy, Hits: e.Hits}}); err != nil {
				return err
			}
		}
	}
	for _, id := range d.ids() {
		if err := add(Event{Set: store(d.active[id])}); err != nil {
			return err
		}
	}
	for _, text := range d.undone.queue {
		until := now.Wall.Add(d.undone.until[text].Sub(now.At))
		if err := add(Event{Undone: &UndoneEvent{Match: writeMatch(d.undone.matches[text]), Until: until}}); err != nil {
			return err
		}
	}
	return nil
}
