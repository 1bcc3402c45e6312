package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

func TestOriginGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	h := newHouse(t, testConfig(url))
	for _, c := range []struct{ accept, kind, part string }{
		{"text/html,*/*", "text/html; charset=utf-8", "If this is your site"},
		{"application/json", "application/json", `"error":"origin-down","status":502`},
		{"*/*", "text/plain; charset=utf-8", "Wait a little"},
	} {
		res, body := get(t, "http://"+h.addr, "Accept", c.accept)
		if res.StatusCode != 502 || res.Header.Get("Content-Type") != c.kind || !strings.Contains(body, c.part) || res.Header.Get("Retry-After") != "10" {
			t.Errorf("%s: %d %v %q", c.accept, res.StatusCode, res.Header, body)
		}
	}
	if probs := h.Check(t.Context()); len(probs) != 1 || probs[0].Key != "origins[0].url" {
		t.Errorf("Check says %v", probs)
	}
	if g := h.Origin(); g.Healthy != 0 {
		t.Errorf("after three failed connections: %+v", g)
	}
	if res, _ := do(t, "HEAD", "http://"+h.addr, nil); res.StatusCode != 502 {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
}

func TestSlowOrigin(t *testing.T) {
	cfg := testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		io.Copy(io.Discard, br)
	}))
	cfg.AnswerTimeout = 50 * time.Millisecond
	h := newHouse(t, cfg)
	for _, body := range []io.Reader{nil, strings.NewReader("abc"), slowBody("abc", 100*time.Millisecond)} {
		method := "GET"
		if body != nil {
			method = "POST"
		}
		if res, text := do(t, method, "http://"+h.addr, body); res.StatusCode != 504 || !strings.Contains(text, "too long") {
			t.Errorf("%s: %d %q", method, res.StatusCode, text)
		}
	}
}

// slowBody sends its bytes one at a time.
func slowBody(s string, each time.Duration) io.Reader {
	r, w := io.Pipe()
	go func() {
		for i := range len(s) {
			io.WriteString(w, s[i:i+1])
			time.Sleep(each)
		}
		w.Close()
	}()
	return r
}

func TestSeveralOrigins(t *testing.T) {
	name := func(n string) string {
		return site(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, n) }).URL
	}
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	dead := "http://" + l.Addr().String()
	l.Close()
	cfg := testConfig(name("a"), dead, name("b"))
	cfg.Health.Every, cfg.Health.Path = 20*time.Millisecond, "/"
	h := newHouse(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	count := map[string]int{}
	for range 30 {
		res, body := do(t, "POST", "http://"+h.addr, strings.NewReader("x"))
		if res.StatusCode != 200 {
			t.Fatalf("status %d", res.StatusCode)
		}
		count[body]++
	}
	if count["a"] < 5 || count["b"] < 5 {
		t.Errorf("shares %v", count)
	}
	eventually(t, "the dead origin's fall", func() bool { return h.Origin().Healthy == 2 })
	// It comes back at the same address.
	l, err := net.Listen("tcp", strings.TrimPrefix(dead, "http://"))
	if err != nil {
		t.Skipf("address taken: %v", err)
	}
	back := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "back") })}
	go back.Serve(l)
	defer back.Close()
	eventually(t, "the origin's return", func() bool { return h.Origin().Healthy == 3 })
	eventually(t, "an answer of the returned origin", func() bool {
		_, body := get(t, "http://"+h.addr)
		return body == "back"
	})
}

// A check that waits for an origin's answer does not keep the program from
// ending.
func TestChecksEndAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan struct{})
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.Read(make([]byte, 1))
		close(asked)
		io.Copy(io.Discard, c)
	}()
	cfg := testConfig("http://" + l.Addr().String())
	cfg.Health.Path, cfg.Health.Timeout = "/", time.Minute
	h := newHouse(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	<-asked
	cancel()
	eventually(t, "the check's end", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}

func TestUnixAndTLSOrigins(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", r.Host, r.Proto) })
	dir := t.TempDir()
	l, err := net.Listen("unix", dir+"/s")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: hello}
	go srv.Serve(l)
	defer srv.Close()
	h := newHouse(t, testConfig("unix:"+dir+"/s"))
	for range 2 {
		if _, body := get(t, "http://"+h.addr); body != h.addr+" HTTP/1.1" {
			t.Errorf("over a unix socket: %q", body)
		}
	}

	secure := httptest.NewTLSServer(hello)
	defer secure.Close()
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	h = newHouse(t, testConfig(secure.URL))
	if res, _ := get(t, "http://"+h.addr); res.StatusCode != 502 {
		t.Errorf("an unknown certificate was believed: %d", res.StatusCode)
	}
	cfg := testConfig(secure.URL)
	cfg.CAFile = dir + "/ca.pem"
	writePEM(t, cfg.CAFile, secure.Certificate().Raw)
	h = newHouse(t, cfg)
	for range 2 {
		if _, body := get(t, "http://"+h.addr); body != h.addr+" HTTP/1.1" {
			t.Errorf("over TLS: %q", body)
		}
	}
	if probs := h.Check(t.Context()); len(probs) != 0 {
		t.Errorf("Check says %v", probs)
	}
}

func TestShed(t *testing.T) {
	enter, leave := make(chan struct{}), make(chan struct{})
	origin := site(t, func(w http.ResponseWriter, r *http.Request) {
		enter <- struct{}{}
		<-leave
	})
	cfg := testConfig(origin.URL)
	cfg.MaxInFlight, cfg.MaxWaiting = 1, 1
	var full []string
	h := newHouse(t, cfg)
	h.full = func(w http.ResponseWriter, _ bool, _ traffic.Headers, v *traffic.Visit, d mitigation.Verdict) {
		full = append(full, fmt.Sprint(v != nil, d.Action, d.Reason, d.RetryAfter))
		w.WriteHeader(503)
	}
	answers := make(chan int, 8)
	ask := func(rank string) {
		go func() {
			res, _ := get(t, "http://"+h.addr, "Test-Rank", rank)
			answers <- res.StatusCode
		}()
	}
	ask("suspect")
	<-enter
	ask("suspect")
	eventually(t, "the second in line", func() bool { return h.Origin().Waiting == 1 })
	ask("known") // sends the suspect away
	if s := <-answers; s != 503 {
		t.Errorf("status %d", s)
	}
	ask("suspect") // no place
	if s := <-answers; s != 503 {
		t.Errorf("status %d", s)
	}
	if o := h.last(t, 2); !o.Shed || o.Reached || o.Failed {
		t.Errorf("outcome %+v", o)
	}
	leave <- struct{}{}
	<-enter
	leave <- struct{}{}
	if a, b := <-answers, <-answers; a != 200 || b != 200 {
		t.Errorf("statuses %d, %d", a, b)
	}
	if o := h.last(t, 4); o.Waited <= 0 || o.OriginTime <= 0 {
		t.Errorf("outcome of who waited: %+v", o)
	}
	if want := "true refuse origin-full 5s"; len(full) != 2 || full[0] != want {
		t.Errorf("full was called with %q", full)
	}
}

func TestWithoutListen(t *testing.T) {
	origin := site(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	p, err := New(testConfig(origin.URL), nil, clock.New(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("POST", "http://x/", bytes.NewReader([]byte("abc"))))
	if w.Body.String() != "hello" {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}
