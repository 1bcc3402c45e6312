package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const refusedGet = "GET /refuse HTTP/1.1\r\nHost: a\r\n\r\n"

// refusals asks n times for what is refused.
func refusals(t testing.TB, c net.Conn, br *bufio.Reader, n int) {
	t.Helper()
	for range n {
		if _, err := io.WriteString(c, refusedGet); err != nil {
			t.Fatal(err)
		}
		if r, text := answer(t, br, "GET"); r.StatusCode != 429 || text != "too much\n" {
			t.Fatalf("%d %q", r.StatusCode, text)
		}
	}
}

// park makes a connection that stands in a lot.
func (h *house) park(t testing.TB) (net.Conn, *bufio.Reader) {
	t.Helper()
	before := h.Stats().Parked
	c := h.dial(t)
	br := bufio.NewReader(c)
	refusals(t, c, br, firstParked)
	eventually(t, "a parked connection", func() bool { return h.Stats().Parked == before+1 })
	return c, br
}

// Who is refused time and again needs no goroutine, and notices nothing of it.
func TestLot(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, hello)
	c, br := h.park(t)
	refusals(t, c, br, 200)
	if n := h.Stats().Parked; n != 1 {
		t.Errorf("%d connections are parked", n)
	}
	// Two at once, an empty line before, another path, and HEAD.
	_, _ = io.WriteString(c, refusedGet+"\r\n"+"GET /refuse/2 HTTP/1.1\r\nHost: b\r\n\r\n"+"HEAD /refuse HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, method := range []string{"GET", "GET", "HEAD"} {
		if r, _ := answer(t, br, method); r.StatusCode != 429 {
			t.Errorf("%s: %d", method, r.StatusCode)
		}
	}
	if n := h.Stats().Parked; n != 1 {
		t.Errorf("%d connections are parked", n)
	}
	got := h.watch.wait(t, firstParked+203)
	if len(got) != firstParked+203 {
		t.Errorf("%d records", len(got))
	}
	for _, r := range got {
		if r.outcome.Status != 429 || r.verdict.Reason != mitigation.ReasonBan {
			t.Fatalf("%+v", r)
		}
	}
}

// Whatever may have to wait gets a goroutine again: who is let in, with a body or
// without, a head in pieces, what is malformed. It is parked again, later.
func TestLotLeft(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s", r.Method, b)
	})
	for name, pieces := range map[string][]string{
		"GET ":         {"GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"POST ab":      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"},
		"POST abcd":    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "2\r\ncd\r\n0\r\n\r\n"},
		"too much\n":   {"GET /refuse", " HTTP/1.1\r\nHost: a\r\n\r\n"},
		"too much\n\n": {"\r", "\nGET /refuse HTTP/1.1\r\nHost: a\r\n\r\n"},
		"malformed":    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
		"closes":       {"GET /refuse HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		"body":         {"POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"},
		"large":        {"GET /refuse HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 3000) + "\r\n\r\n"},
	} {
		c, br := h.park(t)
		for i, p := range pieces {
			if i > 0 {
				time.Sleep(20 * time.Millisecond)
			}
			_, _ = io.WriteString(c, p)
		}
		r, text := answer(t, br, "GET")
		switch name {
		case "malformed":
			if r.StatusCode != 400 {
				t.Errorf("%s: %d", name, r.StatusCode)
			}
			closedNow(t, br)
			continue
		case "closes", "body":
			if r.StatusCode != 429 || !r.Close {
				t.Errorf("%s: %d, closes %v", name, r.StatusCode, r.Close)
			}
			closedNow(t, br)
			continue
		case "large":
		default:
			if strings.TrimSpace(text) != strings.TrimSpace(name) {
				t.Errorf("%s: %q", name, text)
			}
		}
		if n := h.Stats().Parked; n != 0 {
			t.Errorf("%s: %d connections are parked", name, n)
		}
		refusals(t, c, br, firstParked*nextParked-2)
		if n := h.Stats().Parked; n != 0 {
			t.Errorf("%s: it is parked again too soon", name)
		}
		refusals(t, c, br, 2)
		eventually(t, "being parked again", func() bool { return h.Stats().Parked == 1 })
		refusals(t, c, br, 3)
		_ = c.Close()
		eventually(t, "its end", func() bool { s := h.Stats(); return s.Parked == 0 && s.Open == 0 })
	}
	if h.Stats().Panics != 0 {
		t.Error("a panic")
	}
}

