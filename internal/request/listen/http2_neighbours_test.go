package listen

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// raw2 is a client that writes frames as it likes, in clear text. What is answered
// comes out of said, a line a frame, and is closed at the end.
type raw2 struct {
	net.Conn
	fr   *http2.Framer
	said chan string
}

func (h *house) raw2(t testing.TB, settings ...http2.Setting) *raw2 {
	t.Helper()
	c := h.dial(t)
	_, _ = io.WriteString(c, http2.ClientPreface)
	r := &raw2{Conn: c, fr: http2.NewFramer(c, c), said: make(chan string, 100_000)}
	_ = r.fr.WriteSettings(settings...)
	go r.listen()
	return r
}

func (r *raw2) listen() {
	defer close(r.said)
	dec := hpack.NewDecoder(codingTable, nil)
	for {
		f, err := r.fr.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			fields, _ := dec.DecodeFull(f.HeaderBlockFragment())
			r.said <- fmt.Sprintf("headers %d %s", f.StreamID, fields[0].Value)
		case *http2.DataFrame:
			r.said <- fmt.Sprintf("data %d %s", f.StreamID, f.Data())
		case *http2.RSTStreamFrame:
			r.said <- fmt.Sprintf("reset %d %v", f.StreamID, f.ErrCode)
		case *http2.GoAwayFrame:
			r.said <- fmt.Sprintf("goaway %d %v", f.LastStreamID, f.ErrCode)
		}
	}
}

func (r *raw2) ask(id uint32, ends bool, method, path string) {
	b := block(":method", method, ":scheme", "http", ":path", path, ":authority", "a")
	_ = r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b, EndHeaders: true, EndStream: ends})
}

// hears waits for a line that is said.
func (r *raw2) hears(t testing.TB, want string) {
	t.Helper()
	var all []string
	patience := time.After(20 * time.Second)
	for {
		select {
		case s, more := <-r.said:
			if s == want {
				return
			}
			if all = append(all, s); !more {
				t.Fatalf("%q was not said, but %q", want, all[max(0, len(all)-10):])
			}
		case <-patience:
			t.Fatalf("%q was not said in time", want)
		}
	}
}

func clearConfig(change ...func(*Config)) Config {
	c := testConfig()
	c.H2C = true
	for _, do := range change {
		do(&c)
	}
	return c
}

// page is answered when go is closed, and everything else at once.
func paging(finish <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			<-finish
		}
		_, _ = io.WriteString(w, "done")
	}
}

// Whatever becomes of one request, those beside it on the connection are answered: a
// drain that the next one crosses on its way, a refusal that is to be the last, many
// refusals whose bodies come after them, a drop on a relay's connection.
func TestHTTP2Neighbours(t *testing.T) {
	last := testDoor{answer: func(b []byte, _ *traffic.Visit) mitigation.Answer {
		return mitigation.Answer{Status: 429, Body: append(b, 'x'), Close: true}
	}}
	relay := func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
	for name, c := range map[string]struct {
		door   testDoor
		change func(*Config)
		do     func(t *testing.T, h *house, c *raw2)
	}{
		"crossed a drain": {do: func(t *testing.T, h *house, c *raw2) {
			go func() { _ = h.Drain(t.Context()) }()
			c.hears(t, "goaway 1 NO_ERROR")
			c.ask(3, false, "POST", "/up")
			_ = c.fr.WriteData(3, true, []byte("body"))
		}},
		"a last refusal": {door: last, do: func(t *testing.T, _ *house, c *raw2) {
			c.ask(3, true, "GET", "/refuse")
			c.hears(t, "headers 3 429")
		}},
		"bodies of refused ones": {do: func(t *testing.T, _ *house, c *raw2) {
			for i := range uint32(90) {
				c.ask(3+2*i, false, "POST", "/refuse")
			}
			for i := range uint32(90) {
				_ = c.fr.WriteData(3+2*i, true, []byte("body"))
			}
			c.hears(t, "headers 181 429")
		}},
		"a drop on a relay's": {change: relay, do: func(t *testing.T, _ *house, c *raw2) {
			c.ask(3, true, "GET", "/drop")
			c.hears(t, "reset 3 REFUSED_STREAM")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			finish := make(chan struct{})
			cfg := clearConfig()
			if c.change != nil {
				c.change(&cfg)
			}
			h := start(t, cfg, c.door, paging(finish))
			r := h.raw2(t)
			r.ask(1, true, "GET", "/page")
			eventually(t, "the page to be asked for", func() bool { return h.streams.Load() == 1 })
			c.do(t, h, r)
			close(finish)
			r.hears(t, "data 1 done")
		})
	}
}

