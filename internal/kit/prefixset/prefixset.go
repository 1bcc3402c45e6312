package prefixset

import (
	"errors"
	"iter"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"seawall/internal/kit/clock"
)

// Errors of Insert.
var (
	ErrFull    = errors.New("the set is full")
	ErrInvalid = errors.New("not a valid prefix")
)

// Set maps prefixes to values. Make one with New. Safe for concurrent use.
type Set[V any] struct {
	table atomic.Pointer[bart.Table[entry[V]]] // nil while empty
	max   int
	mu    sync.Mutex // writers only
}

type entry[V any] struct {
	value V
	until clock.Instant // 0: has no end
}

func (e *entry[V]) live(now clock.Instant) bool { return e.until == 0 || now < e.until }

// New makes an empty set that will hold at most max prefixes.
func New[V any](max int) *Set[V] { return &Set[V]{max: max} }

// Insert puts p into the set, or replaces its value and end. until 0 means that
// it has no end. When the set is full, entries that have ended make room;
// ErrFull says that there were none.
func (s *Set[V]) Insert(p netip.Prefix, v V, until, now clock.Instant) error {
	p, ok := canonical(p)
	if !ok {
		return ErrInvalid
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table.Load()
	if t == nil {
		t = new(bart.Table[entry[V]])
	}
	if _, there := t.Get(p); !there && t.Size() >= s.max {
		if t = sweep(t, now); t.Size() >= s.max {
			return ErrFull
		}
	}
	s.store(t.InsertPersist(p, entry[V]{v, until}))
	return nil
}

// Delete takes p, and exactly p, out of the set.
func (s *Set[V]) Delete(p netip.Prefix) {
	p, ok := canonical(p)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.table.Load(); t != nil {
		s.store(t.DeletePersist(p))
	}
}

// Sweep gives back the memory of entries that have ended.
func (s *Set[V]) Sweep(now clock.Instant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.table.Load(); t != nil {
		s.store(sweep(t, now))
	}
}

// Len is how many prefixes the set holds, ended ones that were not yet swept
// among them.
func (s *Set[V]) Len() int {
	if t := s.table.Load(); t != nil {
		return t.Size()
	}
	return 0
}

// Get returns the value of exactly p, unless it has ended.
func (s *Set[V]) Get(p netip.Prefix, now clock.Instant) (v V, ok bool) {
	p, valid := canonical(p)
	t := s.table.Load()
	if t == nil || !valid {
		return v, false
	}
	e, there := t.Get(p)
	if !there || !e.live(now) {
		return v, false
	}
	return e.value, true
}

// Longest returns the value of the longest prefix that covers a and has not
// ended.
func (s *Set[V]) Longest(a netip.Addr, now clock.Instant) (v V, ok bool) {
	t := s.table.Load()
	if t == nil {
		return v, false
	}
	a = plain(a)
	e, ok := t.Lookup(a)
	if !ok {
		return v, false
	}
	if e.live(now) {
		return e.value, true
	}
	for e := range covering(t, a) { // rare: the longest has ended and is not swept
		if e.live(now) {
			return e.value, true
		}
	}
	return v, false
}

// Covers says whether any prefix that has not ended covers a.
func (s *Set[V]) Covers(a netip.Addr, now clock.Instant) bool {
	_, ok := s.Longest(a, now)
	return ok
}

// Overlaps says whether a prefix of the set shares an address with p: covers it,
// or lies in it. What has ended counts until it is swept.
func (s *Set[V]) Overlaps(p netip.Prefix) bool {
	p, ok := canonical(p)
	t := s.table.Load()
	return ok && t != nil && t.OverlapsPrefix(p)
}

// Any says whether a prefix covers a, has not ended and is wanted, longest
// first, and returns its value. Where a single wanted prefix is enough, a
// longer unwanted one does not hide it, as it would in Longest.
func (s *Set[V]) Any(a netip.Addr, now clock.Instant, wanted func(V) bool) (v V, ok bool) {
	t := s.table.Load()
	if t == nil {
		return v, false
	}
	for e := range covering(t, plain(a)) {
		if e.live(now) && wanted(e.value) {
			return e.value, true
		}
	}
	return v, false
}

// All yields every prefix that has not ended, in no particular order, as they
// were when it was called.
func (s *Set[V]) All(now clock.Instant) iter.Seq2[netip.Prefix, V] {
	t := s.table.Load()
	return func(yield func(netip.Prefix, V) bool) {
		if t == nil {
			return
		}
		for p, e := range t.All() {
			if e.live(now) && !yield(p, e.value) {
				return
			}
		}
	}
}

// store publishes t; an empty table is none, which is the fastest to look up.
func (s *Set[V]) store(t *bart.Table[entry[V]]) {
	if t.Size() == 0 {
		t = nil
	}
	s.table.Store(t)
}

// covering yields the entries that cover a, longest first.
func covering[V any](t *bart.Table[entry[V]], a netip.Addr) iter.Seq[entry[V]] {
	return func(yield func(entry[V]) bool) {
		for bits := a.BitLen(); a.IsValid() && bits >= 0; {
			p, e, ok := t.LookupPrefixLPM(netip.PrefixFrom(a, bits).Masked())
			if !ok || !yield(e) {
				return
			}
			bits = p.Bits() - 1
		}
	}
}

func sweep[V any](t *bart.Table[entry[V]], now clock.Instant) *bart.Table[entry[V]] {
	for p, e := range t.All() { // t itself is not changed
		if !e.live(now) {
			t = t.DeletePersist(p)
		}
	}
	return t
}

func plain(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Zone() != "" {
		a = a.WithZone("")
	}
	return a
}

// canonical masks p and writes 4-in-6 prefixes as IPv4 ones.
func canonical(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() {
		return p, false
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return p, false // half of it would be IPv4, the other not
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}
