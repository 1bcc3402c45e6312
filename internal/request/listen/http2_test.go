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

	"seawall/internal/traffic"
)

// client2 is Go's own client, held to HTTP/2.
func (h *house) client2(t testing.TB, a *authority) *http.Client {
	t.Helper()
	p := new(http.Protocols)
	p.SetHTTP2(true)
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.pool, ServerName: "example.org"}, Protocols: p, DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, h.secure())
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func secureHouse(t testing.TB, rooms http.HandlerFunc, change ...func(*Config)) (*house, *authority) {
	t.Helper()
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
	for _, do := range change {
		do(&cfg)
	}
	return start(t, cfg, testDoor{}, rooms), a
}

func body(t testing.TB, r *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	return string(b)
}

// What is asked and answered by HTTP/2 reaches the rooms and the client whole:
// methods, fields, bodies both ways of any size, lengths known or not, trailers.
func TestHTTP2(t *testing.T) {
	h, a := secureHouse(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.TLS == nil || r.Host != "example.org" {
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
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "12345")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/cookies":
			_, _ = io.WriteString(w, strings.Join(r.Header["Cookie"], "|"))
		}
	})
	c := h.client2(t, a)
	for _, size := range []int{0, 1, 5000, 65535, 65536, 3 << 20} {
		for _, known := range []bool{true, false} {
			sent := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
			var from io.Reader = bytes.NewReader(sent)
			if !known {
				from = struct{ io.Reader }{from}
			}
			req, _ := http.NewRequest("POST", "https://example.org/echo", from)
			req.Trailer = http.Header{"X-Sent": {"!"}}
			if known {
				req.Trailer = nil
			}
			r, err := c.Do(req)
			if got := body(t, r, err); got != string(sent) || r.StatusCode != 201 {
				t.Errorf("%d bytes: got %d of %d", size, len(got), r.StatusCode)
			}
			if want := fmt.Sprint(size, map[bool]string{true: "", false: "!"}[known]); r.Trailer.Get("X-Seen") != want {
				t.Errorf("%d bytes, length known %v: trailer %q", size, known, r.Trailer)
			}
		}
	}
	r, err := c.Get("https://example.org/fixed")
	if body(t, r, err) != "12345" || r.ContentLength != 5 || r.Proto != "HTTP/2.0" {
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
	req, _ := http.NewRequest("GET", "https://example.org/cookies", nil)
	req.Header.Set("Cookie", "a=1; b=2; c=3")
	if r, err = c.Do(req); body(t, r, err) != "a=1; b=2; c=3" {
		t.Error("the crumbs of a cookie are not put together")
	}
	for _, s := range h.watch.wait(t, 17) {
		if v := s.visit; v.HTTP != traffic.HTTP2 || v.OpeningHTTP2 == 0 || v.HeaderOrder == 0 || !v.Secure || v.JA4 == "" || v.Host != "example.org" {
			t.Errorf("visit %+v", v)
		}
		if s.visit.Path == "/echo" && (s.outcome.BytesIn != s.outcome.BytesOut || s.outcome.Left) {
			t.Errorf("outcome %+v", s.outcome)
		}
	}
}

// Many requests at once on one connection are answered each with its own, slow
// ones hold up nobody, and what one client takes back ends the room's work.
func TestHTTP2Together(t *testing.T) {
	left := make(chan struct{}, 1)
	h, a := secureHouse(t, func(w http.ResponseWriter, r *http.Request) {
		switch n := r.URL.Query().Get("n"); {
		case r.URL.Path == "/wait":
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			left <- struct{}{}
		default:
			for range 50 {
				_, _ = io.WriteString(w, strings.Repeat(n+" ", 1000))
			}
		}
	})
	c := h.client2(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://example.org/wait", nil)
	r, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 60 {
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
	if n := h.Stats().Accepted; n != 1 {
		t.Errorf("%d connections were made for one client", n)
	}
}

// An answer that cannot be finished is seen not to be whole, a room that panics
// costs its own request alone, and a body of the wrong length is found.
func TestHTTP2Broken(t *testing.T) {
	h, a := secureHouse(t, func(w http.ResponseWriter, r *http.Request) {
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
		default:
			hello(w, r)
		}
	})
	c := h.client2(t, a)
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
	// A body that nobody wants does not stand in the way of the answer.
	r, err := c.Post("https://example.org/early", "text/plain", io.LimitReader(endless{}, 10<<20))
	if err != nil || r.StatusCode != http.StatusForbidden {
		t.Errorf("early answer: %v %v", r, err)
	}
	if r, err := c.Get("https://example.org/"); body(t, r, err) != "hello" {
		t.Error("the connection is of no use afterwards")
	}
	if n := h.Stats().Accepted; n != 1 {
		t.Errorf("%d connections: %+v", n, h.Stats())
	}
}

// A drain answers what was begun and takes nothing new, and clients lose nothing:
// what they are told was not begun they ask again.
func TestHTTP2Drain(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	h, a := secureHouse(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-finish
		}
		_, _ = io.WriteString(w, "done")
	})
	c := h.client2(t, a)
	type result struct {
		text string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		r, err := c.Get("https://example.org/slow")
		if err != nil {
			got <- result{"", err}
			return
		}
		b, err := io.ReadAll(r.Body)
		got <- result{string(b), err}
	}()
	<-begun
	drained := make(chan error, 1)
	go func() { drained <- h.Drain(t.Context()) }()
	time.Sleep(50 * time.Millisecond)
	close(finish)
	if r := <-got; r.err != nil || r.text != "done" {
		t.Errorf("the request under way: %+v", r)
	}
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
}

// A client that reads slowly or sends slowly is given up after Grace, by stream,
// and the others on the connection go on.
func TestHTTP2Slow(t *testing.T) {
	h, a := secureHouse(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			_, err := io.Copy(w, io.LimitReader(endless{}, 50<<20))
			if err == nil {
				t.Error("nobody reads, and all was written")
			}
			return
		}
		hello(w, r)
	}, func(c *Config) { c.Grace, c.MinRate = 300*time.Millisecond, 1<<20 })
	c := h.client2(t, a)
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
	if r, err := c.Get("https://example.org/"); body(t, r, err) != "hello" {
		t.Error("the connection is of no use afterwards")
	}
}