// Who asks on and takes no answers waits for them alone, and gets all of them at last.
func TestLotUnread(t *testing.T) {
	h := start(t, testConfig(), testDoor{answer: func(buf []byte, _ *traffic.Visit) mitigation.Answer {
		return mitigation.Answer{Status: 429, Body: append(buf, strings.Repeat("x", 3000)...)}
	}}, hello)
	c := h.dial(t)
	_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
	br := bufio.NewReader(c)
	// Of 64 bytes each, so that no read of the lot ends within one: then nothing but an
	// answer that does not fit has the connection leave it.
	ask := func(from, n int) {
		for i := range n {
			text := fmt.Sprintf("GET /refuse?%d HTTP/1.1\r\nHost: a\r\nX: ", from+i)
			_, _ = io.WriteString(c, text+strings.Repeat("x", 60-len(text))+"\r\n\r\n")
		}
	}
	for i := range firstParked {
		ask(i, 1)
		answer(t, br, "GET")
	}
	eventually(t, "a parked connection", func() bool { return h.Stats().Parked == 1 })
	const many = 4000 // 12 MB of answers, more than the kernel takes
	go ask(0, many)
	eventually(t, "a full send queue", func() bool { return h.Stats().Parked == 0 })
	for i := range many {
		if r, text := answer(t, br, "GET"); r.StatusCode != 429 || len(text) != 3000 {
			t.Fatalf("answer %d: %d with %d bytes", i, r.StatusCode, len(text))
		}
	}
	list := h.watch.wait(t, firstParked+many)
	for i, r := range list[firstParked:] {
		if r.visit.RawQuery != fmt.Sprint(i) {
			t.Fatalf("request %d is recorded as %s", i, r.visit.RawQuery)
		}
	}
}

// Who is let in and breaks off at once is no trouble, however that meets being taken out
// of a lot.
func TestLotBrokenOff(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, hello)
	for i := range 200 {
		c := h.dial(t)
		refusals(t, c, bufio.NewReader(c), firstParked)
		_ = c.(*net.TCPConn).SetLinger(0)
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
		if i%2 == 0 {
			time.Sleep(time.Duration(i) * time.Microsecond)
		}
		_ = c.Close()
	}
	eventually(t, "the end of all", func() bool { s := h.Stats(); return s.Open == 0 && s.Parked == 0 })
	if n := h.Stats().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
	if n := h.count.parks.Load(); n < 150 {
		t.Errorf("only %d of 200 were parked", n)
	}
}

// Who is banned is gone, however fast more comes.
func TestLotBannedInFull(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, hello)
	c, br := h.park(t)
	go func() { _, _ = io.Copy(io.Discard, br) }()
	over := make(chan error, 1)
	go func() {
		request := "GET /refuse HTTP/1.1\r\nHost: a\r\n"
		request += "X: " + strings.Repeat("x", 57-len(request)) + "\r\n\r\n" // 64 bytes
		for {
			if _, err := io.WriteString(c, request); err != nil {
				over <- err
				return
			}
		}
	}()
	eventually(t, "a flood", func() bool { return len(h.watch.all()) > 500 })
	if n, _ := h.CloseClients([]Banned{{Prefix: netip.MustParsePrefix("127.0.0.1/32"), Person: true}}, nil); n != 1 {
		t.Fatalf("%d connections are closed", n)
	}
	if err := <-over; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it goes on")
	}
	eventually(t, "an empty lot", func() bool { return h.Stats().Parked == 0 })
}

// A connection is the same after it has stood in a lot.
func TestLotSocket(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, hello)
	options := func() (list []int) {
		h.each(func(c *conn) {
			raw, err := c.tcp.Load().SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			_ = raw.Control(func(fd uintptr) {
				for _, o := range [][2]int{
					{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
					{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}, {unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT}, {unix.IPPROTO_TCP, unix.TCP_NODELAY},
				} {
					n, err := unix.GetsockoptInt(int(fd), o[0], o[1])
					if err != nil {
						t.Fatal(err)
					}
					list = append(list, n)
				}
			})
		})
		return list
	}
	c := h.dial(t)
	br := bufio.NewReader(c)
	refusals(t, c, br, 1)
	before := options()
	refusals(t, c, br, firstParked-1)
	eventually(t, "a parked connection", func() bool { return h.Stats().Parked == 1 })
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	answer(t, br, "GET")
	if after := options(); len(before) != 6 || !slices.Equal(before, after) {
		t.Errorf("%v before, %v after", before, after)
	}
}

