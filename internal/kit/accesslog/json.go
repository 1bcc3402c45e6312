package accesslog

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// deepest is how deeply nested a line may be.
const deepest = 16

// key is what a name in an object means: a field, or that of the object behind it.
type key struct {
	field field
	inner map[string]key
}

// keys are the names that nginx (as most people describe it), Caddy, Cloudflare and
// Traefik use.
var keys = map[string]key{
	"ts": {field: fieldTime}, "time": {field: fieldTime}, "timestamp": {field: fieldTime}, "@timestamp": {field: fieldTime},
	"time_local": {field: fieldTime}, "time_iso8601": {field: fieldTime}, "msec": {field: fieldTime},
	"EdgeStartTimestamp": {field: fieldTime}, "StartUTC": {field: fieldTime},

	"remote_addr": {field: fieldClient}, "client_ip": {field: fieldClient}, "remote_ip": {field: fieldClient},
	"ClientIP": {field: fieldClient}, "ClientHost": {field: fieldClient}, "clientip": {field: fieldClient},

	"request_method": {field: fieldMethod}, "method": {field: fieldMethod}, "ClientRequestMethod": {field: fieldMethod}, "RequestMethod": {field: fieldMethod},
	"request_uri": {field: fieldURL}, "uri": {field: fieldURL}, "url": {field: fieldURL}, "ClientRequestURI": {field: fieldURL}, "RequestPath": {field: fieldURL},
	"ClientRequestPath": {field: fieldPath}, "args": {field: fieldQuery}, "query_string": {field: fieldQuery},
	"server_protocol": {field: fieldProtocol}, "ClientRequestProtocol": {field: fieldProtocol}, "RequestProtocol": {field: fieldProtocol},
	"host": {field: fieldHost}, "http_host": {field: fieldHost}, "server_name": {field: fieldHost}, "ClientRequestHost": {field: fieldHost}, "RequestHost": {field: fieldHost},
	"http_user_agent": {field: fieldAgent}, "user_agent": {field: fieldAgent}, "ClientRequestUserAgent": {field: fieldAgent}, "request_User-Agent": {field: fieldAgent},
	"http_referer": {field: fieldReferer}, "referer": {field: fieldReferer}, "ClientRequestReferer": {field: fieldReferer}, "request_Referer": {field: fieldReferer},

	"status": {field: fieldStatus}, "EdgeResponseStatus": {field: fieldStatus}, "DownstreamStatus": {field: fieldStatus},
	"body_bytes_sent": {field: fieldBytes}, "bytes_sent": {field: fieldBytes}, "size": {field: fieldBytes}, "EdgeResponseBytes": {field: fieldBytes}, "DownstreamContentSize": {field: fieldBytes},
	"request_time": {field: fieldSeconds}, "duration": {field: fieldSeconds}, "Duration": {field: fieldNanos},
	"upstream_response_time": {field: fieldOriginSeconds}, "OriginResponseDurationMs": {field: fieldOriginMillis},

	// nginx has a line here, and Caddy an object.
	"request": {field: fieldRequest, inner: map[string]key{
		"remote_ip": {field: fieldClient}, "client_ip": {field: fieldClient}, "proto": {field: fieldProtocol},
		"method": {field: fieldMethod}, "host": {field: fieldHost}, "uri": {field: fieldURL},
		"headers": {inner: map[string]key{"User-Agent": {field: fieldAgent}, "Referer": {field: fieldReferer}}},
	}},
}

// json reads a line that is an object.
func (r *Reader) json(line []byte, e *Entry) error {
	line = bytes.TrimLeft(line, " \t")
	if len(line) == 0 || line[0] != '{' {
		return errJSON
	}
	if cap(r.buf) < len(line) {
		r.buf = make([]byte, 0, 2*len(line)) // all strings together are no longer
	}
	s := scan{b: line, r: r, e: e, out: r.buf[:0]}
	err := s.object(keys, 0)
	if len(s.out) > 0 {
		r.buf = nil // the entry's strings are in it
	}
	if err != nil {
		return err
	}
	if !s.some {
		return errNoFields
	}
	return nil
}

// scan is a walk through one line.
type scan struct {
	b    []byte
	i    int
	r    *Reader
	e    *Entry
	out  []byte // strings without their escapes, one behind the other
	some bool   // a field was known
}

func (s *scan) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

