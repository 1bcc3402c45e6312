package proxy

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// lane is a Straight as listen makes it, of a request that net/http has read.
type lane struct {
	*listened
	r    *http.Request
	list fields
	drop func() bool
}

// laneOf returns nil where listen would not make one.
func laneOf(l *listened, r *http.Request) *lane {
	for _, list := range r.Header["Connection"] {
		for e := range strings.SplitSeq(list, ",") {
			if e = trim(e); !strings.EqualFold(e, "close") && !strings.EqualFold(e, "keep-alive") {
				return nil
			}
		}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.ContentLength != 0 || r.Header["Content-Length"] != nil ||
		!strings.HasPrefix(r.RequestURI, "/") || !r.ProtoAtLeast(1, 1) {
		return nil
	}
	l.v.Method, l.v.Path = r.Method, r.URL.EscapedPath()
	f := fieldsOf(r.Header)
	f = append(f, [2]string{"Host", r.Host})
	return &lane{listened: l, r: r, list: f}
}

func (l *lane) Get(name string) string      { return l.r.Header.Get(name) }
func (l *lane) Values(name string) []string { return l.r.Header.Values(name) }
func (l *lane) Target() string              { return l.r.RequestURI }
func (l *lane) Host() string                { return l.r.Host }
func (l *lane) Context() context.Context    { return l.r.Context() }

func (l *lane) Field(i int) (name, value string, ok bool) {
	if i >= len(l.list) {
		return "", "", false
	}
	return l.list[i][0], l.list[i][1], true
}

func (l *lane) Hold(c io.Closer) { l.drop = context.AfterFunc(l.Context(), func() { c.Close() }) }
func (l *lane) Drop() bool       { return l.drop() }

func (l *lane) Begin(status int, f [][2]string, length int64) {
	h := l.Header()
	fields(slices.Clone(f)).addTo(h)
	if length >= 0 {
		h.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = nil
	}
	l.WriteHeader(status)
}

// keepAll is for a site that gets all cookies.
func keepAll(field string) string { return field }

// What the origin is asked is the same by either road.
func TestStraightRequest(t *testing.T) {
	for _, c := range []struct{ name, request, want string }{
		{"empty fields", "GET / HTTP/1.1\r\nHost: a\r\nCookie:\r\nTE:\r\nTE: trailers\r\nX:\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nCookie: \r\nX: \r\nConnection: TE\r\nTE: trailers\r\n"},
		{"fields that come twice", "GET /a?b HTTP/1.1\r\nHost: a\r\nZ: 1\r\nA: 2\r\nz: 3\r\nConnection: close\r\n\r\n",
			"GET /a?b HTTP/1.1\r\nHost: a\r\nA: 2\r\nZ: 1\r\nZ: 3\r\n"},
		{"ours", "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers, x\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-Ip: 6.6.6.6\r\nProxy: evil\r\n" +
			"Keep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: x\r\nHttp2-Settings: x\r\nExpect: 100-continue\r\nContent_Length: 5\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n"},
		{"too many ranges", "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1,0-1\r\nIf-Range: x\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\n"},
		{"empty range", "GET / HTTP/1.1\r\nHost: a\r\nRange:\r\nIf-Range: x\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\n"},
		{"cookies", "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\n"},
	} {
		said := "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\nForwarded: for=127.0.0.1;host=\"a\";proto=http\r\n\r\n"
		for _, standard := range []bool{false, true} {
			head, answer, straight := seenBy(t, testConfig(), standard, c.request)
			if want := !standard && !strings.Contains(c.request, "Range"); straight != want {
				t.Errorf("%s, standard form %v: the straight road was taken: %v", c.name, standard, straight)
			}
			if head != c.want+said {
				t.Errorf("%s, standard form %v: the origin saw\n%q, want\n%q", c.name, standard, head, c.want+said)
			}
			if !strings.HasSuffix(answer, "\r\n\r\nok") {
				t.Errorf("%s, standard form %v: the client saw %q", c.name, standard, answer)
			}
		}
	}
}

// A Cookie field of which nothing is for the site is not sent.
func TestStraightCookies(t *testing.T) {
	p := newHouse(t, testConfig("http://127.0.0.1:1")).Proxy
	var b strings.Builder
	bw := bufio.NewWriter(&b)
	x := exchange{p: p, keepCookie: func(f string) string { return strings.TrimPrefix(f, "ours=1") }}
	x.straight = &lane{list: fields{{"Cookie", "ours=1"}, {"A", "1"}, {"Cookie", "ours=1x=2"}, {"Host", "a"}}}
	x.writeStraight(bw)
	bw.Flush()
	if want := "A: 1\r\nCookie: x=2\r\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// An exchange is used again only where nothing can come back to it.
func TestExchangesAgain(t *testing.T) {
	p := newHouse(t, testConfig("http://127.0.0.1:1")).Proxy
	again := func(change func(*exchange)) bool {
		x := new(exchange)
		x.p = p
		change(x)
		p.free(x)
		for range 100 { // the race detector has pools forget some
			if p.exchange() == x {
				return true
			}
			p.free(x)
		}
		return false
	}
	for name, change := range map[string]func(*exchange){
		"a timer runs":              func(x *exchange) { x.lasts(io.NopCloser(nil)); x.long.Stop() },
		"the slot is given back":    func(x *exchange) { x.leaves = true },
		"the timer came to its end": func(x *exchange) { x.reader.begin(x); x.reader.timer.Stop(); x.reader.end(x) },
	} {
		if again(change) {
			t.Errorf("%s, and the exchange is used again", name)
		}
	}
	if !again(func(x *exchange) { x.reader.begin(x); x.reader.end(x) }) {
		t.Error("no exchange is used again")
	}
}
