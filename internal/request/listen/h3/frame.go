package h3

import "errors"

// Types of frames (RFC 9114, section 7.2).
const (
	Data        uint64 = 0x0
	Headers     uint64 = 0x1
	CancelPush  uint64 = 0x3
	Settings    uint64 = 0x4
	PushPromise uint64 = 0x5
	GoAway      uint64 = 0x7
	MaxPushID   uint64 = 0xd
)

// Types of unidirectional streams (RFC 9114, section 6.2; RFC 9204, section 4.2).
const (
	ControlStream uint64 = 0x0
	PushStream    uint64 = 0x1
	EncoderStream uint64 = 0x2
	DecoderStream uint64 = 0x3
)

// Code is why a stream or a connection ends (RFC 9114, section 8.1; RFC 9204,
// section 6).
type Code uint64

// The codes.
const (
	NoError              Code = 0x100
	ProtocolError        Code = 0x101
	InternalError        Code = 0x102
	StreamCreationError  Code = 0x103
	ClosedCriticalStream Code = 0x104
	FrameUnexpected      Code = 0x105
	FrameError           Code = 0x106
	ExcessiveLoad        Code = 0x107
	IDError              Code = 0x108
	SettingsError        Code = 0x109
	MissingSettings      Code = 0x10a
	RequestRejected      Code = 0x10b
	RequestCancelled     Code = 0x10c
	RequestIncomplete    Code = 0x10d
	MessageError         Code = 0x10e
	DecompressionFailed  Code = 0x200
	EncoderStreamError   Code = 0x201
	DecoderStreamError   Code = 0x202
)

// Settings that have a meaning here.
const (
	MaxTableCapacity    uint64 = 0x1
	MaxFieldSectionSize uint64 = 0x6
	BlockedStreams      uint64 = 0x7
)

// FromHTTP2 says whether a type of frame is one that HTTP/2 has and HTTP/3 must not
// have (RFC 9114, section 7.2.8).
func FromHTTP2(kind uint64) bool { return kind == 2 || kind == 6 || kind == 8 || kind == 9 }

// ErrSettings is what ReadSettings says of settings that may not be sent.
var ErrSettings = errors.New("h3: a setting that may not be, or twice")

// ErrFrame is what ReadSettings says of a payload that ends in the middle.
var ErrFrame = errors.New("h3: a frame ends early")

// AppendInt appends n (RFC 9000, section 16); n is below 2^62.
func AppendInt(b []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n))
	case n < 1<<14:
		return append(b, 0x40|byte(n>>8), byte(n))
	case n < 1<<30:
		return append(b, 0x80|byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, 0xc0|byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// IntSize is how many bytes the number takes that begins with first.
func IntSize(first byte) int { return 1 << (first >> 6) }

// Int reads the number that b begins with; size is 0 where b ends before it does.
func Int(b []byte) (n uint64, size int) {
	if len(b) == 0 {
		return 0, 0
	}
	if size = IntSize(b[0]); len(b) < size {
		return 0, 0
	}
	n = uint64(b[0] & 0x3f)
	for _, c := range b[1:size] {
		n = n<<8 | uint64(c)
	}
	return n, size
}

// Header reads the type and the length that a frame begins with; size is 0 where b
// ends before they do.
func Header(b []byte) (kind, length uint64, size int) {
	kind, n := Int(b)
	if n == 0 {
		return 0, 0, 0
	}
	length, m := Int(b[n:])
	if m == 0 {
		return 0, 0, 0
	}
	return kind, length, n + m
}

// AppendHeader appends the beginning of a frame.
func AppendHeader(b []byte, kind uint64, length int) []byte {
	return AppendInt(AppendInt(b, kind), uint64(length))
}

// AppendFrame appends a whole frame.
func AppendFrame(b []byte, kind uint64, payload []byte) []byte {
	return append(AppendHeader(b, kind, len(payload)), payload...)
}

// AppendSettings appends a SETTINGS frame of names and values in turn.
func AppendSettings(b []byte, list ...uint64) []byte {
	var p []byte
	for _, n := range list {
		p = AppendInt(p, n)
	}
	return AppendFrame(b, Settings, p)
}

// ReadSettings judges the payload of a SETTINGS frame, of at most 32 settings.
func ReadSettings(p []byte) error {
	var seen [32]uint64
	for n := 0; len(p) > 0; n++ {
		name, _, size := Header(p)
		if size == 0 {
			return ErrFrame
		}
		p = p[size:]
		if 2 <= name && name <= 5 || n == len(seen) {
			return ErrSettings
		}
		for _, s := range seen[:n] {
			if s == name {
				return ErrSettings
			}
		}
		seen[n] = name
	}
	return nil
}
