package listen

import (
	"bytes"

	"seawall/internal/traffic"
)

// span is a stretch of the head, as offsets from its first byte. Heads are
// under 64 KiB (Config.Validate).
type span struct{ from, to uint16 }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }
func (s span) in(t string) string { return t[s.from:s.to] }
func (s span) empty() bool        { return s.from == s.to }

// field is one header field: its name as sent, and its value without the white
// space around it.
type field struct{ name, value span }

// head is a scanner for the head of one request, and what it found. Feed scan
// the bytes received so far until it says done. It is strict (RFC 9112 without
// its licences for leniency), looks at each byte once and allocates only to
// make room for its first fields. What it accepts, net/http accepts and
// understands the same way; FuzzHeadAgainstNetHTTP holds it to that.
type head struct {
	// Valid once scan said done.
	size          int // bytes, the empty line included
	method        span
	target        span
	host          span // as sent in Host, with port; empty where there is none
	agent         span
	version       traffic.HTTPVersion // where it is no line that says so
	minor         byte                // 0 or 1: HTTP/1.0 or HTTP/1.1
	length        int64               // of the body; -1 chunked
	expects       bool                // 100-continue
	upgrades      bool                // asks to switch protocols, and has no body
	closes        bool                // the client wants no further request on this connection
	order         uint64
	fields        []field
	originForm    bool // the target begins with a path, no scheme and host before it
	pathFrom      uint16
	maxSize       int
	maxFields     int
	at            int // start of the line that is not yet complete
	seen          int // no LF before here, from at on
	hosts         int
	lengths       int
	codings       int
	upgrade       bool // an Upgrade field
	connUpgrade   bool // Connection: upgrade
	connClose     bool
	connKeep      bool
	connNames     bool // Connection names something else, a field of this connection only
	expectsOther  bool
	trailerFaulty bool
}

// reset makes h ready for the next head.
func (h *head) reset(maxSize, maxFields int) {
	f := h.fields[:0]
	*h = head{maxSize: maxSize, maxFields: maxFields, fields: f, order: fnvOffset}
}

// http is the version that the client speaks.
func (h *head) http() traffic.HTTPVersion {
	if h.version != traffic.HTTPUnknown {
		return h.version
	}
	if h.minor == 0 {
		return traffic.HTTP10
	}
	return traffic.HTTP11
}

// body says whether a body follows the head.
func (h *head) body() bool { return h.length != 0 }

// scan looks at b, which holds the head from its first byte on and may hold
// more than the head. b may grow between calls but not change. After done or a
// fault, scan must not be called again before reset.
func (h *head) scan(b []byte) (done bool, f fault) {
	for {
		i := bytes.IndexByte(b[h.seen:], '\n')
		if i < 0 {
			if len(b) > h.maxSize {
				return false, faultHeadSize
			}
			// Spare whoever speaks something else altogether the wait.
			if h.at == 0 && len(b) > 0 && !isToken(b[0]) {
				return false, faultRequestLine
			}
			h.seen = len(b)
			return false, faultNone
		}
		end := h.seen + i // of the line, at its LF
		if end >= h.maxSize {
			return false, faultHeadSize
		}
		line := b[h.at:end]
		if len(line) == 0 || line[len(line)-1] != '\r' {
			return false, faultBareLF
		}
		line = line[:len(line)-1]
		start := h.at
		h.at, h.seen = end+1, end+1
		switch {
		case start == 0:
			f = h.requestLine(line)
		case len(line) == 0:
			h.size = end + 1
			return true, h.finish(b)
		default:
			f = h.field(line, start)
		}
		if f != faultNone {
			return false, f
		}
	}
}

// requestLine reads METHOD SP TARGET SP HTTP/1.x.
func (h *head) requestLine(line []byte) fault {
	i := bytes.IndexByte(line, ' ')
	if i < 0 {
		return lineFault(line, faultRequestLine)
	}
	for _, c := range line[:i] {
		if !isToken(c) {
			return lineFault(line, faultMethod)
		}
	}
	if i == 0 || i > 32 {
		return lineFault(line, faultMethod)
	}
	rest := line[i+1:]
	j := bytes.IndexByte(rest, ' ')
	if j < 0 {
		return lineFault(line, faultRequestLine)
	}
	switch string(rest[j+1:]) {
	case "HTTP/1.1":
		h.minor = 1
	case "HTTP/1.0":
		h.minor = 0
	default:
		return lineFault(line, faultVersion)
	}
	h.method = span{0, uint16(i)}
	h.target = span{uint16(i + 1), uint16(i + 1 + j)}
	if string(line[:i]) == "CONNECT" {
		return faultConnect
	}
	h.order = mix(h.order, '0'+h.minor)
	return h.checkTarget(rest[:j], string(line[:i]) == "OPTIONS")
}

// lineFault prefers the more telling fault where a line holds a CR or a control
// character.
func lineFault(line []byte, f fault) fault {
	for _, c := range line {
		if c == '\r' {
			return faultBareCR
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return faultControl
		}
	}
	return f
}

// finish checks what can only be judged with all fields seen.
func (h *head) finish(b []byte) fault {
	switch {
	case h.hosts > 1:
		return faultHostTwice
	case h.hosts == 0 && h.minor == 1:
		return faultHostMissing
	case h.lengths > 0 && h.codings > 0:
		return faultLengthAndCoding
	case h.lengths > 1:
		return faultLengthTwice
	case h.codings > 1 || h.codings > 0 && h.minor == 0:
		return faultCoding
	case h.codings > 0:
		h.length = -1
	}
	if h.length == -1 && h.trailerFaulty {
		return faultTrailerField
	}
	if !h.originForm && h.pathFrom > 0 {
		if f := h.checkAuthority(b); f != faultNone {
			return f
		}
	}
	if h.expectsOther {
		return faultExpect
	}
	h.expects = h.expects && h.minor == 1 && h.body()
	h.upgrades = h.upgrade && h.connUpgrade && h.minor == 1 && !h.body()
	h.closes = h.connClose || h.minor == 0 && !h.connKeep
	if h.order == 0 {
		h.order = 1
	}
	return faultNone
}
