package listen

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// forked are rooms with both roads.
type forked struct {
	straight func(Straight) bool
	standard http.HandlerFunc
}

func (f forked) Straight(s Straight) bool                         { return f.straight(s) }
func (f forked) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.standard(w, r) }

// told is what a road knows of a request.
func told(s Straight) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %v\n", s.Visit().Method, s.Target(), s.Host(), s.Verdict().Action)
	for i := 0; ; i++ {
		name, value, ok := s.Field(i)
		if !ok {
			return b.String()
		}
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
}

// whichWay answers by which road a request came.
func whichWay() forked {
	return forked{
		func(s Straight) bool {
			s.Begin(200, [][2]string{{"Content-Type", "text/x"}}, 8)
			_, _ = io.WriteString(s, "straight")
			return true
		},
		func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "standard") },
	}
}

// What has a body, or would have to be understood, takes the standard form.
func TestStraightWhich(t *testing.T) {
	h := startRooms(t, testConfig(), testDoor{}, whichWay())
	for _, c := range []struct{ request, want string }{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "straight"},
		{"GET /%41?b=%zz HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nCookie: a\r\n\r\n", "straight"},
		{"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n", "straight"},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Mine\r\nX-Mine: 1\r\n\r\n", "standard"},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", "standard"},
		{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "standard"},
		{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "standard"},
		{"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "standard"},
		{"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "standard"},
		{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "standard"},
		{"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "standard"},
		{"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "standard"},
		{"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "standard"},
	} {
		_, br := h.send(t, c.request)
		if r, body := answer(t, br, "GET"); body != c.want || r.StatusCode != 200 {
			t.Errorf("%q: %d %s, want %s", c.request, r.StatusCode, body, c.want)
		}
	}
}

// A road that leaves a request alone has done nothing.
func TestStraightDeclined(t *testing.T) {
	f := whichWay()
	f.straight = func(Straight) bool { return false }
	h := startRooms(t, testConfig(), testDoor{}, f)
	_, br := h.send(t, strings.Repeat("GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 2))
	for range 2 {
		if _, body := answer(t, br, "GET"); body != "standard" {
			t.Errorf("%q", body)
		}
	}
	if got := h.watch.wait(t, 2); len(got) != 2 {
		t.Errorf("%d records of 2 requests", len(got))
	}
}

// What goes in and comes out, byte for byte, on one connection.
func TestStraightBytes(t *testing.T) {
	var asked atomic.Value
	h := startRooms(t, testConfig(), testDoor{}, forked{straight: func(s Straight) bool {
		asked.Store(told(s))
		f := [][2]string{{"Date", "then"}, {"X-B", "2"}, {"X-A", "1"}, {"X-B", " 3\r\nX-Evil: 1"}, {"Connection", "x"}, {"Bad name", "1"}}
		switch s.Visit().Path {
		case "/length":
			s.Begin(200, f, 5)
			_, _ = io.WriteString(s, "hello")
		case "/unknown":
			s.Begin(200, f, -1)
			_, _ = io.WriteString(s, "hello")
		case "/chunks":
			s.Begin(200, f, -1)
			_, _ = io.WriteString(s, "hel")
			_ = s.FlushError()
			_, _ = io.WriteString(s, "lo")
			s.Header()[http.TrailerPrefix+"T"] = []string{"x"}
		case "/nothing":
			s.Begin(204, f, -1)
		case "/unchanged":
			s.Begin(304, f, 7)
		case "/twice":
			s.Begin(200, f, 0)
			s.Begin(500, f, 0)
		}
		return true
	}})
	c, br := h.send(t, "")
	const fields = "Date: then\r\nX-B: 2\r\nX-A: 1\r\nX-B: 3  X-Evil: 1"
	for _, one := range []struct{ method, path, want string }{
		{"GET", "/length", "HTTP/1.1 200 OK\r\n" + fields + "\r\nContent-Length: 5\r\n\r\nhello"},
		{"HEAD", "/length", "HTTP/1.1 200 OK\r\n" + fields + "\r\nContent-Length: 5\r\n\r\n"},
		{"GET", "/unknown", "HTTP/1.1 200 OK\r\n" + fields + "\r\nContent-Length: 5\r\n\r\nhello"},
		{"GET", "/chunks", "HTTP/1.1 200 OK\r\n" + fields + "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nT: x\r\n\r\n"},
		{"GET", "/nothing", "HTTP/1.1 204 No Content\r\n" + fields + "\r\n\r\n"},
		{"GET", "/unchanged", "HTTP/1.1 304 Not Modified\r\n" + fields + "\r\nContent-Length: 7\r\n\r\n"},
		{"GET", "/twice", "HTTP/1.1 200 OK\r\n" + fields + "\r\nContent-Length: 0\r\n\r\n"},
	} {
		_, _ = fmt.Fprintf(c, "%s %s?q HTTP/1.1\r\nhost: A:80\r\nsec-fetch-mode: x\r\nx_y: 1\r\nX-Y: 2\r\n\r\n", one.method, one.path)
		got := make([]byte, len(one.want))
		if _, err := io.ReadFull(br, got); err != nil || string(got) != one.want {
			t.Errorf("%s %s: %v\n%q, want\n%q", one.method, one.path, err, got, one.want)
		}
		if want := one.method + " " + one.path + "?q A:80 admit\nHost: A:80\nSec-Fetch-Mode: x\nX_y: 1\nX-Y: 2\n"; asked.Load() != want {
			t.Errorf("the road is told\n%s, want\n%s", asked.Load(), want)
		}
	}
	if br.Buffered() > 0 {
		t.Error("more came than was asked for")
	}
	for i, r := range h.watch.wait(t, 7) {
		if r.outcome.Left || r.outcome.BytesIn != 0 || r.outcome.Took <= 0 || i == 0 && r.outcome.BytesOut != 5 {
			t.Errorf("%s: %+v", r.visit.Path, r.outcome)
		}
	}
}

// HTTP/2 takes the straight road as well; what must be said of HTTPS is said once.
func TestStraightHTTP2(t *testing.T) {
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
	cfg.TLS.HSTS = time.Hour
	f := whichWay()
	f.straight = func(s Straight) bool {
		text := told(s)
		switch s.Visit().Path {
		case "/said":
			s.Begin(200, [][2]string{{"Strict-Transport-Security", "max-age=1"}}, -1)
		case "/trailers":
			s.Begin(200, [][2]string{{"Trailer", "A"}}, -1)
		default:
			s.Begin(200, nil, int64(len(text)))
		}
		_, _ = io.WriteString(s, text)
		if s.Visit().Path == "/trailers" {
			s.Header()[http.TrailerPrefix+"A"] = []string{"1"}
		}
		return true
	}
	h := startRooms(t, cfg, testDoor{}, f)
	client := h.client2(t, a)
	for path, hsts := range map[string]string{"/": "max-age=3600", "/said": "max-age=1", "/trailers": "max-age=3600"} {
		r, err := client.Get("https://example.org" + path)
		text := body(t, r, err)
		if !strings.HasPrefix(text, "GET "+path+" example.org admit\n") || !strings.Contains(text, "User-Agent: Go-http-client") {
			t.Errorf("%s: the road is told %q", path, text)
		}
		if got := r.Header["Strict-Transport-Security"]; len(got) != 1 || got[0] != hsts || len(r.Header["Date"]) != 1 {
			t.Errorf("%s: %v", path, r.Header)
		}
		if path == "/" && r.ContentLength != int64(len(text)) || path != "/" && r.ContentLength != -1 {
			t.Errorf("%s: length %d", path, r.ContentLength)
		}
		if path == "/trailers" && r.Trailer.Get("A") != "1" {
			t.Errorf("trailers %v", r.Trailer)
		}
	}
	r, err := client.Post("https://example.org/", "a/b", strings.NewReader("x"))
	if got := body(t, r, err); got != "standard" {
		t.Errorf("a POST takes the %s road", got)
	}
}

// The client's leaving closes what is held, and ends the context; by HTTP/2, where it
// gives the stream up, nothing else.
func TestStraightLeaves(t *testing.T) {
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
	cfg.Addresses = []string{"127.0.0.1:0"}
	arrived := make(chan struct{})
	h := startRooms(t, cfg, testDoor{}, forked{straight: func(s Straight) bool {
		if s.Visit().Path == "/quick" {
			s.Hold(io.NopCloser(nil))
			if !s.Drop() {
				t.Error("what was held is closed, and nobody has left")
			}
			s.Begin(200, nil, 0)
			return true
		}
		held, other := net.Pipe()
		defer other.Close()
		s.Hold(held)
		arrived <- struct{}{}
		if _, err := other.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: %v", s.Visit().Path, err)
		}
		if s.Context().Err() == nil || s.Drop() {
			t.Errorf("%s: the context goes on", s.Visit().Path)
		}
		panic(http.ErrAbortHandler)
	}})
	quick := "GET /quick HTTP/1.1\r\nHost: a\r\n\r\n"
	c, br := h.send(t, quick)
	answer(t, br, "GET")
	_, _ = io.WriteString(c, "GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	_ = c.Close()
	client := h.client2(t, a)
	impatient := *client
	impatient.Timeout = 100 * time.Millisecond
	left := make(chan error, 1)
	go func() {
		_, err := impatient.Get("https://example.org/two")
		left <- err
	}()
	<-arrived
	if <-left == nil {
		t.Error("an answer came")
	}
	r, err := client.Get("https://example.org/quick")
	body(t, r, err)
	for _, r := range h.watch.wait(t, 4) {
		if long := r.visit.Path != "/quick"; r.outcome.Left != long {
			t.Errorf("%s: left %v", r.visit.Path, r.outcome.Left)
		}
	}
}

// A road that breaks is survived, and its visitor told.
func TestStraightPanics(t *testing.T) {
	h := startRooms(t, testConfig(), testDoor{}, forked{straight: func(s Straight) bool {
		if s.Visit().Path == "/late" {
			s.Begin(200, nil, 5)
			_, _ = io.WriteString(s, "he")
		}
		panic("road")
	}})
	c, br := h.send(t, "GET /early HTTP/1.1\r\nHost: a\r\n\r\n")
	if r, _ := answer(t, br, "GET"); r.StatusCode != 500 {
		t.Errorf("status %d", r.StatusCode)
	}
	_ = c.Close()
	_, br = h.send(t, "GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r.Body); err == nil {
		t.Errorf("half an answer, %q, looks whole", b)
	}
	if n := h.Stats().Panics; n != 2 {
		t.Errorf("%d panics", n)
	}
}
