package sketch

// Strings finds the most frequent texts of a stream. Of a text longer than its
// width only the first width bytes count: two that agree so far are one.
type Strings struct {
	core
	seed   Seed
	width  int
	text   []byte   // width bytes a slot
	length []uint16 // by slot
}

// NewStrings makes a sketch that holds capacity texts of at most width bytes,
// copied. It takes 36 to 44 + width bytes a text.
func NewStrings(capacity, width int, seed Seed) *Strings {
	c := newCore(capacity)
	width = min(max(width, 1), 1<<15)
	return &Strings{
		core: c, seed: seed, width: width,
		text:   make([]byte, c.room*width),
		length: make([]uint16, c.room),
	}
}

// Add counts key n times more. The key is copied where it is kept.
func (s *Strings) Add(key string, n uint64) {
	if n == 0 {
		return
	}
	key = s.clip(key)
	s.total += n
	if s.last >= 0 && string(s.at(s.last)) == key {
		s.owed += n
		return
	}
	s.settle()
	h := s.seed.string(key)
	if s.last = s.find(key, h); s.last >= 0 {
		s.owed = n
		return
	}
	s.last = s.claim(h, n)
	s.put(s.last, key)
}

// Get returns what is known about a key, and whether it is held. For one that
// is not, Count and Error are the floor.
func (s *Strings) Get(key string) (Entry[string], bool) {
	key = s.clip(key)
	s.settle()
	if slot := s.find(key, s.seed.string(key)); slot >= 0 {
		return Entry[string]{key, s.count(slot), s.errs[slot]}, true
	}
	return Entry[string]{key, s.Floor(), s.Floor()}, false
}

func (s *Strings) clip(key string) string { return key[:min(len(key), s.width)] }

func (s *Strings) at(slot int) []byte {
	i := slot * s.width
	return s.text[i : i+int(s.length[slot])]
}

func (s *Strings) put(slot int, key string) {
	i := slot * s.width
	s.length[slot] = uint16(copy(s.text[i:i+s.width], key))
}

func (s *Strings) find(key string, h uint64) int {
	for i := h & s.mask; ; i = (i + 1) & s.mask {
		slot := int(s.index[i]) - 1
		if slot < 0 || s.hash[slot] == h && string(s.at(slot)) == key {
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
		out[i] = Entry[string]{string(s.at(int(k.slot()))), k.count(), s.errs[k.slot()]}
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
		func(slot int) (int, uint64) {
			key := string(o.at(slot))
			h := s.seed.string(key)
			return s.find(key, h), h
		},
		func(to, from int) { s.put(to, string(o.at(from))) })
}

// Reset forgets everything and frees nothing.
func (s *Strings) Reset() { s.reset() }
