package decide

import (
	"time"

	"seawall/internal/mitigation"
)

// Ended is a mitigation that no longer acts. Its Match is nil once the address
// in it has been forgotten.
type Ended struct {
	mitigation.Mitigation
	At      time.Time
	Why     string
	EndedBy mitigation.By // who ordered the end; "" when it ended by itself
	Hits    uint64

	kind kind
}

// endings keeps ended mitigations, so that somebody who looks up a reference
// code can still be told of them: machine's bans apart from the rest, for a
// great many of those must not push out the few others.
type endings struct {
	byID  map[mitigation.ID]*Ended
	lists [2][]mitigation.ID // oldest first; 1: the machine's bans
}

func newEndings() endings { return endings{byID: make(map[mitigation.ID]*Ended)} }

func (l *endings) add(e Ended) {
	which := 0
	if e.kind == kindBan {
		which = 1
	}
	if _, ok := l.byID[e.ID]; !ok {
		l.lists[which] = append(l.lists[which], e.ID)
	}
	l.byID[e.ID] = &e
	// Room for some more, so that a great many ends do not each move the list.
	if n := len(l.lists[which]); n >= mostEnded+mostEnded/4 {
		for _, id := range l.lists[which][:n-mostEnded] {
			delete(l.byID, id)
		}
		l.lists[which] = append([]mitigation.ID(nil), l.lists[which][n-mostEnded:]...)
	}
}

func (l *endings) find(id mitigation.ID) (Ended, bool) {
	if e := l.byID[id]; e != nil {
		return *e, true
	}
	return Ended{}, false
}

func (l *endings) remove(id mitigation.ID) {
	if l.byID[id] == nil {
		return
	}
	delete(l.byID, id)
	for i, list := range l.lists {
		for j, have := range list {
			if have == id {
				l.lists[i] = append(list[:j:j], list[j+1:]...)
				break
			}
		}
	}
}

// since lists what ended at or after t, the machine's bans last.
func (l *endings) since(t time.Time) []Ended {
	var out []Ended
	for _, list := range l.lists {
		for _, id := range list {
			if e := l.byID[id]; !e.At.Before(t) {
				out = append(out, *e)
			}
		}
	}
	return out
}

// sweep forgets addresses within the hour, and all the rest after thirty days.
// It says whether there was anything to forget.
func (l *endings) sweep(now time.Time) bool {
	changed := false
	for i, list := range l.lists {
		kept := list[:0:0]
		for _, id := range list {
			e := l.byID[id]
			switch age := now.Sub(e.At); {
			case age > endedFor:
				delete(l.byID, id)
				changed = true
				continue
			case age > addressFor && aboutAddress(e.Match):
				redacted := *e
				redacted.Match = nil
				redacted.Note = redact(e.kind)
				l.byID[id] = &redacted
				changed = true
			}
			kept = append(kept, id)
		}
		l.lists[i] = kept
	}
	return changed
}

func redact(k kind) string {
	if k == kindBan {
		return "A client that went on after being refused many times was banned. Its address has been forgotten."
	}
	return "An order about an address. The address has been forgotten."
}
