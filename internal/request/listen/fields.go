package listen

import (
	"net/http"
	"net/textproto"
	"slices"
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
		b = appendValue(putField1(b, name, ""), v)
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

// contentLength is what a room says of the length of its answer; -1 nothing.
func contentLength(h http.Header) int64 {
	vv := h["Content-Length"]
	if len(vv) != 1 {
		return -1
	}
	n, err := strconv.ParseInt(vv[0], 10, 64)
	if err != nil {
		return -1
	}
	return max(n, -1)
}

// says whether the answer has a field.
func (x *exchange) says(name string) bool {
	for i := range x.lines {
		if x.lines[i][0] == name {
			return true
		}
	}
	return len(x.header[name]) > 0
}

// appendFields appends those fields of the answer that are its own, not its framing's,
// the way that one version of HTTP has them.
func (x *exchange) appendFields(b []byte, put putField) []byte {
	for i := range x.lines {
		b = appendOwn(b, x.lines[i][0], x.lines[i][1], put)
	}
	return appendHeader(b, x.header, put)
}

// appendHeader is appendFields for the standard form. There is room for as many names as
// most answers have, and no more: a connection that was turned away keeps its small stack.
func appendHeader(b []byte, h http.Header, put putField) []byte {
	var room [12]string
	for _, k := range sortedNames(room[:0], h) {
		for _, v := range h[k] {
			b = appendOwn(b, k, v, put)
		}
	}
	return b
}

// sortedNames appends the names of fields in order, for a map has none: the same answer
// looks the same.
func sortedNames(names []string, h http.Header) []string {
	for k := range h {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// appendOwn appends a field of an answer, unless it is its framing's.
func appendOwn(b []byte, name, value string, put putField) []byte {
	switch name {
	case "Connection", "Content-Length", "Transfer-Encoding", "Keep-Alive", "Upgrade", "Proxy-Connection":
		return b
	}
	if strings.HasPrefix(name, http.TrailerPrefix) || !isName(name) {
		return b
	}
	if !cleanValue(value) {
		value = string(appendValue(nil, value))
	}
	return put(b, name, value)
}

// putField1 appends a field's line in HTTP/1, with the end of the line before it.
func putField1(b []byte, name, value string) []byte {
	b = append(b, "\r\n"...)
	b = append(b, name...)
	b = append(b, ": "...)
	return append(b, value...)
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

// trailers are the names of the trailers that the answer announces.
func (x *exchange) trailers() (names []string) {
	for i := range x.lines {
		if x.lines[i][0] == "Trailer" {
			names = appendNames(names, x.lines[i][1])
		}
	}
	for _, v := range x.header["Trailer"] {
		names = appendNames(names, v)
	}
	return names
}

func appendNames(names []string, list string) []string {
	for name := range strings.SplitSeq(list, ",") {
		if name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)); name != "" {
			names = append(names, name)
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
		{"Seawall-Ref", a.Ref}, {"Location", a.Location}, {"Set-Cookie", a.Cookie}, {"Alt-Svc", alt},
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