// A body that stalls runs out of time also where others fill the window that all
// bodies share.
func TestHTTP2StalledTogether(t *testing.T) {
	var waiting atomic.Int32
	let := make(chan struct{})
	h := start(t, clearConfig(func(c *Config) { c.Grace = 300 * time.Millisecond }), testDoor{}, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-let
			return
		}
		waiting.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		waiting.Add(-1)
	})
	defer close(let)
	c := h.raw2(t)
	for _, id := range []uint32{1, 3, 5} {
		c.ask(id, false, "POST", "/hold")
		for left := streamWindow; left > 0; left -= h2Piece {
			_ = c.fr.WriteData(id, false, make([]byte, min(left, h2Piece)))
		}
	}
	for id := uint32(7); id < 7+2*20; id += 2 {
		c.ask(id, false, "POST", "/read")
	}
	eventually(t, "the others to be read", func() bool { return waiting.Load() > 0 })
	eventually(t, "their time to run out", func() bool { return waiting.Load() == 0 })
}

const h2Piece = 16 << 10

// Who holds unread bodies is at fault for there being too many, and not who sends
// next.
func TestHTTP2UnreadBodies(t *testing.T) {
	let := make(chan struct{})
	h := start(t, clearConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-let
			return
		}
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})
	defer close(let)
	for range h.mostUnread/connWindow + 2 {
		c := h.raw2(t)
		for _, id := range []uint32{1, 3, 5} {
			c.ask(id, false, "POST", "/hold")
			for left := streamWindow; left > 0; left -= h2Piece {
				_ = c.fr.WriteData(id, false, make([]byte, min(left, h2Piece)))
			}
		}
	}
	eventually(t, "too much to be unread", func() bool { return h.unread.Load() > h.mostUnread })
	c := h.raw2(t)
	c.ask(1, false, "POST", "/echo")
	_ = c.fr.WriteData(1, true, []byte("honest"))
	c.hears(t, "data 1 honest")
}

// Connections whose requests all wait for the client make room for others.
func TestHTTP2MakesRoom(t *testing.T) {
	h := start(t, clearConfig(func(c *Config) { c.MaxConns = 16 }), testDoor{}, hello)
	for range 20 {
		h.raw2(t).ask(1, false, "POST", "/up")
	}
	eventually(t, "all places to be taken", func() bool { return h.streams.Load() >= 16 })
	for range 5 {
		_, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
		if r, body := answer(t, br, "GET"); r.StatusCode != 200 || body != "hello" {
			t.Errorf("%d %q", r.StatusCode, body)
		}
	}
}

// A client on a slow line that reads many answers at once gets all of them: how the
// window of all is shared among them is not its fault.
func TestHTTP2SharedWindow(t *testing.T) {
	t.Parallel()
	const answers, size, second = 40, 20 << 10, 100 << 10
	h := start(t, clearConfig(func(c *Config) { c.Grace = time.Second }), testDoor{}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte("x"), size))
	})
	c := h.raw2(t)
	for i := range uint32(answers) {
		c.ask(1+2*i, true, "GET", "/")
	}
	var got [answers]int
	for done := 0; done < answers; {
		s, more := <-c.said
		var id uint32
		var text string
		if _, err := fmt.Sscanf(s, "data %d %s", &id, &text); err != nil {
			if !more || strings.HasPrefix(s, "reset") || strings.HasPrefix(s, "goaway") {
				t.Fatalf("%d of %d answers, then %q; %v", done, answers, s, got)
			}
			continue
		}
		time.Sleep(time.Duration(len(text)) * time.Second / second)
		_ = c.fr.WriteWindowUpdate(0, uint32(len(text)))
		_ = c.fr.WriteWindowUpdate(id, uint32(len(text)))
		if got[id/2] += len(text); got[id/2] == size {
			done++
		}
	}
	if slices.Max(got[:]) != size {
		t.Errorf("%v", got)
	}
}
