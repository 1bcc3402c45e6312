package geo

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"seawall/internal/traffic"
)

// Range is a run of addresses, both ends included, that share a place.
type Range struct {
	First, Last netip.Addr
	Country     traffic.Country // zero: unknown
	Network     uint32          // autonomous system number; 0: unknown
}

// Builder puts a table together. Ranges come in ascending order, IPv4 before
// IPv6, without overlap; what lies between them is unknown. Not safe for
// concurrent use.
type Builder struct {
	about     About
	countries []traffic.Country
	byCountry map[traffic.Country]byte
	pairs     []pair
	byPair    map[pair]uint32
	uses      []uint32 // of each pair
	names     map[uint32]string
	tokens    []string
	fam4      family
	fam6      family
}

type pair struct {
	network uint32
	country byte
}

// family is one address family under construction.
type family struct {
	v4     bool
	next   uint64 // first key that no range covers yet
	full   bool   // next has passed the last key
	starts []uint64
	places []uint32 // of the range that begins there
}

// NewBuilder begins a table.
func NewBuilder(about About) *Builder {
	b := &Builder{
		about:     about,
		countries: []traffic.Country{{}},
		byCountry: map[traffic.Country]byte{{}: 0},
		pairs:     []pair{{}},
		uses:      []uint32{0},
		byPair:    map[pair]uint32{{}: 0},
		names:     map[uint32]string{},
	}
	b.fam4.v4 = true
	return b
}

// Name gives a network its name; the first one stays.
func (b *Builder) Name(network uint32, name string) {
	name = strings.ToValidUTF8(strings.TrimSpace(name), "")
	if _, ok := b.names[network]; !ok && name != "" {
		b.names[network] = name
	}
}

// Tokens sets what names are shortened with, before Bytes; at most 127.
func (b *Builder) Tokens(tokens []string) { b.tokens = tokens[:min(len(tokens), maxTokens)] }

// shorten writes a name with tokens, the longest that fits first, and cuts it
// where it would take more than maxName bytes.
func (b *Builder) shorten(name string) []byte {
	var out []byte
	for name != "" {
		best, token := 0, 0
		for i, t := range b.tokens {
			if len(t) > best && len(t) <= maxToken && strings.HasPrefix(name, t) {
				best, token = len(t), i
			}
		}
		var next []byte
		if best > 0 {
			next = []byte{0x80 + byte(token)}
		} else {
			r := name[:utf8Len(name)]
			for _, c := range []byte(r) {
				if c >= 0x80 {
					next = append(next, asItIs)
				}
				next = append(next, c)
			}
			best = len(r)
		}
		if len(out)+len(next) > maxName {
			break
		}
		out, name = append(out, next...), name[best:]
	}
	return out
}

