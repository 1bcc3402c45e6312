package identify

import "strings"

// Limits on the work that a query may cause.
const (
	maxParams    = 32 // further ones are not looked at
	maxParamName = 64 // bytes of each name; further ones are not looked at
)

// queryShape fingerprints the names of a query's parameters in their order,
// without the values; 0 for no query. "a=1&b=2" and "a=3&b=4" have one shape.
// A parameter without "=" that holds a digit is a value (cache busters are
// written so: "?1718281828"), and all of these look alike.
//
// It is FNV-1a (Fowler, Noll, Vo) over the names with a separator, its bits
// mixed as MurmurHash3 ends. It is not keyed: equal queries must look equal in
// reports of different days, and nothing is looked up by it.
func queryShape(raw string) uint64 {
	if raw == "" {
		return 0
	}
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for range maxParams {
		param, rest, more := strings.Cut(raw, "&")
		name, _, valued := strings.Cut(param, "=")
		if len(name) > maxParamName {
			name = name[:maxParamName]
		}
		if !valued && strings.ContainsAny(name, "0123456789") {
			name = "="
		}
		for i := range len(name) {
			h = (h ^ uint64(name[i])) * prime
		}
		h = (h ^ '&') * prime
		if raw = rest; !more {
			break
		}
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return max(h, 1)
}

// hostName writes a host in lower case, without port and final dot. It
// allocates only where there is an upper-case letter.
func hostName(s string) string {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i:], ']') < 0 {
		// An IPv6 address without brackets has no port to cut.
		if s[0] == '[' || strings.IndexByte(s[:i], ':') < 0 {
			s = s[:i]
		}
	}
	if n := len(s); n > 1 && s[n-1] == '.' {
		s = s[:n-1]
	}
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}
