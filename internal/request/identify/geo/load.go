package geo

import (
	"errors"
	"fmt"
	"math/bits"
)

// ErrDamaged is what Load returns (wrapped, with what is wrong) for anything
// that is not a whole and sound table.
var ErrDamaged = errors.New("the table of countries and networks is damaged")

// Load checks a table from its first byte to its last and makes it ready. The
// Table reads data where it lies. Checking takes a few milliseconds for each
// million ranges.
func Load(data string) (*Table, error) {
	t, err := load(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return t, nil
}

func load(data string) (*Table, error) {
	if len(data) < headerBytes || data[:len(magic)] != magic {
		return nil, errors.New("it does not begin like one")
	}
	body := data[len(magic)+4:]
	if checksum(body) != le32(data, len(magic)) {
		return nil, errors.New("its checksum is wrong")
	}
	var sec [sections]string
	rest := body[4*sections:]
	for i := range sec {
		n := le32(body, 4*i)
		if uint64(n) > uint64(len(rest)) {
			return nil, fmt.Errorf("section %d ends too early", i)
		}
		sec[i], rest = rest[:n], rest[n:]
	}
	if rest != "" {
		return nil, errors.New("there is more than its sections")
	}

	about, err := parseAbout(sec[secAbout])
	if err != nil {
		return nil, err
	}
	t := &Table{
		about:     about,
		countries: sec[secCountries],
		networks:  sec[secNetworks],
		nameIndex: sec[secNameIndex],
		names:     sec[secNames],
		pairs:     sec[secPairs],
	}
	if err := t.checkPlaces(); err != nil {
		return nil, err
	}
	if err := t.readTokens(sec[secTokens]); err != nil {
		return nil, err
	}
	if err := t.checkNames(); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		r   *ranges
		v4  bool
		sec []string
	}{{&t.v4, true, sec[secCount4:secCount6]}, {&t.v6, false, sec[secCount6:]}} {
		if len(f.sec[0]) != 4 {
			return nil, errors.New("the number of ranges is missing")
		}
		*f.r = ranges{v4: f.v4, low: uint(7 - shiftBits(f.v4)), count: int(le32(f.sec[0], 0)), index: f.sec[1], offsets: f.sec[2], data: f.sec[3]}
		if err := f.r.check(len(t.pairs) / pairBytes); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *Table) checkPlaces() error {
	if n := len(t.countries); n%2 != 0 || n < 2 || n > 512 || t.countries[:2] != "\x00\x00" {
		return errors.New("the list of countries is not whole")
	}
	for _, c := range []byte(t.countries[2:]) {
		if c < 'A' || c > 'Z' {
			return errors.New("a country is not two letters")
		}
	}
	if n := len(t.pairs); n%pairBytes != 0 || n < pairBytes {
		return errors.New("the list of places is not whole")
	}
	for i := 4; i < len(t.pairs); i += pairBytes {
		if 2*int(t.pairs[i]) >= len(t.countries) {
			return errors.New("a place has a country that there is not")
		}
	}
	return nil
}

func (t *Table) readTokens(s string) error {
	for s != "" {
		n := 1 + int(s[0])
		if n > len(s) || len(t.tokens) == maxTokens {
			return errors.New("the tokens of names are not whole")
		}
		t.tokens, s = append(t.tokens, s[1:n]), s[n:]
	}
	return nil
}

func (t *Table) checkNames() error {
	n := len(t.networks) / 4
	if len(t.networks)%4 != 0 || len(t.nameIndex) != (n+nameStride-1)/nameStride*4 {
		return errors.New("the list of networks is not whole")
	}
	at := 0
	for i := range n {
		if i > 0 && le32(t.networks, 4*i) <= le32(t.networks, 4*i-4) {
			return errors.New("the networks are out of order")
		}
		if i%nameStride == 0 && int(le32(t.nameIndex, i/nameStride*4)) != at {
			return errors.New("the index of names is wrong")
		}
		if at >= len(t.names) {
			return errors.New("the names end too early")
		}
		at += 1 + int(t.names[at])
	}
	if at != len(t.names) {
		return errors.New("the names do not end with the networks")
	}
	return nil
}

// check walks all blocks: whatever it passes, find and each can read.
func (r *ranges) check(places int) error {
	key := 8
	if r.v4 {
		key = 4
	}
	r.blocks = (r.count + blockRanges - 1) / blockRanges
	// Each range takes a byte at least, so that no count is too large here.
	if r.count < 1 || r.count > len(r.data) ||
		len(r.index) != r.blocks*key || len(r.offsets) != r.blocks*4 {
		return errors.New("the index of ranges is not whole")
	}
	at := 0
	for b := range r.blocks {
		start := r.first(b)
		if b == 0 && start != 0 {
			return errors.New("the ranges do not begin at the first address")
		}
		head, in := r.block(b)
		if head != at {
			return errors.New("the index of blocks is wrong")
		}
		if at += wideBytes; at > len(r.data) {
			return errors.New("a block ends too early")
		}
		wide2, wide3 := le32(r.data, head), le32(r.data, head+4)
		if wide3&^wide2 != 0 || uint64(wide2)>>in != 0 {
			return errors.New("the head of a block makes no sense")
		}
		first := at
		if at += in + bits.OnesCount32(wide2) + bits.OnesCount32(wide3); at > len(r.data) {
			return errors.New("a block ends too early")
		}
		for i := range in {
			if int(placeAt(r.data, first, i, wide2, wide3)) >= places {
				return errors.New("a range has a place that there is not")
			}
		}
		end := uint64(1<<64 - 1)
		if r.v4 {
			end = 1<<32 - 1
		}
		if b+1 < r.blocks {
			if end = r.first(b + 1); end == 0 {
				return errors.New("the ranges are out of order")
			}
			end--
		}
		for range in - 1 {
			n, next, ok := safeLength(r.data, at, r.v4)
			if !ok || end < start || n > end-start {
				return errors.New("a range is longer than its block")
			}
			start, at = start+n, next
		}
		if end < start {
			return errors.New("the ranges are out of order")
		}
	}
	if at != len(r.data) {
		return errors.New("the blocks do not end with the ranges")
	}
	return nil
}
