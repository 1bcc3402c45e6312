package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	client "github.com/quic-go/quic-go/http3"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

func quicHouse(t testing.TB, rooms http.HandlerFunc, change ...func(*Config)) (*house, *authority) {
	t.Helper()
	return secureHouse(t, rooms, append(change, func(c *Config) { c.TLS.HTTP3 = true })...)
}

// client3 is quic-go's own client.
func (h *house) client3(t testing.TB, a *authority) *http.Client {
	t.Helper()
	tr := &client.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.pool, ServerName: "example.org"}, DisableCompression: true,
		Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddr(ctx, h.secure(), t, q)
		},
	}
	t.Cleanup(func() { _ = tr.Close() })
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// What is asked and answered by HTTP/3 reaches the rooms and the client whole, and
// the door is asked once for each request.
func TestHTTP3(t *testing.T) {
	h, a := quicHouse(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 3 || r.TLS == nil || r.Host != "example.org" {
			t.Errorf("the room sees %s %s TLS %v", r.Proto, r.Host, r.TLS != nil)
		}
		switch r.URL.Path {
		case "/echo":
			w.Header().Set("X-Length", strconv.FormatInt(r.ContentLength, 10))
			w.Header().Set("Trailer", "X-Seen")
			w.WriteHeader(http.StatusCreated)
			n, _ := io.Copy(w, r.Body)
			w.Header().Set("X-Seen", fmt.Sprint(n, r.Trailer.Get("X-Sent")))
		case "/fixed":
			if r.Body != http.NoBody || r.ContentLength != 0 {
				t.Errorf("a %s without a body has one of %d", r.Method, r.ContentLength)
			}
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "12345")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/cookies":
			_, _ = io.WriteString(w, strings.Join(r.Header["Cookie"], "|"))
		}
	})
	c := h.client3(t, a)
	for _, size := range []int{0, 1, 5000, 65535, 65536, 3 << 20} {
		for _, known := range []bool{true, false} {
			sent := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
			var from io.Reader = bytes.NewReader(sent)
			if !known {
				from = struct{ io.Reader }{from}
			}
			req, _ := http.NewRequest("POST", "https://example.org/echo", from)
			if !known {
				req.Trailer = http.Header{"X-Sent": {"!"}}
			}
			r, err := c.Do(req)
			if got := body(t, r, err); got != string(sent) || r.StatusCode != 201 {
				t.Errorf("%d bytes: got %d of %d", size, len(got), r.StatusCode)
			}
			if want := fmt.Sprint(size, map[bool]string{true: "", false: "!"}[known]); r.Trailer.Get("X-Seen") != want {
				t.Errorf("%d bytes, length known %v: trailer %q, want %q", size, known, r.Trailer, want)
			}
		}
	}
	r, err := c.Get("https://example.org/fixed")
	if body(t, r, err) != "12345" || r.ContentLength != 5 || r.Proto != "HTTP/3.0" {
		t.Errorf("fixed: %v", r)
	}
	r, err = c.Head("https://example.org/fixed")
	if body(t, r, err) != "" || r.ContentLength != 5 {
		t.Errorf("HEAD: %v", r)
	}
	if r, err = c.Get("https://example.org/none"); body(t, r, err) != "" || r.StatusCode != 204 {
		t.Errorf("none: %v", r)
	}
	if r, err = c.Get("https://example.org/refuse"); body(t, r, err) != "too much\n" || r.StatusCode != 429 || r.Header.Get("Retry-After") != "5" || r.Header.Get("Seawall-Ref") != "AB12" {
		t.Errorf("refused: %v", r)
	}
	r, err = c.Post("https://example.org/refuse", "text/plain", strings.NewReader(strings.Repeat("x", 300_000)))
	if body(t, r, err) != "too much\n" || r.StatusCode != 429 {
		t.Errorf("refused with a body: %v", r)
	}
	req, _ := http.NewRequest("GET", "https://example.org/cookies", nil)
	req.Header.Set("Cookie", "a=1; b=2; c=3")
	if r, err = c.Do(req); body(t, r, err) != "a=1; b=2; c=3" {
		t.Error("the crumbs of a cookie are not put together")
	}
	list := h.watch.wait(t, 18)
	if len(list) != 18 {
		t.Errorf("%d records of 18 requests", len(list))
	}
	for _, s := range list {
		if v := s.visit; v.HTTP != traffic.HTTP3 || v.HeaderOrder == 0 || !v.Secure || !strings.HasPrefix(v.JA4, "q13") || v.Host != "example.org" || !v.Peer.IsLoopback() || v.Client != v.Peer {
			t.Errorf("visit %+v", v)
		}
		if s.visit.Path == "/echo" && (s.outcome.BytesIn != s.outcome.BytesOut || s.outcome.Left) {
			t.Errorf("outcome %+v", s.outcome)
		}
	}
}