// next passes over space and says what comes; 0 at the end.
func (s *scan) next() byte {
	if s.space(); s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// take passes over c, or says that something else stands there.
func (s *scan) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.i++
	return true
}

func (s *scan) object(names map[string]key, depth int) error {
	if depth > deepest {
		return errTooDeep
	}
	s.i++ // the brace
	if s.take('}') {
		return nil
	}
	for {
		if s.next() != '"' {
			return errJSON
		}
		name, err := s.string()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return errJSON
		}
		if err := s.value(names[text(name)], depth); err != nil {
			return err
		}
		switch {
		case s.take(','):
		case s.take('}'):
			return nil
		default:
			return errJSON
		}
	}
}

// value reads what stands behind a name. Of a list it is the first.
func (s *scan) value(k key, depth int) error {
	switch c := s.next(); c {
	case '"':
		v, err := s.string()
		if err != nil {
			return err
		}
		return s.put(k, v)
	case '{':
		return s.object(k.inner, depth+1)
	case '[':
		if depth >= deepest {
			return errTooDeep
		}
		s.i++
		if s.take(']') {
			return nil
		}
		for {
			if err := s.value(k, depth+1); err != nil {
				return err
			}
			k = key{}
			switch {
			case s.take(','):
			case s.take(']'):
				return nil
			default:
				return errJSON
			}
		}
	case 0:
		return errShort
	default:
		from := s.i
		for s.i < len(s.b) && bytes.IndexByte([]byte(",}] \t"), s.b[s.i]) < 0 {
			s.i++
		}
		word := s.b[from:s.i]
		switch {
		case len(word) == 0:
			return errJSON
		case text(word) == "null" || text(word) == "true" || text(word) == "false":
			return nil
		case c != '-' && (c < '0' || c > '9'):
			return errJSON
		}
		return s.put(k, word)
	}
}

func (s *scan) put(k key, v []byte) error {
	if k.field == fieldNone {
		return nil
	}
	s.some = true
	t := text(v)
	if k.field == fieldTime && bytes.ContainsAny(v, "eE") && !bytes.ContainsAny(v, "-:TZ/") {
		x, err := strconv.ParseFloat(t, 64) // 1.7e+09
		if err != nil {
			return errNumber
		}
		t = strconv.FormatFloat(x, 'f', 6, 64)
	}
	err := s.r.put(s.e, k.field, t)
	if err == nil && k.field == fieldClient && !s.e.Client.IsValid() {
		s.e.Client = named(t)
	}
	return err
}

// string reads a string, from its quote on.
func (s *scan) string() ([]byte, error) {
	from := s.i + 1
	for i := from; i < len(s.b); i++ {
		switch s.b[i] {
		case '"':
			s.i = i + 1
			return s.b[from:i], nil
		case '\\':
			return s.escaped(from, i)
		}
	}
	return nil, errShort
}

// escaped reads a string with escapes, the first of them at i.
func (s *scan) escaped(from, i int) ([]byte, error) {
	begin := len(s.out)
	s.out = append(s.out, s.b[from:i]...)
	for i < len(s.b) {
		c := s.b[i]
		i++
		switch c {
		case '"':
			s.i = i
			return s.out[begin:], nil
		case '\\':
			if i == len(s.b) {
				return nil, errShort
			}
			c, i = s.b[i], i+1
			switch c {
			case 'n':
				c = '\n'
			case 't':
				c = '\t'
			case 'r':
				c = '\r'
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case 'u':
				u, ok := hex4(s.b[i:])
				if !ok {
					return nil, errJSON
				}
				i += 4
				if utf16.IsSurrogate(u) {
					low, ok := rune(0), false
					if i+1 < len(s.b) && s.b[i] == '\\' && s.b[i+1] == 'u' {
						low, ok = hex4(s.b[i+2:])
					}
					if u = utf16.DecodeRune(u, low); ok && u != utf8.RuneError {
						i += 6
					}
				}
				s.out = utf8.AppendRune(s.out, u)
				continue
			case 'x': // as nginx writes without escape=json
				u, ok := hex4(append([]byte("00"), s.b[i:min(i+2, len(s.b))]...))
				if !ok {
					return nil, errJSON
				}
				i += 2
				c = byte(u)
			}
			s.out = append(s.out, c)
		default:
			s.out = append(s.out, c)
		}
	}
	return nil, errShort
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[:4]), 16, 32)
	return rune(n), err == nil
}
