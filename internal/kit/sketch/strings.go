package sketch

// Strings finds the most frequent texts of a stream. Of a text longer than its
// width only the first width bytes count: two that agree so far are one.
type Strings struct {
	core
	seed   Seed
	width  int
	text   []byte   // width bytes a slot
	length []uint16 // by slot
	low    []uint32 // by slot, the low half of its hash
}

// NewStrings makes a sketch that holds capacity texts of at most width bytes,
// copied, and a quarter as many more. It takes 34 to 38 bytes a text of the capacity,
// and 1.25 times width.
func NewStrings(capacity, width int, seed Seed) *Strings {
	s := &Strings{core: newCore(capacity, 0.25), seed: seed, width: min(max(width, 1), 1<<15)}
	room := len(s.counts)
	s.text, s.length, s.low = make([]byte, room*s.width), make([]uint16, room), make([]uint32, room)
	s.hash = func(slot int) uint64 { return uint64(s.low[slot]) }
	return s
}

// Add counts key n times more. The key is copied where it is kept.
func (s *Strings) Add(key string, n uint64) {
	if n == 0 {
		return
	}
	key = s.clip(key)
	s.total += n
	if s.last >= 0 && string(s.at(s.last)) == key {
		s.counts[s.last] += n // streams repeat themselves
		return
	}
	h := s.seed.string(key)
	if s.last = s.find(key, h); s.last >= 0 {
		s.counts[s.last] += n
		return
	}
	s.last = s.claim(h, n)
	s.put(s.last, key, h)
}

// Get returns what is known about a key, and whether it is held. For one that
// is not, Count and Error are the floor.
func (s *Strings) Get(key string) (Entry[string], bool) {
	key = s.clip(key)
	if slot := s.find(key, s.seed.string(key)); slot >= 0 {
		return Entry[string]{key, s.counts[slot], s.errs[slot]}, true
	}
	return Entry[string]{key, s.Floor(), s.Floor()}, false
}

func (s *Strings) clip(key string) string { return key[:min(len(key), s.width)] }

func (s *Strings) at(slot int) []byte {
	i := slot * s.width
	return s.text[i : i+int(s.length[slot])]
}

func (s *Strings) put(slot int, key string, h uint64) {
	i := slot * s.width
	s.length[slot] = uint16(copy(s.text[i:i+s.width], key))
	s.low[slot] = uint32(h)
}

func (s *Strings) find(key string, h uint64) int {
	for i := h & s.mask; ; i = (i + 1) & s.mask {
		slot := int(s.index[i]) - 1
		if slot < 0 || s.low[slot] == uint32(h) && string(s.at(slot)) == key {
			return slot
		}
	}
}

// Top returns the n most frequent texts, largest first. Their strings are the
// caller's.
func (s *Strings) Top(n int) []Entry[string] {
	return s.list(s.order(n))
}

func (s *Strings) list(nodes []node) []Entry[string] {
	out := make([]Entry[string], len(nodes))
	for i, k := range nodes {
		out[i] = Entry[string]{string(s.at(k.slot())), s.counts[k.slot()], s.errs[k.slot()]}
	}
	return out
}

// Merge adds what o saw; o must have the same width and is left as it is.
func (s *Strings) Merge(o *Strings) {
	if s.width != o.width {
		panic("sketch: merging texts of different widths")
	}
	s.merge(&o.core,
		func(slot int) int {
			key := string(s.at(slot))
			return o.find(key, o.seed.string(key))
		},
		func(slot int) int {
			key := string(o.at(slot))
			return s.find(key, s.seed.string(key))
		},
		func(to, from int) {
			key := string(o.at(from))
			s.put(to, key, s.seed.string(key))
		})
}

// Reset forgets everything and frees nothing.
func (s *Strings) Reset() { s.reset() }
