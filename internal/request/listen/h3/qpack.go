package h3

import "strconv"

// AppendStatus begins a field section, with :status as its first field.
func AppendStatus(b []byte, status int) []byte {
	b = AppendPrefix(b)
	if i := staticStatus(status); i > 0 {
		return appendPrefixed(b, 0xc0, 6, i)
	}
	b = appendPrefixed(b, 0x50, 4, 25) // the name of :status 200
	return strconv.AppendInt(append(b, 3), int64(status), 10)
}

// AppendPrefix begins a field section that needs no table but the static one
// (RFC 9204, section 4.5.1).
func AppendPrefix(b []byte) []byte { return append(b, 0, 0) }

// AppendField appends a field. The name may be in any case.
func AppendField(b []byte, name, value string) []byte {
	b = appendPrefixed(appendName(b, name), 0, 7, len(value))
	return append(b, value...)
}

// AppendFieldBytes is AppendField for a value in bytes.
func AppendFieldBytes(b []byte, name string, value []byte) []byte {
	b = appendPrefixed(appendName(b, name), 0, 7, len(value))
	return append(b, value...)
}

func appendName(b []byte, name string) []byte {
	if i := staticName(name); i >= 0 {
		return appendPrefixed(b, 0x50, 4, i)
	}
	b = appendPrefixed(b, 0x20, 3, len(name))
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// appendPrefixed appends n with a prefix of so many bits (RFC 7541, section 5.1), the
// bits before it being first.
func appendPrefixed(b []byte, first byte, bits, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// staticStatus finds a status in the static table (RFC 9204, appendix A); 0: it is
// not there.
func staticStatus(status int) int {
	switch status {
	case 103:
		return 24
	case 200:
		return 25
	case 304:
		return 26
	case 404:
		return 27
	case 503:
		return 28
	case 100:
		return 63
	case 204:
		return 64
	case 206:
		return 65
	case 302:
		return 66
	case 400:
		return 67
	case 403:
		return 68
	case 421:
		return 69
	case 425:
		return 70
	case 500:
		return 71
	}
	return 0
}

// staticName finds a name of answers in the static table; -1: it is not there, or
// in another case than http.Header's and is sent as it is.
func staticName(name string) int {
	switch name {
	case "Age":
		return 2
	case "Content-Disposition":
		return 3
	case "Content-Length":
		return 4
	case "Date":
		return 6
	case "Etag":
		return 7
	case "Last-Modified":
		return 10
	case "Link":
		return 11
	case "Location":
		return 12
	case "Set-Cookie":
		return 14
	case "Accept-Ranges":
		return 32
	case "Access-Control-Allow-Origin":
		return 35
	case "Cache-Control":
		return 36
	case "Content-Encoding":
		return 42
	case "Content-Type":
		return 44
	case "Strict-Transport-Security":
		return 56
	case "Vary":
		return 59
	case "X-Content-Type-Options":
		return 61
	case "Access-Control-Allow-Credentials":
		return 73
	case "Access-Control-Expose-Headers":
		return 79
	case "Content-Security-Policy":
		return 85
	case "Server":
		return 92
	case "X-Frame-Options":
		return 97
	}
	return -1
}
