package listen

import (
	"bytes"
	"net/netip"
)

// checkTarget accepts origin-form, absolute-form with http or https, and "*"
// for OPTIONS (RFC 9112, section 3.2). Bytes above 127 pass: many programs send
// them unescaped, and they frame nothing.
func (h *head) checkTarget(t []byte, options bool) fault {
	for _, c := range t {
		if c <= ' ' || c == 0x7f {
			return lineFault(t, faultTarget)
		}
		if c == '#' { // a fragment is never sent; what follows would be guesswork
			return faultTarget
		}
	}
	path := t
	switch {
	case len(t) == 0:
		return faultTarget
	case t[0] == '/':
		h.originForm = true
	case len(t) == 1 && t[0] == '*':
		if !options {
			return faultTarget
		}
		h.originForm = true
		return faultNone
	default:
		n := schemeLen(t)
		if n == 0 {
			return faultTarget
		}
		rest := t[n:]
		i := bytes.IndexAny(rest, "/?")
		if i < 0 {
			i = len(rest)
		}
		// "http://host?x" is legal; net/http would take the query for the host.
		if i == 0 || i < len(rest) && rest[i] == '?' || !validHost(rest[:i]) {
			return faultTarget
		}
		path = rest[i:]
		h.pathFrom = uint16(n + i)
	}
	// Escapes in the path must be escapes; in the query they may be anything.
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	for i := 0; i < len(path); i++ {
		if path[i] == '%' {
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return faultTarget
			}
			i += 2
		}
	}
	return faultNone
}

func schemeLen(t []byte) int {
	if len(t) > 7 && equalFold(t[:7], "http://") {
		return 7
	}
	if len(t) > 8 && equalFold(t[:8], "https://") {
		return 8
	}
	return 0
}

// checkAuthority compares the host in an absolute-form target with Host.
func (h *head) checkAuthority(b []byte) fault {
	t := h.target.of(b)
	authority := t[schemeLen(t):h.pathFrom]
	if h.hosts == 1 && !bytes.EqualFold(authority, h.host.of(b)) {
		return faultHostMismatch
	}
	if h.hosts == 0 { // HTTP/1.0: the target alone says it
		from := h.target.from + uint16(schemeLen(t))
		h.host = span{from, h.target.from + h.pathFrom}
	}
	return faultNone
}

// validHost accepts a name of letters, digits, hyphens, dots and underscores,
// or an IP literal, with an optional port.
func validHost(b []byte) bool {
	if len(b) == 0 || len(b) > 262 {
		return false
	}
	if b[0] == '[' {
		i := bytes.IndexByte(b, ']')
		if i < 0 || i > 46 {
			return false
		}
		a, err := netip.ParseAddr(string(b[1:i]))
		return err == nil && a.Is6() && a.Zone() == "" && validPort(b[i+1:])
	}
	i := 0
	for i < len(b) && b[i] != ':' {
		c := b[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == '-' || c == '.' || c == '_') {
			return false
		}
		i++
	}
	return i > 0 && validPort(b[i:])
}

// validPort accepts nothing, or a colon and a port.
func validPort(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if b[0] != ':' || len(b) < 2 || len(b) > 6 {
		return false
	}
	n := 0
	for _, c := range b[1:] {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
