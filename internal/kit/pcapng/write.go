package pcapng

import (
	"encoding/binary"
	"time"
)

// Kind is what a block is.
type Kind uint32

// The blocks that are written here.
const (
	Section    Kind = 0x0a0d0d0a
	Interface  Kind = 1
	Statistics Kind = 5
	Enhanced   Kind = 6 // a packet
)

// Options of blocks; the numbers mean different things in different blocks.
const (
	optEnd     = 0
	optComment = 1

	shbUserAppl = 4

	ifDescription = 3
	ifTSResol     = 9

	epbVerdict = 7

	isbStart     = 2
	isbEnd       = 3
	isbReceived  = 4
	isbAccepted  = 6
	isbDropped   = 7
	isbDelivered = 8
)

const (
	byteOrder   = 0x1a2b3c4d
	ethernet    = 1 // LINKTYPE_ETHERNET
	nanoseconds = 9 // of if_tsresol: 10^-9 s
	xdpVerdict  = 2 // of epb_verdict: Linux_eBPF_XDP, 64 bits follow
)

// XDP is what a program in the kernel made of a packet; the numbers are those of
// enum xdp_action in linux/bpf.h.
type XDP uint64

// What becomes of packets.
const (
	Dropped  XDP = 1
	Passed   XDP = 2
	Answered XDP = 3 // sent back where it came from, as an answer
)

// Packet is one packet.
type Packet struct {
	At      time.Time
	Length  int    // bytes on the wire
	Bytes   []byte // its beginning
	Comment string
	Verdict XDP
}

// Totals is how a capture stands.
type Totals struct {
	From, Till time.Time
	Received   uint64 // packets that were there to be captured
	Accepted   uint64 // of these, shown
	Lost       uint64 // shown, and not had
	Delivered  uint64 // in the file
}

// StatisticsLen is the length in bytes of every block that AppendStatistics
// appends.
const StatisticsLen = 8 + 12 + 6*12 + 4 + 4

// AppendHead begins a file: a section and its one interface. snap is how many
// bytes of a packet are kept at most.
func AppendHead(b []byte, program, comment, description string, snap int) []byte {
	b, at := begin(b, Section)
	b = binary.LittleEndian.AppendUint32(b, byteOrder)
	b = binary.LittleEndian.AppendUint16(b, 1) // version 1.0
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint64(b, ^uint64(0)) // how long the section is, is not said
	b = appendText(b, optComment, comment)
	b = appendText(b, shbUserAppl, program)
	b = end(b, at)

	b, at = begin(b, Interface)
	b = binary.LittleEndian.AppendUint16(b, ethernet)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(snap))
	b = appendText(b, ifDescription, description)
	b = appendOption(b, ifTSResol, []byte{nanoseconds})
	return end(b, at)
}

// AppendPacket appends a packet.
func AppendPacket(b []byte, p *Packet) []byte {
	b, at := begin(b, Enhanced)
	b = binary.LittleEndian.AppendUint32(b, 0) // the interface
	b = appendTime(b, p.At)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Bytes)))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Length))
	b = pad(append(b, p.Bytes...), len(p.Bytes))
	b = appendText(b, optComment, p.Comment)
	verdict := [9]byte{xdpVerdict}
	binary.LittleEndian.PutUint64(verdict[1:], uint64(p.Verdict))
	b = appendOption(b, epbVerdict, verdict[:])
	return end(b, at)
}

// AppendStatistics appends how the capture stands. A file may hold many; the last
// one counts.
func AppendStatistics(b []byte, t *Totals) []byte {
	b, at := begin(b, Statistics)
	b = binary.LittleEndian.AppendUint32(b, 0) // the interface
	b = appendTime(b, t.Till)
	for _, o := range []struct {
		code uint16
		at   time.Time
	}{{isbStart, t.From}, {isbEnd, t.Till}} {
		b = binary.LittleEndian.AppendUint16(b, o.code)
		b = binary.LittleEndian.AppendUint16(b, 8)
		b = appendTime(b, o.at)
	}
	for _, o := range []struct {
		code uint16
		n    uint64
	}{{isbReceived, t.Received}, {isbAccepted, t.Accepted}, {isbDropped, t.Lost}, {isbDelivered, t.Delivered}} {
		b = binary.LittleEndian.AppendUint16(b, o.code)
		b = binary.LittleEndian.AppendUint16(b, 8)
		b = binary.LittleEndian.AppendUint64(b, o.n)
	}
	return end(b, at)
}

// begin begins a block, whose length end fills in.
func begin(b []byte, kind Kind) (_ []byte, at int) {
	at = len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(kind))
	return binary.LittleEndian.AppendUint32(b, 0), at
}

func end(b []byte, at int) []byte {
	b = binary.LittleEndian.AppendUint32(b, optEnd)
	length := uint32(len(b) - at + 4)
	binary.LittleEndian.PutUint32(b[at+4:], length)
	return binary.LittleEndian.AppendUint32(b, length)
}

func appendText(b []byte, code uint16, text string) []byte {
	if text == "" {
		return b
	}
	return appendOption(b, code, []byte(text[:min(len(text), 0xffff)]))
}

func appendOption(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...), len(value))
}

// pad fills up what has so many bytes to whole words of four.
func pad(b []byte, n int) []byte {
	return append(b, make([]byte, (4-n%4)%4)...)
}

// appendTime appends a moment the way blocks have it: the upper half first.
func appendTime(b []byte, t time.Time) []byte {
	n := uint64(t.UnixNano())
	b = binary.LittleEndian.AppendUint32(b, uint32(n>>32))
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}
