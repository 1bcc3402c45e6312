package decide

import (
	"net/netip"
	"slices"

	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/traffic"
)

// lookup is a counted set of prefixes that tells whether one of them covers
// another prefix.
type lookup struct {
	n    map[netip.Prefix]int
	bits [2][129]int // entries by length: IPv4, IPv6
}

func newLookup() lookup { return lookup{n: make(map[netip.Prefix]int)} }

func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

func (l *lookup) add(p netip.Prefix) {
	l.n[p]++
	l.bits[family(p)][p.Bits()]++
}

func (l *lookup) remove(p netip.Prefix) {
	if l.n[p] == 0 {
		return
	}
	l.bits[family(p)][p.Bits()]--
	if l.n[p]--; l.n[p] == 0 {
		delete(l.n, p)
	}
}

// covers says whether an entry contains the whole of p.
func (l *lookup) covers(p netip.Prefix) bool {
	if len(l.n) == 0 {
		return false
	}
	by := &l.bits[family(p)]
	for bits := range p.Bits() + 1 {
		if by[bits] == 0 {
			continue
		}
		if wide, err := p.Addr().Prefix(bits); err == nil && l.n[wide] > 0 {
			return true
		}
	}
	return false
}

// undone remembers what people undid, so that the machine does not repeat it.
// When it is full, the oldest is forgotten.
type undone struct {
	until    map[string]clock.Instant // by the match's text
	matches  map[string]*match.Match  // those that are not about one prefix
	prefixes lookup
	queue    []string
}

func newUndone() undone {
	return undone{until: make(map[string]clock.Instant), matches: make(map[string]*match.Match), prefixes: newLookup()}
}

func (u *undone) add(m *match.Match, until clock.Instant) {
	text := m.String()
	if _, ok := u.until[text]; !ok {
		for len(u.until) >= mostUndone && len(u.queue) > 0 {
			u.forget(u.queue[0])
			u.queue = u.queue[1:]
		}
		u.queue = append(u.queue, text)
		if p, ok := m.OnlyClient(); ok {
			u.prefixes.add(p)
		}
		u.matches[text] = m
	}
	u.until[text] = max(u.until[text], until)
}

func (u *undone) forget(text string) {
	if m := u.matches[text]; m != nil {
		if p, ok := m.OnlyClient(); ok {
			u.prefixes.remove(p)
		}
	}
	delete(u.until, text)
	delete(u.matches, text)
}

// sweep forgets what is over and says whether there was anything.
func (u *undone) sweep(now clock.Instant) bool {
	n := len(u.until)
	u.queue = slices.DeleteFunc(u.queue, func(text string) bool {
		if now < u.until[text] {
			return false
		}
		u.forget(text)
		return true
	})
	return len(u.until) < n
}

func (u *undone) barsText(text string, now clock.Instant) bool { return now < u.until[text] }

func (u *undone) barsPrefix(p netip.Prefix, now clock.Instant) bool {
	if !u.prefixes.covers(p) {
		return false
	}
	for bits := range p.Bits() + 1 {
		if wide, err := p.Addr().Prefix(bits); err == nil && u.barsText(match.Client(wide).String(), now) {
			return true
		}
	}
	return false
}

// The share of requests that two matches must have in common for the one to be
// a repetition of the other.
const sameRequests = 0.3

// bars says whether m would repeat something undone: the same match, a part of
// it, a wider one, or one that meets the same requests.
func (u *undone) bars(m *match.Match, w *traffic.Window, now clock.Instant) bool {
	if u.barsText(m.String(), now) {
		return true
	}
	tooWide := unknown().String() // to stand for anything but itself
	for text, was := range u.matches {
		if _, ok := was.OnlyClient(); ok || text == tooWide || now >= u.until[text] {
			continue
		}
		if within(was, m) || within(m, was) || overlap(m, was, w) >= sameRequests {
			return true
		}
	}
	return false
}

// any says whether anything is undone that is not about one prefix.
func (u *undone) any(now clock.Instant) bool {
	for text, was := range u.matches {
		if _, ok := was.OnlyClient(); !ok && now < u.until[text] {
			return true
		}
	}
	return false
}

// within says that every condition of wide is one of narrow.
func within(wide, narrow *match.Match) bool {
	have := narrow.Tests()
	for _, t := range wide.Tests() {
		text := t.String()
		if !slices.ContainsFunc(have, func(h match.Test) bool { return h.String() == text }) {
			return false
		}
	}
	return true
}

// overlap is the share of m's sampled requests that was meets too.
func overlap(m, was *match.Match, w *traffic.Window) float64 {
	if w == nil {
		return 0
	}
	hit, both := 0, 0
	for i := range w.Samples {
		if v := &w.Samples[i].Visit; m.Hits(v) {
			hit++
			if was.Hits(v) {
				both++
			}
		}
	}
	if hit == 0 {
		return 0
	}
	return float64(both) / float64(hit)
}
