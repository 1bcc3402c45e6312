package pcap

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// Kinds of blocks of pcapng, in the byte order of their section; that of a section
// reads the same in both.
const (
	section    = 0x0a0d0d0a
	interfaces = 1
	obsolete   = 2 // a packet, as it was before there was enhanced
	simple     = 3
	enhanced   = 6
)

// Options of blocks.
const (
	optEnd      = 0
	epbFlags    = 2
	ifTSResol   = 9
	ifTSOffset  = 14
	mostOptions = 64 // that are looked at
)

const (
	byteOrder      = 0x1a2b3c4d
	mostInterfaces = 4096
)

// iface is an interface of a section.
type iface struct {
	link   Link
	snap   uint32 // bytes kept of a packet; 0: all
	offset int64  // seconds that are added to times
	unit   byte   // of times: 10^-unit s, or with the highest bit 2^-unit s
	per    uint64 // units in a second; valid iff each
	each   uint64 // nanoseconds of a unit, where that is a whole number of them; else 0
}

// block reads blocks up to the next packet.
func (r *Reader) block(p *Packet) error {
	for {
		head, err := r.from.Peek(12)
		if len(head) < 12 {
			return cut(len(head), err)
		}
		kind := r.u32(head)
		if kind == section {
			if err := r.begin(head[8:]); err != nil {
				return err
			}
		}
		length := r.u32(head[4:])
		if length < 12 || length%4 != 0 {
			return fmt.Errorf("after packet %d comes a block of %d bytes, and there is none of that length", r.number, length)
		}
		want := kind == interfaces || kind == enhanced || kind == simple || kind == obsolete
		if !want || length > buffer {
			if err := r.skip(length); err != nil {
				return err
			}
			if want {
				return &Bad{fmt.Sprintf("its block has %d bytes, more than are taken", length)}
			}
			continue
		}
		whole, err := r.from.Peek(int(length))
		if err != nil {
			return cut(1, err)
		}
		_, _ = r.from.Discard(len(whole))
		if err := r.same(length, whole[length-4:]); err != nil {
			return err
		}
		body := whole[8 : length-4]
		if kind == interfaces {
			if err := r.describe(body); err != nil {
				return err
			}
			continue
		}
		r.number++
		return r.packet(kind, body, p)
	}
}

// begin begins a section, whose byte order stands in b: the interfaces before count no
// longer.
func (r *Reader) begin(b []byte) error {
	switch binary.LittleEndian.Uint32(b) {
	case byteOrder:
		r.big = false
	case bits.ReverseBytes32(byteOrder):
		r.big = true
	default:
		return fmt.Errorf("a section after packet %d says nothing about its byte order", r.number)
	}
	r.interfaces = r.interfaces[:0]
	return nil
}

// skip leaves a block out.
func (r *Reader) skip(length uint32) error {
	if n, err := r.from.Discard(int(length) - 4); err != nil {
		return cut(n+1, err)
	}
	end, err := r.from.Peek(4)
	if err != nil {
		return cut(1, err)
	}
	if err := r.same(length, end); err != nil {
		return err
	}
	_, err = r.from.Discard(4)
	return err
}

func (r *Reader) same(length uint32, end []byte) error {
	if again := r.u32(end); again != length {
		return fmt.Errorf("a block after packet %d begins with a length of %d bytes and ends with one of %d", r.number, length, again)
	}
	return nil
}

// describe takes up an interface.
func (r *Reader) describe(body []byte) error {
	if len(body) < 8 {
		return fmt.Errorf("an interface after packet %d is described in %d bytes", r.number, len(body))
	}
	if len(r.interfaces) == mostInterfaces {
		return fmt.Errorf("it has more than %d interfaces", mostInterfaces)
	}
	i := iface{link: Link(r.u16(body)), snap: r.u32(body[4:]), unit: 6}
	r.options(body[8:], func(code uint16, value []byte) {
		switch {
		case code == ifTSResol && len(value) == 1:
			i.unit = value[0]
		case code == ifTSOffset && len(value) == 8:
			i.offset = int64(r.u64(value))
		}
	})
	i.scale()
	r.interfaces = append(r.interfaces, i)
	return nil
}

