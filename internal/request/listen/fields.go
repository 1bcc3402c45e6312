package listen

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"seawall/internal/mitigation"
)

// appendStatus appends an HTTP/1 status line, without its end.
func appendStatus(b []byte, status int) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	return append(b, http.StatusText(status)...)
}

// appendValues appends a field's lines, each with the end of the line before it.
func appendValues(b []byte, name string, values []string) []byte {
	if !isName(name) {
		return b
	}
	for _, v := range values {
		b = append(b, "\r\n"...)
		b = append(b, name...)
		b = append(b, ": "...)
		b = appendValue(b, v)
	}
	return b
}

// appendValue appends a value; what would end the line or the text becomes a blank.
func appendValue(b []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	for i := range len(v) {
		if c := v[i]; c == '\r' || c == '\n' || c == 0 {
			for j := range len(v) {
				if c := v[j]; c == '\r' || c == '\n' || c == 0 {
					b = append(b, ' ')
				} else {
					b = append(b, c)
				}
			}
			return b
		}
	}
	return append(b, v...)
}

func isName(s string) bool {
	for i := range len(s) {
		if !isToken(s[i]) {
			return false
		}
	}
	return len(s) > 0
}

const lengthName = "\r\nContent-Length: "

func appendLength(b []byte, n int64) []byte {
	return strconv.AppendInt(append(b, lengthName...), n, 10)
}

// contentLength is what a room says of the length of its answer.
func contentLength(h http.Header) (int64, bool) {
	vv := h["Content-Length"]
	if len(vv) != 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(vv[0], 10, 64)
	return n, err == nil && n >= 0
}

// hasElement says whether a list of a field has an element, in any case.
func hasElement(values []string, element string) bool {
	for _, v := range values {
		for e := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(textproto.TrimString(e), element) {
				return true
			}
		}
	}
	return false
}

// trailer is a field after the body.
type trailer struct {
	name   string
	values []string
}

// trailerNames are the trailers that a room announces.
func trailerNames(values []string) (names []string) {
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			if name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// trailerValues are the trailers that are there in the end: those announced, and
// those whose names begin with http.TrailerPrefix.
func trailerValues(h http.Header, announced []string) (list []trailer) {
	for _, k := range announced {
		if vv := h[k]; len(vv) > 0 && !framing([]byte(k)) {
			list = append(list, trailer{k, vv})
		}
	}
	for k, vv := range h {
		if name, ok := strings.CutPrefix(k, http.TrailerPrefix); ok && !framing([]byte(name)) {
			list = append(list, trailer{name, vv})
		}
	}
	return list
}

// putField appends a field the way that one version of HTTP has it.
type putField func(b []byte, name, value string) []byte

// appendHeader appends those fields of an answer that HTTP/2 and 3 have a place for.
func appendHeader(b []byte, h http.Header, put putField) []byte {
	for k, vv := range h {
		switch k {
		case "Connection", "Transfer-Encoding", "Keep-Alive", "Upgrade", "Proxy-Connection":
			continue
		}
		if strings.HasPrefix(k, http.TrailerPrefix) || !isName(k) {
			continue
		}
		for _, v := range vv {
			if !cleanValue(v) {
				v = string(appendValue(nil, v))
			}
			b = put(b, k, v)
		}
	}
	return b
}

func cleanValue(v string) bool {
	if v == "" {
		return true
	}
	if isBlank(v[0]) || isBlank(v[len(v)-1]) {
		return false
	}
	return strings.IndexByte(v, '\r') < 0 && strings.IndexByte(v, '\n') < 0 && strings.IndexByte(v, 0) < 0
}

// appendRefusal appends the fields of the door's answer, but for status and date. alt
// says where else the site is to be had; "" nowhere.
func appendRefusal(b []byte, alt string, a *mitigation.Answer, put putField) []byte {
	for _, f := range [...][2]string{
		{"Content-Type", a.ContentType}, {"Content-Language", a.Language},
		{"Seawall-Ref", a.Ref}, {"Set-Cookie", a.Cookie}, {"Alt-Svc", alt},
	} {
		if f[1] != "" {
			b = put(b, f[0], f[1])
		}
	}
	b = put(b, "Cache-Control", "no-store")
	b = put(b, "X-Content-Type-Options", "nosniff")
	if a.RetryAfter > 0 {
		b = put(b, "Retry-After", strconv.Itoa(a.RetryAfter))
	}
	return b
}
