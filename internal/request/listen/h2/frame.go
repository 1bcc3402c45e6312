package h2

import "encoding/binary"

// Preface is what a client sends before its first frame.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Sizes in bytes.
const (
	HeaderSize   = 9
	MaxFrame     = 16 << 10 // the least that a receiver must take; we ask for no more
	FirstWindow  = 1<<16 - 1
	MaxWindow    = 1<<31 - 1
	SettingSize  = 6
	PrioritySize = 5
)

// Type is a frame's.
type Type uint8

// The types of RFC 9113, section 6.
const (
	Data Type = iota
	Headers
	Priority
	Reset
	Settings
	PushPromise
	Ping
	GoAway
	WindowUpdate
	Continuation
)

// Flags of frames.
const (
	EndStream  = 0x1 // Data, Headers
	Ack        = 0x1 // Settings, Ping
	EndHeaders = 0x4
	Padded     = 0x8
	Prioritied = 0x20
)

// Code says why a stream or connection ends.
type Code uint32

// The codes of RFC 9113, section 7.
const (
	NoError Code = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

// Setting is the name of one.
type Setting uint16

// Settings of RFC 9113, section 6.5.2, RFC 8441 and RFC 9218.
const (
	HeaderTableSize      Setting = 1
	EnablePush           Setting = 2
	MaxConcurrentStreams Setting = 3
	InitialWindowSize    Setting = 4
	MaxFrameSize         Setting = 5
	MaxHeaderListSize    Setting = 6
	EnableConnect        Setting = 8
	NoPriorities         Setting = 9
)

// Frame is the header of a frame.
type Frame struct {
	Length int // of the payload, bytes
	Type   Type
	Flags  uint8
	Stream uint32 // 0: the connection
}

// Has says whether a flag is set.
func (f Frame) Has(flag uint8) bool { return f.Flags&flag != 0 }

// Parse reads the header of a frame from its first HeaderSize bytes.
func Parse(b []byte) Frame {
	return Frame{
		Length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		Type:   Type(b[3]),
		Flags:  b[4],
		Stream: binary.BigEndian.Uint32(b[5:]) & (1<<31 - 1),
	}
}

// AppendFrame appends the header of a frame.
func AppendFrame(b []byte, f Frame) []byte {
	b = append(b, byte(f.Length>>16), byte(f.Length>>8), byte(f.Length), byte(f.Type), f.Flags)
	return binary.BigEndian.AppendUint32(b, f.Stream)
}

// AppendReset appends a frame that ends a stream.
func AppendReset(b []byte, stream uint32, code Code) []byte {
	b = AppendFrame(b, Frame{4, Reset, 0, stream})
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

// AppendGoAway appends a frame that says which stream was the last to be served.
func AppendGoAway(b []byte, last uint32, code Code) []byte {
	b = AppendFrame(b, Frame{8, GoAway, 0, 0})
	b = binary.BigEndian.AppendUint32(b, last)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

// AppendWindowUpdate appends a frame that lets the peer send n bytes more.
func AppendWindowUpdate(b []byte, stream uint32, n int) []byte {
	b = AppendFrame(b, Frame{4, WindowUpdate, 0, stream})
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// AppendPingAck appends the answer to a ping of 8 bytes.
func AppendPingAck(b, data []byte) []byte {
	b = AppendFrame(b, Frame{8, Ping, Ack, 0})
	return append(b, data[:8]...)
}

// AppendSettings appends a frame of settings, name and value in turn.
func AppendSettings(b []byte, pairs ...uint32) []byte {
	b = AppendFrame(b, Frame{len(pairs) / 2 * SettingSize, Settings, 0, 0})
	for i := 0; i+1 < len(pairs); i += 2 {
		b = binary.BigEndian.AppendUint16(b, uint16(pairs[i]))
		b = binary.BigEndian.AppendUint32(b, pairs[i+1])
	}
	return b
}

// AppendSettingsAck appends the answer to a frame of settings.
func AppendSettingsAck(b []byte) []byte { return AppendFrame(b, Frame{0, Settings, Ack, 0}) }

// AppendHeaders appends a field block in as many frames as it takes.
func AppendHeaders(b []byte, stream uint32, block []byte, endStream bool) []byte {
	f := Frame{Type: Headers, Stream: stream}
	if endStream {
		f.Flags = EndStream
	}
	for {
		f.Length = min(len(block), MaxFrame)
		if f.Length == len(block) {
			f.Flags |= EndHeaders
		}
		b = append(AppendFrame(b, f), block[:f.Length]...)
		if block = block[f.Length:]; len(block) == 0 {
			return b
		}
		f = Frame{Type: Continuation, Stream: stream}
	}
}

// SettingAt reads the setting at the beginning of b.
func SettingAt(b []byte) (Setting, uint32) {
	return Setting(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint32(b[2:])
}