// options goes through a block's options.
func (r *Reader) options(b []byte, do func(code uint16, value []byte)) {
	for range mostOptions {
		if len(b) < 4 {
			return
		}
		code, n := r.u16(b), int(r.u16(b[2:]))
		if b = b[4:]; code == optEnd || n > len(b) {
			return
		}
		do(code, b[:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

// packet reads a packet out of its block.
func (r *Reader) packet(kind uint32, body []byte, p *Packet) error {
	var n uint32
	var at uint64
	number, head := uint32(0), 20
	switch {
	case kind == simple && len(body) >= 4:
		head = 4
	case kind != simple && len(body) >= head:
		number, n = r.u32(body), r.u32(body[12:])
		if kind == obsolete {
			number = uint32(r.u16(body))
		}
		at = uint64(r.u32(body[4:]))<<32 | uint64(r.u32(body[8:]))
	default:
		return &Bad{fmt.Sprintf("its block has only %d bytes", len(body))}
	}
	if uint64(number) >= uint64(len(r.interfaces)) {
		return &Bad{fmt.Sprintf("it is of interface %d, and there are %d", number, len(r.interfaces))}
	}
	i := &r.interfaces[number]
	*p = Packet{Link: i.link, Length: r.length(body[head-4:], 0)}
	if body = body[head:]; kind == simple {
		n = uint32(min(p.Length, len(body)))
		if i.snap > 0 {
			n = min(n, i.snap)
		}
	} else if p.At, p.Timed = i.time(at); !p.Timed {
		return &Bad{fmt.Sprintf("it is of %d in units of %s, and no time can be made of that", at, i.units())}
	}
	if n > longest || int(n) > len(body) {
		return &Bad{fmt.Sprintf("it is said to have %d bytes, in a block with room for %d", n, len(body))}
	}
	p.Bytes = body[:n]
	p.Length = max(p.Length, int(n))
	if more := body[min((int(n)+3)&^3, len(body)):]; kind != simple && len(more) > 0 {
		r.options(more, func(code uint16, value []byte) {
			if code == epbFlags && len(value) == 4 {
				p.Way = [4]Way{Unsaid, In, Out, Unsaid}[r.u32(value)&3]
			}
		})
	}
	return nil
}

// scale finds out what units are in nanoseconds.
func (i *iface) scale() {
	if i.unit <= 9 {
		i.per = tens(i.unit)
		i.each = 1_000_000_000 / i.per
	}
}

// time makes nanoseconds since 1970 of an interface's units; false where that cannot
// be done, or is after 2262.
func (i *iface) time(at uint64) (ns int64, ok bool) {
	seconds, rest := at, uint64(0)
	n := uint(i.unit & 0x7f)
	switch {
	case i.each > 0:
		seconds = at / i.per
		rest = (at - seconds*i.per) * i.each
	case i.unit&0x80 != 0 && n == 0:
	case i.unit&0x80 != 0 && n < 64:
		seconds = at >> n
		high, low := bits.Mul64(at&(1<<n-1), 1e9)
		rest = high<<(64-n) | low>>n
	case i.unit&0x80 == 0 && n <= 19:
		unit := tens(i.unit)
		seconds = at / unit
		high, low := bits.Mul64(at%unit, 1e9)
		rest, _ = bits.Div64(high, low, unit) // no overflow: at%unit is less than unit
	default:
		return 0, false
	}
	const most = math.MaxInt64 / 1_000_000_000
	if seconds >= most || i.offset >= most || i.offset <= -most {
		return 0, false
	}
	s := int64(seconds) + i.offset
	if s >= most || s < 0 {
		return 0, false
	}
	return s*1e9 + int64(rest), true
}

// tens is 10^n; n is at most 19.
func tens(n byte) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

func (i *iface) units() string {
	if i.unit&0x80 != 0 {
		return fmt.Sprintf("2^-%d s", i.unit&0x7f)
	}
	return fmt.Sprintf("10^-%d s", i.unit)
}
