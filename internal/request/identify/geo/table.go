package geo

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"seawall/internal/traffic"
)

// Table answers look-ups. It never changes; safe for concurrent use.
type Table struct {
	about     About
	countries string
	networks  string
	nameIndex string
	names     string
	tokens    []string
	pairs     string
	v4, v6    ranges
}

// ranges is one address family of a table.
type ranges struct {
	v4      bool
	low     uint // bits of the odd part in a length's first byte
	count   int  // ranges
	blocks  int  // blocks
	index   string
	offsets string
	data    string
}

// About says where the table's data come from.
func (t *Table) About() About { return t.about }

// Ranges returns how many ranges the table has of each family.
func (t *Table) Ranges() (v4, v6 int) { return t.v4.count, t.v6.count }

// Lookup returns where an address is registered and which network announces
// it; zero where the table does not know. 4-in-6 addresses count as IPv4. It
// allocates nothing.
func (t *Table) Lookup(a netip.Addr) (traffic.Country, uint32) {
	var place uint32
	switch {
	case a.Is4() || a.Is4In6():
		place = t.v4.find(key4(a))
	case a.IsValid():
		high, _ := halves(a)
		place = t.v6.find(high)
	default:
		return traffic.Country{}, 0
	}
	return t.place(place)
}

func (t *Table) place(n uint32) (traffic.Country, uint32) {
	p := int(n) * pairBytes
	c := 2 * int(t.pairs[p+4])
	return traffic.Country{t.countries[c], t.countries[c+1]}, le32(t.pairs, p)
}

// NetworkName returns the name of a network, "" where the table has none. It
// allocates the string: for reports and dashboards, not for the door.
func (t *Table) NetworkName(network uint32) string {
	lo, hi := 0, len(t.networks)/4
	for lo < hi {
		mid := (lo + hi) / 2
		if le32(t.networks, 4*mid) < network {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo >= len(t.networks)/4 || le32(t.networks, 4*lo) != network {
		return ""
	}
	at := int(le32(t.nameIndex, lo/nameStride*4))
	for range lo % nameStride {
		at += 1 + int(t.names[at])
	}
	short := t.names[at+1 : at+1+int(t.names[at])]
	out := make([]byte, 0, 64)
	for i := 0; i < len(short); i++ {
		switch c := short[i]; {
		case c < 0x80:
			out = append(out, c)
		case c != asItIs && int(c-0x80) < len(t.tokens):
			out = append(out, t.tokens[c-0x80]...)
		case i+1 < len(short):
			i++
			out = append(out, short[i])
		}
	}
	return string(out)
}

// find returns the number of the place that holds key.
func (r *ranges) find(key uint64) uint32 {
	// The last block that begins at or before key; the first begins at 0.
	lo, n := 0, r.blocks
	for n > 1 {
		half := n / 2
		if r.first(lo+half) <= key {
			lo += half
		}
		n -= half
	}
	key -= r.first(lo)
	at, in := r.block(lo)
	wide2, wide3 := le32(r.data, at), le32(r.data, at+4)
	places := at + wideBytes
	at = places + in + bits.OnesCount32(wide2) + bits.OnesCount32(wide3)
	low := r.low
	i := 0
	for ; i < in-1; i++ {
		b := r.data[at]
		var n uint64
		if b < 0x80 {
			n = (uint64(b)&(1<<low-1)<<1 | 1) << (b >> low & 63)
			at++
		} else {
			n, at = length(r.data, at, r.v4)
		}
		if key < n {
			break
		}
		key -= n
	}
	return placeAt(r.data, places, i, wide2, wide3)
}

// placeAt reads the i-th place number of a block whose places begin at at.
func placeAt(s string, at, i int, wide2, wide3 uint32) uint32 {
	below := uint32(1)<<i - 1
	at += i + bits.OnesCount32(wide2&below) + bits.OnesCount32(wide3&below)
	n := uint32(s[at])
	if wide2>>i&1 != 0 {
		n |= uint32(s[at+1]) << 8
		if wide3>>i&1 != 0 {
			n |= uint32(s[at+2]) << 16
		}
	}
	return n
}

// first returns the first key of a block.
func (r *ranges) first(block int) uint64 {
	if r.v4 {
		return uint64(le32(r.index, 4*block))
	}
	return le64(r.index, 8*block)
}

// block returns where a block begins and how many ranges it has.
func (r *ranges) block(n int) (at, in int) {
	return int(le32(r.offsets, 4*n)), min(blockRanges, r.count-n*blockRanges)
}

// each calls f with every range of the family in order, until f says no. last
// is the range's last key.
func (r *ranges) each(f func(first, last uint64, place uint32) bool) {
	end := uint64(1<<64 - 1)
	if r.v4 {
		end = 1<<32 - 1
	}
	for b := range r.blocks {
		start := r.first(b)
		at, in := r.block(b)
		wide2, wide3 := le32(r.data, at), le32(r.data, at+4)
		places := at + wideBytes
		at = places + in + bits.OnesCount32(wide2) + bits.OnesCount32(wide3)
		for i := range in {
			last := end
			if i+1 < in {
				n, next := length(r.data, at, r.v4)
				last, at = start+n-1, next
			} else if b+1 < r.blocks {
				last = r.first(b+1) - 1
			}
			if !f(start, last, placeAt(r.data, places, i, wide2, wide3)) {
				return
			}
			start = last + 1
		}
	}
}

func key4(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

func halves(a netip.Addr) (high, low uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}
