package listen

import (
	"bytes"
	"math"
)

// longestKnown bounds the names that mean something to us; longer ones count
// for the fingerprint and are otherwise left alone.
const longestKnown = 32

// field reads one NAME: VALUE line that starts at offset start of the head.
func (h *head) field(line []byte, start int) fault {
	if line[0] == ' ' || line[0] == '\t' {
		return faultFolding
	}
	if len(h.fields) >= h.maxFields {
		return faultFieldCount
	}
	// The name, its lower-cased copy and its part of the fingerprint, in one go.
	var lower [longestKnown]byte
	order := h.order
	i := 0
	for ; i < len(line) && line[i] != ':'; i++ {
		c := lowerToken(line[i])
		if c == 0 {
			return lineFault(line, faultFieldName)
		}
		if i < longestKnown {
			lower[i] = c
		}
		order = mix(order, c)
	}
	if i == 0 || i == len(line) {
		return lineFault(line, faultFieldName)
	}
	from, to := i+1, len(line)
	for from < to && isBlank(line[from]) {
		from++
	}
	for to > from && isBlank(line[to-1]) {
		to--
	}
	for _, c := range line[from:to] {
		if c < ' ' && c != '\t' || c == 0x7f {
			return lineFault(line, faultControl)
		}
	}
	s := uint16(start)
	h.fields = append(h.fields, field{span{s, s + uint16(i)}, span{s + uint16(from), s + uint16(to)}})
	if i <= longestKnown {
		name := lower[:i]
		if f := h.known(name, line[from:to], h.fields[len(h.fields)-1].value); f != faultNone {
			return f
		}
		if orderless(string(name)) {
			return faultNone
		}
	}
	h.order = mix(order, ':')
	return faultNone
}

// known takes note of the fields that frame messages or that a Visit needs.
func (h *head) known(name, value []byte, at span) fault {
	switch string(name) {
	case "host":
		h.hosts++
		h.host = at
		if !validHost(value) {
			return faultHost
		}
	case "user-agent":
		if h.agent.empty() {
			h.agent = at
		}
	case "content-length":
		h.lengths++
		n, ok := decimal(value)
		if !ok {
			return faultLength
		}
		h.length = n
	case "transfer-encoding":
		h.codings++
		if !equalFold(value, "chunked") {
			return faultCoding
		}
	case "connection":
		eachElement(value, func(e []byte) {
			switch {
			case equalFold(e, "close"):
				h.connClose = true
			case equalFold(e, "keep-alive"):
				h.connKeep = true
			case equalFold(e, "upgrade"):
				h.connUpgrade = true
			default:
				h.connNames = true
			}
		})
	case "upgrade":
		h.upgrade = h.upgrade || len(value) > 0
	case "expect":
		if h.expects || !equalFold(value, "100-continue") {
			h.expectsOther = true
		}
		h.expects = true
	case "trailer":
		eachElement(value, func(e []byte) {
			if framing(e) {
				h.trailerFaulty = true
			}
		})
	}
	return faultNone
}

// framing says whether a field, by its name in any case, decides where messages
// end or who they are for. Such a field in a trailer could only deceive.
func framing(name []byte) bool {
	return equalFold(name, "content-length") || equalFold(name, "transfer-encoding") ||
		equalFold(name, "trailer") || equalFold(name, "host")
}

// eachElement calls do with each element of a comma-separated list, without the
// white space around it.
func eachElement(list []byte, do func([]byte)) {
	for len(list) > 0 {
		e := list
		if i := bytes.IndexByte(list, ','); i >= 0 {
			e, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		for len(e) > 0 && isBlank(e[0]) {
			e = e[1:]
		}
		for len(e) > 0 && isBlank(e[len(e)-1]) {
			e = e[:len(e)-1]
		}
		if len(e) > 0 {
			do(e)
		}
	}
}

// decimal reads 1*DIGIT up to the largest int64.
func decimal(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// equalFold compares b with lower-case ASCII text.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// lowerToken returns the lower case of a character of a token (RFC 9110,
// section 5.6.2), or 0 where c is none.
func lowerToken(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z' || c == '-' || '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	}
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '.', '^', '_', '`', '|', '~':
		return c
	}
	return 0
}

func isToken(c byte) bool { return lowerToken(c) != 0 }