// Many requests at once on one connection are answered each with its own, and what
// the client takes back ends the room's work.
func TestHTTP3Together(t *testing.T) {
	left := make(chan struct{}, 1)
	h, a := quicHouse(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			left <- struct{}{}
			return
		}
		for range 50 {
			_, _ = io.WriteString(w, strings.Repeat(r.URL.Query().Get("n")+" ", 1000))
		}
	})
	c := h.client3(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://example.org/wait", nil)
	r, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 150 {
		all.Go(func() {
			r, err := c.Get("https://example.org/?n=" + strconv.Itoa(n))
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			if want := strings.Repeat(strconv.Itoa(n)+" ", 50_000); err != nil || string(b) != want {
				t.Errorf("%d: %d bytes of %d (%v)", n, len(b), len(want), err)
			}
		})
	}
	all.Wait()
	cancel()
	_ = r.Body.Close()
	select {
	case <-left:
	case <-time.After(20 * time.Second):
		t.Error("the room is not told that the request was taken back")
	}
	for _, s := range h.watch.wait(t, 151) {
		if s.outcome.Left != (s.visit.Path == "/wait") {
			t.Errorf("%s: left %v", s.visit.Path, s.outcome.Left)
		}
	}
	if n := h.Stats().Accepted; n != 1 {
		t.Errorf("%d connections were made for one client", n)
	}
}

// An answer that cannot be finished is seen not to be whole, a room that panics
// costs its own request alone, and a body that nobody wants is in nobody's way.
func TestHTTP3Broken(t *testing.T) {
	h, a := quicHouse(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			panic("room")
		case "/half":
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		case "/short":
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "short")
		case "/early":
			w.WriteHeader(http.StatusForbidden)
		case "/hijack":
			if _, _, err := w.(http.Hijacker).Hijack(); err == nil {
				t.Error("a stream was taken over")
			}
		default:
			hello(w, r)
		}
	})
	c := h.client3(t, a)
	if r, err := c.Get("https://example.org/panic"); body(t, r, err) == "" || r.StatusCode != 500 {
		t.Errorf("panic: %v", r)
	}
	for _, path := range []string{"/half", "/short"} {
		r, err := c.Get("https://example.org" + path)
		if err == nil {
			_, err = io.ReadAll(r.Body)
			_ = r.Body.Close()
		}
		if err == nil {
			t.Errorf("%s looks like a whole answer", path)
		}
	}
	r, err := c.Post("https://example.org/early", "text/plain", io.LimitReader(endless{}, 10<<20))
	if err != nil || r.StatusCode != http.StatusForbidden {
		t.Errorf("early answer: %v %v", r, err)
	}
	for _, path := range []string{"/hijack", "/"} {
		if r, err := c.Get("https://example.org" + path); err != nil || r.StatusCode != 200 {
			t.Errorf("%s: %v %v", path, r, err)
		}
	}
	if h.Stats().ConnErrors != 0 {
		t.Error("a connection was ended over that")
	}
}

// A drain answers what was begun and takes nothing new.
func TestHTTP3Drain(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	h, a := quicHouse(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-finish
		}
		_, _ = io.WriteString(w, "done")
	})
	c, idle := h.client3(t, a), h.client3(t, a)
	if r, err := idle.Get("https://example.org/"); body(t, r, err) != "done" {
		t.Error("no answer before the drain")
	}
	got := make(chan string, 1)
	go func() {
		r, err := c.Get("https://example.org/slow")
		if err != nil {
			got <- err.Error()
			return
		}
		b, err := io.ReadAll(r.Body)
		got <- fmt.Sprint(string(b), err)
	}()
	<-begun
	drained := make(chan error, 1)
	go func() { drained <- h.Drain(t.Context()) }()
	time.Sleep(50 * time.Millisecond)
	late := h.client3(t, a)
	late.Timeout = 300 * time.Millisecond
	if _, err := late.Get("https://example.org/"); err == nil {
		t.Error("a drain takes new connections")
	}
	close(finish)
	if text := <-got; text != "done<nil>" {
		t.Errorf("the request under way: %s", text)
	}
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
}

