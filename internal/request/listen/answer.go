package listen

import (
	"net/http"
	"strconv"

	"seawall/internal/mitigation"
)

// appendAnswer writes a whole answer to b: status line, fields, and the body
// unless the request was HEAD.
// alt is what is said of HTTP/3; "" nothing.
func appendAnswer(b []byte, date []byte, alt string, a *mitigation.Answer, isHead, keepAlive10, closes bool) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(a.Status)...)
	b = append(b, "\r\nDate: "...)
	b = append(b, date...)
	b = appendField(b, "Content-Type", a.ContentType)
	b = appendField(b, "Content-Language", a.Language)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(a.Body)), 10)
	b = append(b, "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff"...)
	if a.RetryAfter > 0 {
		b = append(b, "\r\nRetry-After: "...)
		b = strconv.AppendInt(b, int64(a.RetryAfter), 10)
	}
	b = appendField(b, "Seawall-Ref", a.Ref)
	b = appendField(b, "Location", a.Location)
	b = appendField(b, "Set-Cookie", a.Cookie)
	b = appendField(b, "Alt-Svc", alt)
	switch {
	case closes:
		b = append(b, "\r\nConnection: close"...)
	case keepAlive10:
		b = append(b, "\r\nConnection: keep-alive"...)
	}
	b = append(b, "\r\n\r\n"...)
	if !isHead {
		b = append(b, a.Body...)
	}
	return b
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return putField1(b, name, value)
}

// scratch is room for one refusal. It is not a part of exchange, so that heads
// which arrive slowly hold none.
type scratch struct{ body, out []byte }

// keepBuffer is how large a body's buffer may be to be used again.
const keepBuffer = 32 << 10

func (s *Server) scratch() *scratch {
	if b, ok := s.scratches.Get().(*scratch); ok {
		return b
	}
	return &scratch{make([]byte, 0, 4<<10), make([]byte, 0, 5<<10)}
}

// reject answers a message that is not accepted, and ends the connection.
func (c *conn) reject(f fault) {
	if c.inLot {
		c.later = f
		return
	}
	if f != faultSlowHead {
		c.s.count.malformed[f].Add(1)
		c.garbled(f)
	}
	about := f.about()
	a := mitigation.Answer{
		Status: about.status, ContentType: "text/plain; charset=utf-8", Language: "en",
		Body: append([]byte(about.text), '\n'),
	}
	if _, err := c.Write(appendAnswer(nil, *c.s.date.Load(), c.alternative(), &a, false, false, true)); err == nil {
		c.linger()
	}
}
