package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSlowClientsHoldNoPlace: the places at the origin are few, and a client
// that reads or sends slowly, or not at all, must not keep one from others.
func TestSlowClientsHoldNoPlace(t *testing.T) {
	arrived := make(chan struct{}, 10)
	origin := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			w.Header().Set("Content-Length", "30000000")
			_, _ = w.Write(make([]byte, 30_000_000))
		case "/form":
			arrived <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
		case "/upload":
			_, _ = io.Copy(io.Discard, r.Body)
		}
	})
	for _, c := range []struct {
		name, request string
		streams       int // what it counts as
	}{
		{"reads nothing", "GET /large HTTP/1.1\r\nHost: a\r\n\r\n", 1},
		{"sends nothing more of an upload", "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\nx", 1},
		{"sends nothing more of a chunked upload", "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", 1},
		{"sends nothing more of a form", "POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 90\r\n\r\nx", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(origin.URL)
			cfg.MaxInFlight = 1
			h := newHouse(t, cfg)
			h.longLived, h.slowClient = time.Hour, 20*time.Millisecond
			conn, _ := dialHouse(t, h.addr)
			_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			_, _ = io.WriteString(conn, c.request)
			eventually(t, "the place", func() bool {
				g := h.gate.Gauges()
				return g.InFlight == 0 && g.Streams == c.streams
			})
			if res, _ := get(t, "http://"+h.addr); res.StatusCode != 200 {
				t.Errorf("somebody else got %d", res.StatusCode)
			}
		})
	}
	select {
	case <-arrived:
		t.Error("the origin was asked before a short form was there")
	default:
	}
}

// TestSlowByDegreesHoldsNoPlace: nor does who keeps us waiting again and again, each
// time for less than would count by itself.
func TestSlowByDegreesHoldsNoPlace(t *testing.T) {
	const pause, slow = 20 * time.Millisecond, 400 * time.Millisecond
	origin := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		w.Header().Set("Content-Length", "300000000")
		_, _ = w.Write(make([]byte, 300_000_000))
	})
	for name, c := range map[string]struct {
		request string
		more    func(net.Conn, *bufio.Reader) error
	}{
		"sends": {
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
			func(conn net.Conn, _ *bufio.Reader) error { _, err := io.WriteString(conn, "1\r\nx\r\n"); return err },
		},
		"reads": {
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			func(_ net.Conn, br *bufio.Reader) error { _, err := io.CopyN(io.Discard, br, 256<<10); return err },
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(origin.URL)
			cfg.MaxInFlight = 1
			h := newHouse(t, cfg)
			h.longLived, h.slowClient = time.Hour, slow
			conn, br := dialHouse(t, h.addr)
			_, _ = io.WriteString(conn, c.request)
			for range 5 * slow / pause {
				time.Sleep(pause)
				if err := c.more(conn, br); err != nil {
					t.Fatal(err)
				}
				if g := h.gate.Gauges(); g.InFlight == 0 && g.Streams == 1 {
					return
				}
			}
			t.Errorf("still %+v", h.gate.Gauges())
		})
	}
}

// TestSlowBodiesAreNotTheOriginsTime: neither one that never ends, nor one that
// the origin answers before it ends.
func TestSlowBodiesAreNotTheOriginsTime(t *testing.T) {
	const pause = time.Second // far longer than a busy machine keeps the origin waiting
	h := newHouse(t, testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
		if strings.HasPrefix(readHead(br), "POST /never") {
			_, _ = io.Copy(io.Discard, br)
			return
		}
		for range 2000 {
			_, _ = br.ReadByte()
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})))
	for i, path := range []string{"/never", "/early"} {
		conn, br := dialHouse(t, h.addr)
		_, _ = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n"+strings.Repeat("x", 1000))
		time.Sleep(pause)
		if path == "/early" {
			_, _ = io.WriteString(conn, strings.Repeat("x", 1000))
			_, _ = br.ReadByte()
		}
		conn.Close()
		if o := h.last(t, i+1); o.OriginTime > pause*3/4 || o.Failed {
			t.Errorf("%s: outcome %+v", path, o)
		}
	}
}

// TestSlowClientsAreNotCutSooner: where no more streams are allowed, somebody
// with a bad connection keeps the place at the origin until it lasts too long.
func TestSlowClientsAreNotCutSooner(t *testing.T) {
	const size = 30_000_000
	cfg := testConfig(site(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "30000000")
		_, _ = w.Write(make([]byte, size))
	}).URL)
	cfg.MaxStreams = 1
	h := newHouse(t, cfg)
	h.longLived, h.slowClient = time.Hour, time.Millisecond
	conn, br := dialHouse(t, h.addr)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	time.Sleep(30 * time.Millisecond)
	if n, err := io.Copy(io.Discard, br); n < size || err != nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

// TestConnectionNamesMany: what a Connection field of a full head costs grows
// with its length, and not with its length times the number of fields.
func TestConnectionNamesMany(t *testing.T) {
	fields := func(names, n int) http.Header {
		f := http.Header{"Connection": {strings.Repeat("a,", names) + "x-gone, KEEP-alive, te,x-long-" + strings.Repeat("y", 300)}}
		for i := range n {
			f["X-"+string(rune('A'+i%26))+string(rune('a'+i/26))] = []string{"v"}
		}
		f["X-Gone"], f["Te"] = []string{"v"}, []string{"trailers"}
		f["X-Long-Y"+strings.Repeat("y", 299)] = []string{"v"}
		return f
	}
	h := fields(7000, 97)
	dropNamed(h)
	if len(h) != 99 || h["X-Gone"] != nil || h["Te"] == nil {
		t.Errorf("%d fields are left: %v", len(h), h)
	}
	// The least of many short runs is what it takes without the machine's noise.
	least := func(names, n int) time.Duration {
		best := time.Hour
		for range 50 {
			h := fields(names, n)
			began := time.Now()
			dropNamed(h)
			best = min(best, time.Since(began))
		}
		return best
	}
	// With names times fields it would be eight times as much.
	if few, many := least(7000, 3), least(7000, 97); many > 4*few {
		t.Errorf("with 3 fields it takes %v, with 97 %v", few, many)
	}
}

// TestShortAnswerKeepsItsTrailers, which net/http would drop, and none that
// frames messages.
func TestShortAnswerKeepsItsTrailers(t *testing.T) {
	h := newHouse(t, testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nContent-Length: 1\r\n\r\n")
	})))
	got := say(t, h.addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if !strings.HasSuffix(got, "2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n") {
		t.Errorf("got %q", got)
	}
}
