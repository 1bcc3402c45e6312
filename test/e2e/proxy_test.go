package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A chunked body goes up and comes down piece by piece: each piece is back
// before the next is sent. Trailers come along both ways.
func TestChunkedBothWays(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	body, feed := io.Pipe()
	req, err := http.NewRequest("POST", w.url("/echo"), body)
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-Up": nil}
	go func() { _, _ = feed.Write([]byte("piece 0\n")) }()
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("X-Encoding") != "chunked" || resp.Header.Get("X-Length") != "-1" {
		t.Errorf("the origin saw encoding %q, length %s", resp.Header.Get("X-Encoding"), resp.Header.Get("X-Length"))
	}
	r := bufio.NewReader(resp.Body)
	total := 0
	for i := range 5 {
		line, err := r.ReadString('\n')
		if want := fmt.Sprintf("piece %d\n", i); err != nil || line != want {
			t.Fatalf("read %q, %v", line, err)
		}
		total += len(line)
		if i < 4 {
			fmt.Fprintf(feed, "piece %d\n", i+1)
		}
	}
	req.Trailer.Set("X-Up", "from below")
	feed.Close()
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("then %q, %v", rest, err)
	}
	if got := resp.Trailer.Get("X-Sum"); got != strconv.Itoa(total) {
		t.Errorf("trailer X-Sum %q, want %d", got, total)
	}
	if got := resp.Trailer.Get("Back-X-Up"); got != "from below" {
		t.Errorf("the trailer of the request came back as %q", got)
	}
	resp, err = client(t).Get(w.url("/trailers"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); string(b) != "body" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if resp.Trailer.Get("X-Announced") != "one" || resp.Trailer.Get("X-Unannounced") != "two" {
		t.Errorf("trailers %v", resp.Trailer)
	}
}

func TestHeadRangesAndConditions(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	for _, c := range []struct {
		method, path string
		fields       []string
		status       int
		body, length string
	}{
		{"GET", "/file", nil, 200, "0123456789", "10"},
		{"HEAD", "/file", nil, 200, "", "10"},
		{"HEAD", "/events-not", nil, 200, "", "19"},
		{"GET", "/file", []string{"Range: bytes=2-4"}, 206, "234", "3"},
		{"GET", "/file", []string{"Range: bytes=-2"}, 206, "89", "2"},
		{"GET", "/file", []string{"Range: bytes=20-"}, 416, "invalid range: failed to overlap\n", "33"},
		{"GET", "/file", []string{`If-None-Match: "v1"`}, 304, "", ""},
		{"HEAD", "/file", []string{`If-None-Match: "v1"`}, 304, "", ""},
		{"GET", "/file", []string{`If-Range: "old"`, "Range: bytes=2-4"}, 200, "0123456789", "10"},
		{"GET", "/file", []string{`If-Match: "old"`}, 412, "", "0"},
		{"OPTIONS", "/x", nil, 200, "this is /x", "10"},
		{"DELETE", "/x", nil, 200, "this is /x", "10"},
		{"PURGE", "/x", nil, 200, "this is /x", "10"},
	} {
		resp, body := fetch(t, c.method, w.url(c.path), "", c.fields...)
		if resp.StatusCode != c.status || body != c.body || resp.Header.Get("Content-Length") != c.length {
			t.Errorf("%s %s %v: %d %q, length %q", c.method, c.path, c.fields, resp.StatusCode, body, resp.Header.Get("Content-Length"))
		}
	}
	if resp, body := fetch(t, "GET", w.url("/file"), "", "Range: bytes=0-1,5-6"); resp.StatusCode != 206 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "multipart/byteranges") || strings.Count(body, "Content-Range") != 2 {
		t.Errorf("two ranges: %d %q", resp.StatusCode, body)
	}
}

