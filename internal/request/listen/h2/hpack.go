package h2

import "strconv"

// AppendStatus appends :status. Those of the static table (RFC 7541, appendix A)
// take one byte.
func AppendStatus(b []byte, status int) []byte {
	switch status {
	case 200:
		return append(b, 0x80|8)
	case 204:
		return append(b, 0x80|9)
	case 206:
		return append(b, 0x80|10)
	case 304:
		return append(b, 0x80|11)
	case 400:
		return append(b, 0x80|12)
	case 404:
		return append(b, 0x80|13)
	case 500:
		return append(b, 0x80|14)
	}
	return strconv.AppendInt(append(b, 8, 3), int64(status), 10)
}

// AppendField appends a field that nobody is to index. The name may be in any case.
func AppendField(b []byte, name, value string) []byte {
	b = appendName(b, name)
	b = appendInt(b, 0, 7, len(value))
	return append(b, value...)
}

// AppendFieldBytes is AppendField for a value in bytes.
func AppendFieldBytes(b []byte, name string, value []byte) []byte {
	b = appendName(b, name)
	b = appendInt(b, 0, 7, len(value))
	return append(b, value...)
}

func appendName(b []byte, name string) []byte {
	if i := staticName(name); i > 0 {
		return appendInt(b, 0, 4, i)
	}
	b = append(b, 0)
	b = appendInt(b, 0, 7, len(name))
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// appendInt appends n with a prefix of so many bits (RFC 7541, section 5.1), the
// bits before it being first.
func appendInt(b []byte, first byte, bits, n int) []byte {
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

// staticName finds a name of answers in the static table (RFC 7541, appendix A);
// names that are there in another case than http.Header's are sent as they are.
func staticName(name string) int {
	switch name {
	case "Accept-Ranges":
		return 18
	case "Age":
		return 21
	case "Access-Control-Allow-Origin":
		return 20
	case "Allow":
		return 22
	case "Cache-Control":
		return 24
	case "Content-Disposition":
		return 25
	case "Content-Encoding":
		return 26
	case "Content-Language":
		return 27
	case "Content-Length":
		return 28
	case "Content-Location":
		return 29
	case "Content-Range":
		return 30
	case "Content-Type":
		return 31
	case "Date":
		return 33
	case "Etag":
		return 34
	case "Expires":
		return 36
	case "Last-Modified":
		return 44
	case "Link":
		return 45
	case "Location":
		return 46
	case "Retry-After":
		return 53
	case "Server":
		return 54
	case "Set-Cookie":
		return 55
	case "Strict-Transport-Security":
		return 56
	case "Vary":
		return 59
	case "Www-Authenticate":
		return 61
	}
	return 0
}