// What ends a connection ends it in a lot as well, in the same way.
func TestLotEnds(t *testing.T) {
	reset := func(t *testing.T, c net.Conn) {
		t.Helper()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("it ends with %v, no reset", err)
		}
	}
	closed := func(t *testing.T, c net.Conn) {
		t.Helper()
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("it ends with %d, %v", n, err)
		}
	}
	quick := testConfig()
	quick.IdleTimeout = 200 * time.Millisecond
	for name, c := range map[string]struct {
		cfg  Config
		end  func(h *house, c net.Conn)
		seen func(*testing.T, net.Conn)
	}{
		"idle":   {quick, func(*house, net.Conn) {}, closed},
		"drop":   {testConfig(), func(_ *house, c net.Conn) { _, _ = io.WriteString(c, "GET /drop HTTP/1.1\r\nHost: a\r\n\r\n") }, reset},
		"client": {testConfig(), func(_ *house, c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }, closed},
		"banned": {testConfig(), func(h *house, _ net.Conn) {
			h.CloseClients([]Banned{{Prefix: netip.MustParsePrefix("127.0.0.1/32"), Person: true}}, nil)
		}, reset},
		"drain": {testConfig(), func(h *house, _ net.Conn) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := h.Drain(ctx); err != nil {
				t.Error(err)
			}
		}, closed},
		"retire": {testConfig(), func(h *house, _ net.Conn) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := h.Retire(ctx, 50*time.Millisecond); err != nil {
				t.Error(err)
			}
		}, closed},
		"close": {testConfig(), func(h *house, _ net.Conn) { h.Close() }, reset},
		"evicted": {func() Config { c := testConfig(); c.MaxConns = 16; return c }(), func(h *house, _ net.Conn) {
			time.Sleep(2 * fresh * time.Millisecond)
			for range 20 {
				if c, err := net.Dial("tcp", h.addr); err == nil { // else there is no room at this moment
					defer c.Close()
					_, _ = io.WriteString(c, refusedGet)
				}
			}
			eventually(t, "an eviction", func() bool { return h.Stats().Evicted > 0 })
		}, closed},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, c.cfg, testDoor{}, hello)
			conn, _ := h.park(t)
			c.end(h, conn)
			c.seen(t, conn)
			eventually(t, "an empty lot", func() bool { return h.Stats().Parked == 0 })
		})
	}
}

// A panic of the door lets in, from a lot too.
func TestLotPanics(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, hello)
	c, br := h.park(t)
	_, _ = io.WriteString(c, "GET /door-panic HTTP/1.1\r\nHost: a\r\n\r\n")
	if r, text := answer(t, br, "GET"); r.StatusCode != 200 || text != "hello" {
		t.Errorf("%d %q", r.StatusCode, text)
	}
}

// Many connections at once, each asking for this and that in pieces of any size: every
// answer comes, in order, and nothing is left over.
func TestLotMany(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s", r.URL.RawQuery, b)
	})
	var wg sync.WaitGroup
	for k := range 60 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(k), 1))
			c := h.dial(t)
			br := bufio.NewReader(c)
			for i := range 100 {
				want, request := "too much\n", refusedGet
				switch rnd.IntN(40) {
				case 0:
					want, request = fmt.Sprintf("%d ", i), fmt.Sprintf("GET /?%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
				case 1:
					want, request = fmt.Sprintf("%d body", i), fmt.Sprintf("POST /?%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", i)
				case 2:
					request = fmt.Sprintf("GET /refuse?%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
				}
				if rnd.IntN(20) == 0 {
					n := rnd.IntN(len(request))
					_, _ = io.WriteString(c, request[:n])
					time.Sleep(time.Millisecond)
					request = request[n:]
				}
				_, _ = io.WriteString(c, request)
				r, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Errorf("connection %d, request %d: %v", k, i, err)
					return
				}
				if text, err := io.ReadAll(r.Body); err != nil || string(text) != want {
					t.Errorf("connection %d, request %d: %q, %v, want %q", k, i, text, err, want)
					return
				}
			}
			_ = c.Close()
		})
	}
	wg.Wait()
	eventually(t, "the end of all", func() bool { s := h.Stats(); return s.Open == 0 && s.Parked == 0 })
	if n := len(h.watch.wait(t, 60*100)); n != 60*100 {
		t.Errorf("%d records", n)
	}
	if n := h.count.parks.Load(); n < 60 {
		t.Errorf("connections were parked %d times", n)
	}
}