func utf8Len(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// Add appends a range.
func (b *Builder) Add(r Range) error {
	first, last := r.First.Unmap(), r.Last.Unmap()
	if !first.IsValid() || !last.IsValid() || first.Is4() != last.Is4() || last.Less(first) {
		return fmt.Errorf("range %v to %v makes no sense", r.First, r.Last)
	}
	f, from, to := &b.fam4, uint64(0), uint64(0)
	if first.Is4() {
		from, to = key4(first), key4(last)
	} else {
		f = &b.fam6
		var low uint64
		if from, low = halves(first); low != 0 {
			// This /64 belongs to whoever has its first address.
			if from++; from == 0 {
				return nil
			}
		}
		if to, _ = halves(last); to < from {
			return nil
		}
	}
	place, err := b.place(pair{r.Network, 0}, r.Country)
	if err != nil {
		return err
	}
	if f.full || from < f.next {
		return fmt.Errorf("range %v to %v comes too late or twice", r.First, r.Last)
	}
	if from > f.next {
		f.put(f.next, 0)
	}
	f.put(from, place)
	f.next = to + 1
	f.full = f.v4 && f.next > 1<<32-1 || !f.v4 && f.next == 0
	return nil
}

func (b *Builder) place(p pair, c traffic.Country) (uint32, error) {
	number, ok := b.byCountry[c]
	if !ok {
		if len(b.countries) > 255 {
			return 0, errors.New("more than 255 countries")
		}
		number = byte(len(b.countries))
		b.countries = append(b.countries, c)
		b.byCountry[c] = number
	}
	p.country = number
	n, ok := b.byPair[p]
	if !ok {
		if len(b.pairs) >= maxPlaces {
			return 0, errors.New("more places than a table can number")
		}
		n = uint32(len(b.pairs))
		b.pairs = append(b.pairs, p)
		b.uses = append(b.uses, 0)
		b.byPair[p] = n
	}
	return n, nil
}

// put begins a range at key, unless it continues the one before.
func (f *family) put(key uint64, place uint32) {
	if n := len(f.places); n > 0 && f.places[n-1] == place {
		return
	}
	f.starts, f.places = append(f.starts, key), append(f.places, place)
}

// encode writes the sections of the family; rank renumbers the places.
func (f *family) encode(rank []uint32) (count, index, offsets, blocks []byte) {
	le := binary.LittleEndian
	count = le.AppendUint32(nil, uint32(len(f.starts)))
	for from := 0; from < len(f.starts); from += blockRanges {
		starts := f.starts[from:min(from+blockRanges, len(f.starts))]
		if f.v4 {
			index = le.AppendUint32(index, uint32(starts[0]))
		} else {
			index = le.AppendUint64(index, starts[0])
		}
		offsets = le.AppendUint32(offsets, uint32(len(blocks)))
		head := len(blocks)
		blocks = append(blocks, make([]byte, wideBytes)...)
		var wide2, wide3 uint32
		for i := range starts {
			n := rank[f.places[from+i]]
			blocks = append(blocks, byte(n))
			if n >= 1<<8 {
				wide2 |= 1 << i
				blocks = append(blocks, byte(n>>8))
			}
			if n >= 1<<16 {
				wide3 |= 1 << i
				blocks = append(blocks, byte(n>>16))
			}
		}
		le.PutUint32(blocks[head:], wide2)
		le.PutUint32(blocks[head+4:], wide3)
		for i := range len(starts) - 1 {
			blocks = appendLength(blocks, starts[i+1]-starts[i], f.v4)
		}
	}
	return count, index, offsets, blocks
}

// rank numbers the places by how many ranges use them; the unknown one stays 0.
func (b *Builder) rank() (rank, order []uint32) {
	for _, f := range []*family{&b.fam4, &b.fam6} {
		for _, p := range f.places {
			b.uses[p]++
		}
	}
	rank, order = make([]uint32, len(b.pairs)), make([]uint32, len(b.pairs))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortStableFunc(order[1:], func(x, y uint32) int { return cmp.Compare(b.uses[y], b.uses[x]) })
	for i, p := range order {
		rank[p] = uint32(i)
	}
	return rank, order
}

// Bytes finishes the table. The Builder is used up by it.
func (b *Builder) Bytes() []byte {
	for _, f := range []*family{&b.fam4, &b.fam6} {
		if !f.full {
			f.put(f.next, 0)
		}
	}
	rank, order := b.rank()

	var sec [sections][]byte
	sec[secAbout] = []byte(b.about.text())
	for _, c := range b.countries {
		sec[secCountries] = append(sec[secCountries], c[:]...)
	}
	networks := make([]uint32, 0, len(b.names))
	for n := range b.names {
		networks = append(networks, n)
	}
	slices.Sort(networks)
	le := binary.LittleEndian
	for i, n := range networks {
		sec[secNetworks] = le.AppendUint32(sec[secNetworks], n)
		if i%nameStride == 0 {
			sec[secNameIndex] = le.AppendUint32(sec[secNameIndex], uint32(len(sec[secNames])))
		}
		short := b.shorten(b.names[n])
		sec[secNames] = append(append(sec[secNames], byte(len(short))), short...)
	}
	for _, t := range b.tokens {
		sec[secTokens] = append(append(sec[secTokens], byte(len(t))), t...)
	}
	for _, i := range order {
		p := b.pairs[i]
		sec[secPairs] = append(le.AppendUint32(sec[secPairs], p.network), p.country)
	}
	for i, f := range []*family{&b.fam4, &b.fam6} {
		at := secCount4 + i*(secCount6-secCount4)
		sec[at], sec[at+1], sec[at+2], sec[at+3] = f.encode(rank)
	}

	var body []byte
	for _, s := range sec {
		body = le.AppendUint32(body, uint32(len(s)))
	}
	for _, s := range sec {
		body = append(body, s...)
	}
	return append(le.AppendUint32([]byte(magic), checksum(string(body))), body...)
}

// About says where a table comes from.
type About struct {
	Day     time.Time // of the data, UTC, to the day; zero: unknown
	Sources []string
}

func (a About) text() string {
	day := ""
	if !a.Day.IsZero() {
		day = a.Day.UTC().Format(time.DateOnly)
	}
	lines := []string{day}
	for _, s := range a.Sources {
		lines = append(lines, strings.ReplaceAll(s, "\n", " "))
	}
	return strings.Join(lines, "\n")
}

func parseAbout(text string) (About, error) {
	lines := strings.Split(text, "\n")
	var a About
	if lines[0] != "" {
		day, err := time.Parse(time.DateOnly, lines[0])
		if err != nil {
			return a, fmt.Errorf("the day of the data: %w", err)
		}
		a.Day = day
	}
	a.Sources = lines[1:]
	return a, nil
}
