package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	// longest is how many bytes of a packet are taken, tcpdump's own limit; where more
	// is said to follow, the file is broken.
	longest = 256 << 10
	buffer  = 512 << 10 // a packet with what stands around it
)

// Way is which way a packet went, as far as the capture tells.
type Way uint8

// The ways.
const (
	Unsaid Way = iota
	In
	Out
)

// Packet is one packet of a capture.
type Packet struct {
	At     int64 // nanoseconds since 1970; valid iff Timed
	Timed  bool
	Link   Link
	Length int // bytes on the wire
	Way    Way
	Bytes  []byte // its beginning; valid until the next packet is read
}

// Bad says what is wrong with a packet that cannot be had. Those after it can.
type Bad struct{ Why string }

func (b *Bad) Error() string { return b.Why }

// Reader reads a capture. For one goroutine.
type Reader struct {
	from   *bufio.Reader
	big    bool // the byte order
	number uint64
	format string

	// Of classic files.
	link Link
	unit int64 // nanoseconds of the fractions of a second

	// Of pcapng.
	blocks     bool
	interfaces []iface
}

// Begins says whether bytes are the beginning of a capture; four suffice.
func Begins(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	switch binary.LittleEndian.Uint32(b) {
	case 0xa1b2c3d4, 0xa1b23c4d, 0xd4c3b2a1, 0x4d3cb2a1, section:
		return true
	}
	return false
}

// NewReader reads how a capture begins.
func NewReader(from io.Reader) (*Reader, error) {
	r := &Reader{from: bufio.NewReaderSize(from, buffer)}
	head, err := r.from.Peek(24)
	if len(head) < 24 {
		if err == nil || err == io.EOF {
			err = errors.New("a capture begins with 24 bytes")
		}
		return nil, err
	}
	r.format, r.unit = "pcap", 1000
	switch magic := binary.LittleEndian.Uint32(head); magic {
	case 0xa1b2c3d4:
	case 0xa1b23c4d:
		r.unit = 1
	case 0xd4c3b2a1:
		r.big = true
	case 0x4d3cb2a1:
		r.big, r.unit = true, 1
	case section:
		r.format, r.blocks = "pcapng", true
		return r, nil
	default:
		return nil, fmt.Errorf("no capture begins with %08x", magic)
	}
	r.link = Link(r.u32(head[20:]) & 0x3ffffff) // above: the length of a checksum
	_, _ = r.from.Discard(24)
	return r, nil
}

// Format is "pcap" or "pcapng".
func (r *Reader) Format() string { return r.format }

// Number is the number of the last packet read, from 1.
func (r *Reader) Number() uint64 { return r.number }

// Next reads the next packet. At the end it gives io.EOF, within a packet
// io.ErrUnexpectedEOF, and *Bad for a packet that cannot be had.
func (r *Reader) Next(p *Packet) error {
	if r.blocks {
		return r.block(p)
	}
	head, err := r.from.Peek(16)
	if len(head) < 16 {
		return cut(len(head), err)
	}
	n := r.u32(head[8:])
	if n > longest {
		return fmt.Errorf("packet %d is said to have %d bytes, and no packet has so many", r.number+1, n)
	}
	whole, err := r.from.Peek(16 + int(n))
	if err != nil {
		return cut(1, err)
	}
	_, _ = r.from.Discard(len(whole))
	r.number++
	*p = Packet{
		At: int64(r.u32(whole))*1e9 + int64(r.u32(whole[4:]))*r.unit, Timed: true,
		Link: r.link, Length: r.length(whole[12:], int(n)), Bytes: whole[16:],
	}
	return nil
}

// length reads how long a packet was on the wire, of which n bytes were kept.
func (r *Reader) length(b []byte, n int) int {
	return max(int(min(r.u32(b), math.MaxInt32)), n)
}

// cut is what the end of the file is called, where so many bytes were there of what
// had to be.
func cut(there int, err error) error {
	switch {
	case err != io.EOF && err != nil:
		return err
	case there > 0:
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}

func (r *Reader) u16(b []byte) uint16 {
	if r.big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func (r *Reader) u32(b []byte) uint32 {
	if r.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (r *Reader) u64(b []byte) uint64 {
	if r.big {
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}
