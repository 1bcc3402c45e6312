// Package urlpath tells the one spelling of a path that all its spellings stand for, so
// that whoever judges a request by its path judges what is asked for and not how it was
// written: /%70oster, //poster and /x/../poster are /poster.
//
// In: the path of a request, without its query. Out: the same path with escapes of
// unreserved characters decoded, the digits of all others in upper case and dot segments
// removed (RFC 3986, sections 6.2.2 and 5.2.4), and with one slash where there are
// several. What else may be the same to a site is left: escapes of reserved characters
// (%2F), escapes of escapes, case, a slash at the end, parameters (;a=b), bytes above
// 127. What only begins like an escape is no escape.
//
// No state, no I/O; a path that is normal costs one look at each byte.
package urlpath

import (
	"bytes"
	"strings"
)

// text is what a path is held in.
type text interface{ ~string | ~[]byte }

// Clean returns the normal form of p: p itself where it is that already, for which
// nothing is allocated.
func Clean(p string) string {
	if Normal(p) {
		return p
	}
	var room [256]byte
	return string(Append(room[:0], p))
}

// Normal says whether p is in its normal form. What does not begin with a slash is no
// path, and normal.
func Normal[T text](p T) bool {
	if len(p) == 0 || p[0] != '/' {
		return true
	}
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '/':
			if i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.' && dots(p, i+1)) {
				return false
			}
		case '%':
			c, ok := escape(p, i)
			if !ok {
				continue
			}
			if unreserved(c) && !joins(p, i, c) || lower(p[i+1]) || lower(p[i+2]) {
				return false
			}
			i += 2
		}
	}
	return true
}

// Append appends the normal form of p to dst, which is never longer than p.
func Append[T text](dst []byte, p T) []byte {
	if len(p) == 0 || p[0] != '/' {
		return append(dst, p...)
	}
	from := len(dst)
	for i := 0; i < len(p); i++ {
		if p[i] == '/' {
			if dst = leave(dst, from); len(dst) == from || dst[len(dst)-1] != '/' {
				dst = append(dst, '/')
			}
			continue
		}
		c, ok := escape(p, i)
		switch out := dst[from:]; {
		case !ok:
			dst = append(dst, p[i])
			continue
		case unreserved(c) && !joins(out, len(out), c):
			dst = append(dst, c)
		default:
			dst = append(dst, '%', upper(p[i+1]), upper(p[i+2]))
		}
		i += 2
	}
	return leave(dst, from)
}

// leave ends the last segment of dst[from:]: a dot segment goes, and takes the one before
// it along where it has two dots.
func leave(dst []byte, from int) []byte {
	path := dst[from:]
	switch {
	case bytes.HasSuffix(path, []byte("/.")):
		return dst[:len(dst)-1]
	case bytes.HasSuffix(path, []byte("/..")):
		rest := path[:len(path)-len("/..")]
		return dst[:from+max(bytes.LastIndexByte(rest, '/'), 0)+1]
	}
	return dst
}

// Resegmented says whether the normal form of p has other segments than p has: an empty
// one inside or a dot segment went. All else that Append does is the same to every site
// that decodes escapes. It allocates nothing.
func Resegmented[T text](p T) bool {
	if len(p) == 0 || p[0] != '/' {
		return false
	}
	n, other := 0, false // characters of the segment so far; not only dots are among them
	for i := 1; i < len(p); i++ {
		c, ok := escape(p, i)
		switch {
		case p[i] == '/' && !other && n <= 2: // "//", "/./" or "/../"
			return true
		case p[i] == '/':
			n, other = 0, false
			continue
		case ok:
			i += 2
		default:
			c = p[i]
		}
		n, other = n+1, other || c != '.'
	}
	return n > 0 && n <= 2 && !other
}

// dots says whether the segment that begins at i is a dot segment.
func dots[T text](p T, i int) bool {
	n := 0
	for ; i < len(p) && p[i] == '.'; i++ {
		n++
	}
	return n <= 2 && (i == len(p) || p[i] == '/')
}

// escape returns the character that is escaped at i.
func escape[T text](p T, i int) (c byte, ok bool) {
	if p[i] != '%' || i+2 >= len(p) || !hex(p[i+1]) || !hex(p[i+2]) {
		return 0, false
	}
	return value(p[i+1])<<4 | value(p[i+2]), true
}

// joins says whether c, decoded at i, would make an escape with what stands before it
// and only began like one. That would be decoding twice.
func joins[T text](p T, i int, c byte) bool {
	return hex(c) && (i >= 1 && p[i-1] == '%' || i >= 2 && p[i-2] == '%' && hex(p[i-1]))
}

// unreserved characters mean the same escaped or not (RFC 3986, section 2.3).
func unreserved(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func hex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func lower(c byte) bool { return 'a' <= c && c <= 'f' }

func upper(c byte) byte {
	if lower(c) {
		c -= 'a' - 'A'
	}
	return c
}

func value(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xf + 9
}
