package accesslog

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// Entry is one request as a log tells of it. What the log does not tell is empty.
type Entry struct {
	Time     time.Time
	Client   netip.Addr
	Method   string
	Host     string
	Path     string // as asked for, without the query
	Query    string
	Protocol string // HTTP/1.1
	Agent    string
	Referer  string
	Status   int
	Bytes    int64
	Took     time.Duration // until the answer was sent; 0 unknown
	Origin   time.Duration // until the origin answered; 0 unknown
}

// What is wrong with a line.
var (
	errShort    = errors.New("it ends too early")
	errForm     = errors.New("it has another form")
	errTime     = errors.New("the time cannot be read")
	errClient   = errors.New("it has no address")
	errJSON     = errors.New("it is no JSON object")
	errEra      = errors.New("its time is before 1990 or after 2199")
	errNoTime   = errors.New("it has no time")
	errRequest  = errors.New("it has no request")
	errTooDeep  = errors.New("its JSON is nested too deeply")
	errNumber   = errors.New("a number cannot be read")
	errNoFields = errors.New("no field of it is known")
)

// field is what a part of a line means.
type field uint8

const (
	fieldNone field = iota // passed over
	fieldClient
	fieldClientPort // address:port
	fieldTime       // of one of the forms that times have
	fieldMethod
	fieldHost
	fieldURL      // path and query, or a whole URL
	fieldPath     // without query
	fieldQuery    // without ?, or with it
	fieldProtocol // HTTP/1.1
	fieldRequest  // METHOD URL PROTOCOL
	fieldAgent
	fieldReferer
	fieldStatus
	fieldBytes
	fieldSeconds // until the answer was sent
	fieldMillis
	fieldMicros
	fieldNanos
	fieldOriginSeconds // until the origin answered
	fieldOriginMillis
)

// put enters what a part of a line says. text may be "-" for nothing.
func (r *Reader) put(e *Entry, f field, text string) error {
	if text == "-" || text == "" {
		return nil
	}
	switch f {
	case fieldClient:
		e.Client = r.address(text)
	case fieldClientPort:
		if i := strings.LastIndexByte(text, ':'); i > 0 {
			text = text[:i]
		}
		e.Client = r.address(strings.Trim(text, "[]"))
	case fieldTime:
		t, ok := r.times.parse(text)
		if !ok {
			return errTime
		}
		e.Time = t
	case fieldMethod:
		e.Method = text
	case fieldHost:
		e.Host = text
	case fieldURL:
		e.url(text)
	case fieldPath:
		e.Path = text
	case fieldQuery:
		e.Query = strings.TrimPrefix(text, "?")
	case fieldProtocol:
		e.Protocol = text
	case fieldRequest:
		e.request(text)
	case fieldAgent:
		e.Agent = text
	case fieldReferer:
		e.Referer = text
	case fieldStatus:
		e.Status = int(number(text))
	case fieldBytes:
		e.Bytes = max(number(text), 0)
	case fieldSeconds:
		e.Took = span(text, time.Second)
	case fieldMillis:
		e.Took = span(text, time.Millisecond)
	case fieldMicros:
		e.Took = span(text, time.Microsecond)
	case fieldNanos:
		e.Took = span(text, time.Nanosecond)
	case fieldOriginSeconds:
		e.Origin = span(lastOf(text), time.Second)
	case fieldOriginMillis:
		e.Origin = span(lastOf(text), time.Millisecond)
	}
	return nil
}

// number is a whole number; 0 where it is none.
func number(text string) int64 {
	if len(text) < 18 {
		if n, ok := digits(text); ok {
			return int64(n)
		}
	}
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// lastOf is the last of several origins' times (nginx: "0.001, 0.250").
func lastOf(text string) string {
	if i := strings.LastIndexAny(text, ",:"); i >= 0 {
		text = text[i+1:]
	}
	return strings.TrimSpace(text)
}

// span is a time in units; 0 where it is none, or makes no sense.
func span(text string, unit time.Duration) time.Duration {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x > 0) || x*float64(unit) > float64(24*time.Hour) {
		return 0
	}
	return time.Duration(x * float64(unit))
}

// request takes METHOD URL PROTOCOL apart. What is no request of HTTP, as scanners
// send it, stays as a path.
func (e *Entry) request(text string) {
	space := index(text, " ")
	if space < 0 {
		e.Path = text
		return
	}
	rest := text[space+1:]
	e.Method = text[:space]
	if i := strings.LastIndexByte(rest, ' '); i >= 0 && strings.HasPrefix(rest[i+1:], "HTTP/") {
		e.Protocol, rest = rest[i+1:], rest[:i]
	}
	e.url(rest)
}

// url takes a path with its query, or a whole URL, apart.
func (e *Entry) url(text string) {
	if text != "" && text[0] != '/' {
		if i := strings.Index(text, "://"); i > 0 && i < 8 {
			host, rest := text[i+3:], "/"
			if k := strings.IndexAny(host, "/?"); k >= 0 {
				host, rest = host[:k], host[k:]
			}
			if e.Host == "" {
				e.Host = host
			}
			text = rest
		}
	}
	e.Path, e.Query, _ = strings.Cut(text, "?")
}

// address reads an address. Of those that are not IPv4 the last is kept: the next line is
// often of the same client.
func (r *Reader) address(text string) netip.Addr {
	if a, ok := four(text); ok {
		return a
	}
	if text == string(r.lastText) {
		return r.lastAddr
	}
	whole := text
	if i := strings.IndexByte(text, ','); i >= 0 { // each proxy adds one; the first is the client's
		text = strings.TrimSpace(text[:i])
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	r.lastText, r.lastAddr = append(r.lastText[:0], whole...), a.Unmap()
	return r.lastAddr
}

// four reads an IPv4 address as netip.ParseAddr does, which takes several times as long.
func four(text string) (netip.Addr, bool) {
	var b [4]byte
	i := 0
	for at := range b {
		if at > 0 {
			if i >= len(text) || text[i] != '.' {
				return netip.Addr{}, false
			}
			i++
		}
		if i >= len(text) || text[i]-'0' > 9 {
			return netip.Addr{}, false
		}
		n := int(text[i] - '0')
		// A number with a zero in front is none.
		for i++; n > 0 && i < len(text) && text[i]-'0' <= 9; i++ {
			if n = 10*n + int(text[i]-'0'); n > 255 {
				return netip.Addr{}, false
			}
		}
		b[at] = byte(n)
	}
	return netip.AddrFrom4(b), i == len(text)
}

// text is b as a string that shares its memory.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