// The body is sent only after the origin has asked for it, and not at all where
// it refuses.
func TestContinue(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	c := w.dial()
	r := bufio.NewReader(c)
	fmt.Fprint(c, "POST /sink HTTP/1.1\r\nHost: site\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 100 {
		t.Fatalf("before the body: %v, %v", resp, err)
	}
	fmt.Fprint(c, "hello")
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("after it: %v, %v", resp, err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "5" {
		t.Errorf("the origin counted %q", b)
	}

	// The answer may have said that it is the last one on its connection.
	c = w.dial()
	r = bufio.NewReader(c)
	fmt.Fprint(c, "POST /early HTTP/1.1\r\nHost: site\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if resp, err = http.ReadResponse(r, nil); err != nil || resp.StatusCode != 413 {
		t.Fatalf("where the origin refuses: %v, %v", resp, err)
	}
}

// An origin that refuses a large upload at once is heard, though the client is
// still sending.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	c := w.dial()
	fmt.Fprint(c, "POST /early HTTP/1.1\r\nHost: site\r\nContent-Length: 4000000\r\n\r\n")
	go func() {
		piece := make([]byte, 10_000)
		for range 400 {
			if _, err := c.Write(piece); err != nil {
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 413 {
		t.Fatalf("%v, %v", resp, err)
	}
	if b, _ := io.ReadAll(resp.Body); !strings.Contains(string(b), "too large for us") {
		t.Errorf("%q", b)
	}
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+w.addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	for _, msg := range [][]byte{[]byte("hello"), bytes.Repeat([]byte{0, 0xff}, 100_000), {}} {
		if err := c.Write(ctx, websocket.MessageBinary, msg); err != nil {
			t.Fatal(err)
		}
		kind, got, err := c.Read(ctx)
		if err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, msg) {
			t.Fatalf("%d bytes came back as %d, %v", len(msg), len(got), err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
	if resp, _ := fetch(t, "GET", w.url("/ws"), "", "Connection: Upgrade", "Upgrade: websocket"); resp.StatusCode != 400 && resp.StatusCode != 426 {
		t.Errorf("half a handshake: %s", resp.Status)
	}
}

// Each event is there before the next, not when a buffer is full or some time
// has passed.
func TestEventsAtOnce(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	resp, err := client(t).Get(w.url("/steps"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	least := time.Hour
	for i := range 10 {
		if i > 0 {
			o.more <- struct{}{} // only now the origin sends this one
		}
		line, err := r.ReadString('\n')
		var n int
		var sent int64
		if _, e := fmt.Sscanf(line, "data: %d %d", &n, &sent); err != nil || e != nil || n != i {
			t.Fatalf("%q, %v", line, err)
		}
		least = min(least, time.Since(time.Unix(0, sent)))
		_, _ = r.ReadString('\n')
	}
	if least > 80*time.Millisecond { // the machine may be busy now and then, not always
		t.Errorf("the fastest of 10 events took %v", least)
	}
}

func TestSlowOriginAndGone(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, config{"proxy": config{"answer_timeout": "1s"}}, o.url)
	if resp, body := fetch(t, "GET", w.url("/slow?d=300ms"), ""); resp.StatusCode != 200 || body != "at last" {
		t.Errorf("slow: %s %q", resp.Status, body)
	}
	if resp, _ := fetch(t, "GET", w.url("/slow?d=10s"), ""); resp.StatusCode != 504 {
		t.Errorf("too slow: %s", resp.Status)
	}
	ready := func(want int) func() bool {
		return func() bool {
			resp, err := http.Get("http://" + w.admin + "/readyz")
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == want
		}
	}
	until(t, 5*time.Second, "ready", ready(200))
	o.http.Close()
	resp, body := fetch(t, "GET", w.url("/"), "", "Accept: text/html")
	if resp.StatusCode != 502 || !strings.Contains(resp.Header.Get("Content-Type"), "text/html") || !strings.Contains(body, "does not answer") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("gone: %s %q", resp.Status, body)
	}
	if resp, body = fetch(t, "GET", w.url("/api"), "", "Accept: application/json"); resp.StatusCode != 502 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		t.Errorf("gone, JSON: %s %q", resp.Status, body)
	}
	until(t, 5*time.Second, "not ready", ready(503))
	if resp, err := http.Get("http://" + w.admin + "/healthz"); err != nil || resp.StatusCode != 200 {
		t.Errorf("/healthz: %v, %v", resp, err)
	}
}

// An origin that closes connections just as they are used again: what is safe
// to repeat is repeated on a fresh one, what is not is not.
func TestRetryOnFreshConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var posts, gets atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for i := 0; ; i++ {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if req.Method == "POST" {
						posts.Add(1)
					} else {
						gets.Add(1)
					}
					_, _ = io.Copy(io.Discard, req.Body)
					if i > 0 {
						return // the second request on a connection gets no answer
					}
					fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			}()
		}
	}()
	w := start(t, nil, "http://"+l.Addr().String())
	for i := range 6 {
		if resp, body := fetch(t, "GET", w.url("/"), ""); resp.StatusCode != 200 || body != "ok" {
			t.Fatalf("GET %d: %s %q", i, resp.Status, body)
		}
	}
	resp, _ := fetch(t, "POST", w.url("/"), "x=y")
	if n := posts.Load(); n != 1 {
		t.Errorf("a POST was sent %d times (%s)", n, resp.Status)
	}
}

func TestSeveralOrigins(t *testing.T) {
	t.Parallel()
	site := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
		t.Cleanup(s.Close)
		return s
	}
	a, b := site("a"), site("b")
	w := start(t, nil, a.URL, b.URL)
	ask := func(n int) map[string]int {
		got := map[string]int{}
		for range n {
			resp, body := fetch(t, "GET", w.url("/"), "")
			if resp.StatusCode != 200 {
				body = resp.Status
			}
			got[body]++
		}
		return got
	}
	if got := ask(20); got["a"] < 5 || got["b"] < 5 || got["a"]+got["b"] != 20 {
		t.Errorf("both alive: %v", got)
	}
	b.CloseClientConnections()
	b.Close()
	if got := ask(20); got["a"] != 20 {
		t.Errorf("one has died: %v", got)
	}
	var st struct {
		Window struct{ Origin struct{ Healthy int } }
	}
	until(t, 5*time.Second, "one healthy origin in the status", func() bool {
		w.api("/api/v1/status", &st)
		return st.Window.Origin.Healthy == 1
	})
}
