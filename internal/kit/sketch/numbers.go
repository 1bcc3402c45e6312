package sketch

// Numbers finds the most frequent 64-bit keys of a stream.
type Numbers struct {
	core
	seed Seed
	keys []uint64 // by slot
}

// NewNumbers makes a sketch that holds capacity keys: a key that makes up more
// than 1/capacity of the stream is always among them. As long as there are at most
// half as many more, all are, counted exactly. It takes 44 to 49 bytes a key of the
// capacity.
func NewNumbers(capacity int, seed Seed) *Numbers {
	s := &Numbers{core: newCore(capacity, 0.5), seed: seed}
	s.keys = make([]uint64, len(s.counts))
	s.hash = func(slot int) uint64 { return seed.number(s.keys[slot]) }
	return s
}

// Add counts key n times more.
func (s *Numbers) Add(key, n uint64) {
	if n == 0 {
		return
	}
	s.total += n
	if s.last >= 0 && s.keys[s.last] == key {
		s.counts[s.last] += n // streams repeat themselves
		return
	}
	h := s.seed.number(key)
	if s.last = s.find(key, h); s.last >= 0 {
		s.counts[s.last] += n
		return
	}
	s.last = s.claim(h, n)
	s.keys[s.last] = key
}

// Get returns what is known about a key, and whether it is held. For one that
// is not, Count and Error are the floor.
func (s *Numbers) Get(key uint64) (Entry[uint64], bool) {
	if slot := s.find(key, s.seed.number(key)); slot >= 0 {
		return Entry[uint64]{key, s.counts[slot], s.errs[slot]}, true
	}
	return Entry[uint64]{key, s.Floor(), s.Floor()}, false
}

func (s *Numbers) find(key, h uint64) int {
	for i := h & s.mask; ; i = (i + 1) & s.mask {
		slot := int(s.index[i]) - 1
		if slot < 0 || s.keys[slot] == key {
			return slot
		}
	}
}

// Top returns the n most frequent keys, largest first.
func (s *Numbers) Top(n int) []Entry[uint64] {
	return s.list(s.order(n))
}

func (s *Numbers) list(nodes []node) []Entry[uint64] {
	out := make([]Entry[uint64], len(nodes))
	for i, k := range nodes {
		out[i] = Entry[uint64]{s.keys[k.slot()], s.counts[k.slot()], s.errs[k.slot()]}
	}
	return out
}

// Merge adds what o saw. o is left as it is.
func (s *Numbers) Merge(o *Numbers) {
	s.merge(&o.core,
		func(slot int) int { return o.find(s.keys[slot], o.seed.number(s.keys[slot])) },
		func(slot int) int { return s.find(o.keys[slot], s.seed.number(o.keys[slot])) },
		func(to, from int) { s.keys[to] = o.keys[from] })
}

// Reset forgets everything and frees nothing.
func (s *Numbers) Reset() { s.reset() }