// A client that reads or sends too slowly is given up after Grace, by stream, and
// the others on the connection go on; an idle connection ends.
func TestHTTP3Slow(t *testing.T) {
	t.Parallel()
	h, a := quicHouse(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			if _, err := io.Copy(w, io.LimitReader(endless{}, 50<<20)); err == nil {
				t.Error("nobody reads, and all was written")
			}
			return
		}
		hello(w, r)
	}, func(c *Config) { c.Grace, c.MinRate, c.IdleTimeout = 300*time.Millisecond, 1<<20, 2*time.Second })
	c := h.client3(t, a)
	r, err := c.Get("https://example.org/big")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the slow reader's end", func() bool { return h.Stats().Timeouts["write"] > 0 })
	if _, err := io.ReadAll(r.Body); err == nil {
		t.Error("the answer looks whole")
	}
	pr, pw := io.Pipe()
	defer pw.Close()
	go func() { _, _ = pw.Write([]byte("a")) }()
	r, err = c.Post("https://example.org/", "text/plain", pr)
	if err == nil {
		if r.StatusCode != http.StatusRequestTimeout {
			t.Errorf("the slow sender is told %d", r.StatusCode)
		}
		_ = r.Body.Close()
	} else if errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if h.Stats().Timeouts["body"] != 1 {
		t.Error("the slow sender is not counted")
	}
	if r, err := c.Get("https://example.org/"); body(t, r, err) != "hello" {
		t.Error("the connection is of no use afterwards")
	}
	eventually(t, "the idle connection's end", func() bool { return h.Stats().Open == 0 })
}

// HTTPS says that there is HTTP/3, in answers and refusals alike, and nothing else
// does.
func TestAlternative(t *testing.T) {
	h, a := quicHouse(t, hello)
	_, port, _ := net.SplitHostPort(h.secure())
	want := `h3=":` + port + `"; ma=86400`
	for _, path := range []string{"", "refuse"} {
		c := h.handshake(t, a, "example.org")
		r1, _ := fetch(t, c, "GET /"+path+" HTTP/1.1\r\nHost: example.org\r\n\r\n")
		r2, err := h.client2(t, a).Get("https://example.org/" + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = r2.Body.Close()
		for _, r := range []*http.Response{r1, r2} {
			if got := r.Header.Get("Alt-Svc"); got != want {
				t.Errorf("/%s by %s: %q", path, r.Proto, got)
			}
		}
		r, err := http.Get("http://" + h.addr + "/" + path)
		if err != nil || r.Header.Get("Alt-Svc") != "" {
			t.Errorf("in clear text: %v %v", r, err)
		}
	}
	h, a = secureHouse(t, hello)
	if r, _ := fetch(t, h.handshake(t, a, "example.org"), "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); r.Header.Get("Alt-Svc") != "" {
		t.Error("HTTP/3 is promised where it is not spoken")
	}
}

// Who is banned meanwhile is cut off, and who is over a limit gets no connection.
func TestHTTP3Limits(t *testing.T) {
	h, a := quicHouse(t, hello, func(c *Config) { c.MaxConnsPerClient = 2 })
	var clients []*http.Client
	for range 2 {
		c := h.client3(t, a)
		if r, err := c.Get("https://example.org/"); body(t, r, err) != "hello" {
			t.Error("no answer")
		}
		clients = append(clients, c)
	}
	if r, err := h.client3(t, a).Get("https://example.org/"); err == nil {
		t.Errorf("one connection too many is served: %v", r)
	}
	if n := h.Stats().OverClient; n == 0 {
		t.Error("that is not counted")
	}
	v := h.watch.all()[0].visit
	if n, _ := h.CloseClients([]Banned{{Prefix: traffic.PrefixOf(v.Peer, traffic.LevelClient), Person: true}}, nil); n != 2 {
		t.Errorf("%d of 2 connections closed", n)
	}
	eventually(t, "their end", func() bool { return h.Stats().Open == 0 })
	_, _ = clients[0].Get("https://example.org/") // may meet the old connection's end
	if r, err := clients[0].Get("https://example.org/"); body(t, r, err) != "hello" {
		t.Error("its places are not given back")
	}
}

// The door's word before the handshake holds for QUIC, where the address was not
// proven before it too.
func TestHTTP3TurnedAway(t *testing.T) {
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
	cfg.TLS.HTTP3 = true
	h := start(t, cfg, testDoor{greet: func(*traffic.Visit) mitigation.Verdict {
		return mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonBan}
	}}, hello)
	for _, prove := range []bool{false, true} {
		if prove {
			h.quic.unproven.Add(h.quic.mostUnproven) // as in a flood
		}
		if _, err := h.client3(t, a).Get("https://example.org/"); err == nil {
			t.Error("who is banned is answered")
		}
	}
	eventually(t, "the connections' end", func() bool { return h.Stats().Open == 0 && h.quic.arriving.Load() == 0 })
	st := h.Stats()
	if st.HellosRefused["ban"] != 2 || st.Retries == 0 || len(h.watch.all()) != 0 {
		t.Errorf("%+v", st)
	}
}
