package identify

import (
	"net/netip"
	"strings"

	"seawall/internal/traffic"
)

// Limits on what is read of the headers that tell where a request comes from.
// Chains are short: five proxies in a row are many.
const (
	maxHops     = 16
	maxHopBytes = 2048 // of all values together
)

// client follows the chain of proxies from the peer to the client. peer is the
// address that the connection itself vouches for.
func (id *Identify) client(peer netip.Addr, h traffic.Headers) netip.Addr {
	if !id.trusted.has(peer) {
		return peer
	}
	if id.header != HeaderForwarded {
		if values := h.Values("X-Forwarded-For"); len(values) > 0 || id.header == HeaderXFF {
			return id.walk(peer, values, lastPlain)
		}
	}
	return id.walk(peer, h.Values("Forwarded"), lastForwarded)
}

// walk goes through the list from its right end, where the proxies nearest to
// us have written. take splits off the last element; it says with ok whether
// that names an address, and with blank that the element says nothing at all.
// The first address that is not a trusted proxy's is the client. What cannot be
// read ends the walk at the last address that could.
func (id *Identify) walk(peer netip.Addr, values []string, take func(string) (rest string, a netip.Addr, ok, blank bool)) netip.Addr {
	hops, room := 0, maxHopBytes
	for i := len(values) - 1; i >= 0; i-- {
		rest := values[i]
		if room -= len(rest); room < 0 {
			return peer
		}
		for more := true; more; {
			if hops++; hops > maxHops {
				return peer
			}
			var a netip.Addr
			var ok, blank bool
			before := len(rest)
			rest, a, ok, blank = take(rest)
			more = len(rest) > 0 && len(rest) < before
			if blank {
				continue
			}
			if !ok {
				return peer
			}
			peer = a
			if !id.trusted.has(a) {
				return a
			}
		}
	}
	return peer
}

// lastPlain takes the last element of X-Forwarded-For.
func lastPlain(s string) (rest string, a netip.Addr, ok, blank bool) {
	last := s
	if i := strings.LastIndexByte(s, ','); i >= 0 {
		rest, last = s[:i], s[i+1:]
	}
	last = trim(last)
	if last == "" {
		return rest, a, false, true
	}
	a, ok = parseNode(last)
	return rest, a, ok, false
}

// lastForwarded takes the last element of Forwarded (RFC 7239, section 4). It
// looks for the comma from the right, so that an open quotation mark further
// left, by a client, cannot swallow what a proxy wrote after it.
func lastForwarded(s string) (rest string, a netip.Addr, ok, blank bool) {
	i := len(s) - 1
	for quoted := false; i >= 0; i-- {
		if s[i] == '"' && !escaped(s, i) {
			quoted = !quoted
		} else if s[i] == ',' && !quoted {
			break
		}
	}
	last := trim(s[i+1:])
	if i > 0 {
		rest = s[:i]
	}
	if last == "" {
		return rest, a, false, true
	}
	a, ok = forOf(last)
	return rest, a, ok, false
}

// escaped says whether an odd number of backslashes stands before s[i].
func escaped(s string, i int) bool {
	n := 0
	for i--; i >= 0 && s[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// forOf returns the address in the one "for" of a Forwarded element. An element
// that is not well-formed throughout has none.
func forOf(s string) (a netip.Addr, ok bool) {
	for {
		var name, value string
		var good bool
		if name, value, s, good = pair(trim(s)); !good {
			return netip.Addr{}, false
		}
		if strings.EqualFold(name, "for") {
			if ok {
				return netip.Addr{}, false
			}
			if a, ok = parseNode(value); !ok {
				return netip.Addr{}, false
			}
		}
		s = trim(s)
		if s == "" {
			return a, ok
		}
		if s[0] != ';' {
			return netip.Addr{}, false
		}
		s = s[1:]
	}
}

// pair reads token=token or token="quoted" from the front of s. Quoted values
// with escapes are taken as they stand: none that means an address has one.
func pair(s string) (name, value, rest string, ok bool) {
	n := tokenLen(s)
	if n == 0 || n == len(s) || s[n] != '=' {
		return "", "", "", false
	}
	name, s = s[:n], s[n+1:]
	if s == "" || s[0] != '"' {
		// Some proxies leave the quotation marks of ports and IPv6 out.
		n = 0
		for n < len(s) && (isToken(s[n]) || s[n] == ':' || s[n] == '[' || s[n] == ']') {
			n++
		}
		return name, s[:n], s[n:], n > 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return name, s[1:i], s[i+1:], true
		}
	}
	return "", "", "", false
}

func tokenLen(s string) int {
	n := 0
	for n < len(s) && isToken(s[n]) {
		n++
	}
	return n
}

func isToken(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// parseNode reads an address as proxies write it: 192.0.2.1, 192.0.2.1:4711,
// 2001:db8::1, [2001:db8::1], [2001:db8::1]:4711.
func parseNode(s string) (netip.Addr, bool) {
	if len(s) > len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535") {
		return netip.Addr{}, false
	}
	switch colon := strings.IndexByte(s, ':'); {
	case s != "" && s[0] == '[':
		end := strings.IndexByte(s, ']')
		if end < 0 || strings.IndexByte(s[:end], ':') < 0 {
			return netip.Addr{}, false
		}
		if after := s[end+1:]; after != "" && (after[0] != ':' || !isPort(after[1:])) {
			return netip.Addr{}, false
		}
		s = s[1:end]
	case colon >= 0 && strings.IndexByte(s[colon+1:], ':') < 0:
		if !isPort(s[colon+1:]) {
			return netip.Addr{}, false
		}
		s = s[:colon]
	}
	// Zones and words ("unknown", "_hidden") end here, before ParseAddr would
	// allocate an error for them.
	for i := range len(s) {
		c := s[i] | 0x20
		if !(s[i] >= '0' && s[i] <= '9' || c >= 'a' && c <= 'f' || s[i] == ':' || s[i] == '.') {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	if a = a.Unmap(); a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}, false
	}
	return a, true
}

func isPort(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// trim cuts blanks and tabs off both ends.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
