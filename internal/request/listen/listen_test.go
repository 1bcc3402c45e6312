package listen

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

func TestVisitAndOutcome(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		x := w.(interface {
			Visit() *traffic.Visit
			Verdict() mitigation.Verdict
			Outcome() *traffic.Outcome
		})
		if x.Visit().Path != "/a%20b" || x.Verdict().Action != mitigation.Admit {
			t.Errorf("room sees %+v", x.Visit())
		}
		x.Outcome().Reached = true
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "12345")
	})
	_, br := h.send(t, "POST /a%20b?x=1 HTTP/1.1\r\nHost: EXAMPLE.org:8080\r\nUser-Agent: me\r\nContent-Length: 3\r\nCookie: a\r\n\r\nabc")
	if r, body := answer(t, br, "POST"); r.StatusCode != 201 || body != "12345" {
		t.Errorf("got %d %q", r.StatusCode, body)
	}
	got := h.watch.wait(t, 1)[0]
	v, o := got.visit, got.outcome
	if v.Method != "POST" || v.Host != "example.org" || v.Path != "/a%20b" || v.RawQuery != "x=1" || v.UserAgent != "me" ||
		v.HeaderOrder == 0 || v.At == 0 || v.Peer.String() != "127.0.0.1" || v.Client != v.Peer || v.Clearance != traffic.ClearanceProven {
		t.Errorf("visit %+v", v)
	}
	if o.Status != 201 || o.BytesIn != 3 || o.BytesOut != 5 || !o.Reached || o.Took <= 0 || o.Left {
		t.Errorf("outcome %+v", o)
	}
}

func TestRefusal(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, hello)
	const get = " /refuse HTTP/1.1\r\n" + host
	_, br := h.send(t, "GET"+get+"\r\nHEAD"+get+"\r\nPOST"+get+"Content-Length: 3\r\n\r\nabc"+
		"GET /refuse HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"+
		"POST"+get+"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	for i, method := range []string{"GET", "HEAD", "POST", "GET", "POST"} {
		r, body := answer(t, br, method)
		if r.StatusCode != 429 || method != "HEAD" && body != "too much\n" || r.ContentLength != 9 {
			t.Errorf("%d: got %d %q", i, r.StatusCode, body)
		}
		for name, want := range map[string]string{
			"Seawall-Ref": "AB12", "Retry-After": "5", "Content-Type": "text/plain", "Content-Language": "en",
			"Set-Cookie": "a=b", "Cache-Control": "no-store",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%d: %s is %q", i, name, got)
			}
		}
		if _, err := http.ParseTime(r.Header.Get("Date")); err != nil {
			t.Error(err)
		}
		if i == 3 && r.Header.Get("Connection") != "keep-alive" {
			t.Error("HTTP/1.0 is not told that the connection stays")
		}
		if r.Close != (i == 4) {
			t.Errorf("%d: closes: %v", i, r.Close)
		}
	}
	closedNow(t, br) // nobody reads the last body
	for _, r := range h.watch.wait(t, 5) {
		if r.outcome.Status != 429 || r.verdict.Reason != mitigation.ReasonBan {
			t.Errorf("recorded %+v", r)
		}
	}
}

func TestDrop(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, hello)
	_, br := h.send(t, "GET /drop HTTP/1.1\r\n"+host+"\r\n")
	if b, err := io.ReadAll(br); len(b) > 0 {
		t.Errorf("got %q, %v", b, err)
	}
	if r := h.watch.wait(t, 1); r[0].outcome.Status != 0 || r[0].verdict.Action != mitigation.Drop {
		t.Errorf("recorded %+v", r[0])
	}
}

func TestPanicsAreSurvived(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/early":
			panic("room")
		case "/late":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic("room")
		case "/abort":
			panic(http.ErrAbortHandler)
		}
		hello(w, r)
	})
	get := func(path string) (*http.Response, error) {
		_, br := h.send(t, "GET "+path+" HTTP/1.1\r\n"+host+"\r\n")
		r, err := http.ReadResponse(br, nil)
		if err == nil {
			_, err = io.ReadAll(r.Body)
		}
		return r, err
	}
	if r, err := get("/early"); err != nil || r.StatusCode != 500 || !r.Close {
		t.Errorf("early: %v %v", r, err)
	}
	if r, err := get("/late"); err == nil || r.StatusCode != 200 {
		t.Errorf("late: %v %v", r, err)
	}
	if r, err := get("/abort"); err == nil {
		t.Errorf("abort: %v", r)
	}
	if r, err := get("/door-panic"); err != nil || r.StatusCode != 200 {
		t.Errorf("a door that panics must let in: %v %v", r, err)
	}
	_, br := h.send(t, "GET /late HTTP/1.0\r\n\r\n")
	if b, err := io.ReadAll(br); err == nil {
		t.Errorf("an HTTP/1.0 client takes %q for the whole answer", b)
	}
	status := map[string]int{}
	for _, r := range h.watch.wait(t, 5) {
		status[r.visit.Path] = r.outcome.Status
	}
	if fmt.Sprint(status) != "map[/abort:0 /door-panic:200 /early:500 /late:200]" {
		t.Errorf("recorded %v", status)
	}
	if n := h.Stats().Panics; n != 4 {
		t.Errorf("%d panics counted", n)
	}
}

func TestBodiesAndTrailers(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprintf(w, "%s %v %s %d", b, err, r.Trailer.Get("X-In"), r.ContentLength)
		w.Header().Set("X-Sum", "7")
	})
	_, br := h.send(t, "POST / HTTP/1.1\r\n"+host+"Trailer: X-In\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"3;a=\"b\"\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-In: out\r\n\r\n"+
		"HEAD / HTTP/1.1\r\n"+host+"\r\n"+"PUT / HTTP/1.1\r\n"+host+"Content-Length: 2\r\nConnection: close\r\n\r\nhi")
	r, body := answer(t, br, "POST")
	if body != "abc0123456789 <nil> out -1" || r.Trailer.Get("X-Sum") != "7" {
		t.Errorf("got %q trailers %v", body, r.Trailer)
	}
	if r, body := answer(t, br, "HEAD"); r.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d %q", r.StatusCode, body)
	}
	if _, body := answer(t, br, "PUT"); body != "hi <nil>  2" {
		t.Errorf("PUT: %q", body)
	}
	closedNow(t, br)
	if r := h.watch.wait(t, 3); r[0].outcome.BytesIn != 13 || r[1].outcome.BytesOut != 0 || r[2].outcome.BytesIn != 2 {
		t.Errorf("recorded %+v", r)
	}
}

func TestContinue(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})
	c, br := h.send(t, "POST / HTTP/1.1\r\n"+host+"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	if line, err := br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q %v", line, err)
	}
	_, _ = br.ReadString('\n')
	_, _ = io.WriteString(c, "abc")
	if _, body := answer(t, br, "POST"); body != "abc" {
		t.Errorf("got %q", body)
	}
}

// An origin may answer before it has read the body.
func TestEarlyAnswer(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no")
		_ = http.NewResponseController(w).Flush()
	})
	_, br := h.send(t, "POST / HTTP/1.1\r\n"+host+"Content-Length: 100000\r\n\r\nabc")
	if r, err := http.ReadResponse(br, nil); err != nil || r.StatusCode != 403 {
		t.Errorf("got %v %v", r, err)
	}
}

func TestUpgrade(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		nc, brw, err := rc.Hijack()
		if r.Header.Get("Upgrade") == "" {
			if err == nil {
				t.Error("a request that asked for no upgrade was taken over")
			}
			hello(w, r)
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		_, _ = io.Copy(nc, brw)
	})
	c, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
	answer(t, br, "GET")
	// The first bytes of the new protocol come with the request, and are not HTTP.
	_, _ = io.WriteString(c, "GET /up HTTP/1.1\r\n"+host+"Connection: upgrade\r\nUpgrade: echo\r\n\r\n\x00\x01\nfirst\n")
	r, err := http.ReadResponse(br, nil)
	if err != nil || r.StatusCode != 101 {
		t.Fatal(r, err)
	}
	_, _ = io.WriteString(c, "second\n")
	for _, want := range []string{"\x00\x01\n", "first\n", "second\n"} {
		if got, err := br.ReadString('\n'); got != want {
			t.Fatalf("got %q %v, want %q", got, err, want)
		}
	}
	if r := h.watch.wait(t, 2); r[1].outcome.Status != 101 {
		t.Errorf("recorded %+v", r[1])
	}
	_ = c.Close()
	eventually(t, "the upgraded connection to end", func() bool { return h.Stats().Open == 0 })
	if n := len(h.watch.all()); n != 2 {
		t.Errorf("%d records", n)
	}
}

func TestEventsAreSentAtOnceAndMayBeRare(t *testing.T) {
	cfg := testConfig()
	// Long enough for a busy machine to bring the request in time.
	const limit = 400 * time.Millisecond
	cfg.Grace, cfg.HeadTimeout, cfg.IdleTimeout = limit, limit, limit
	next := make(chan string, 1)
	h := start(t, cfg, testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for s := range next {
			fmt.Fprintf(w, "data: %s\n\n", s)
			w.(http.Flusher).Flush()
		}
	})
	_, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
	next <- "one"
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(r.Body)
	for _, s := range []string{"one", "two", "three"} {
		if line, err := body.ReadString('\n'); line != "data: "+s+"\n" {
			t.Fatalf("got %q %v", line, err)
		}
		_, _ = body.ReadString('\n')
		if s != "three" {
			time.Sleep(5 * limit / 2) // far longer than every timeout
			next <- map[string]string{"one": "two", "two": "three"}[s]
		}
	}
	close(next)
	if _, err := body.ReadByte(); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
}

func TestMalformedBodyFailsLater(t *testing.T) {
	began, read := make(chan struct{}, 1), make(chan error, 1)
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		_, err := io.ReadAll(r.Body)
		read <- err
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "the room's own answer")
	})
	for _, path := range []string{"/", "/abort"} {
		c, br := h.send(t, "POST "+path+" HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		<-began // what came with the head would be answered before the room is asked
		_, _ = io.WriteString(c, "3\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n"+host+"\r\n")
		if err := <-read; err == nil || !strings.Contains(err.Error(), "LF") {
			t.Errorf("the room reads %v", err)
		}
		r, body := answer(t, br, "POST")
		if r.StatusCode != 400 || !strings.Contains(body, "LF") || !r.Close {
			t.Errorf("%s: got %d %q", path, r.StatusCode, body)
		}
		closedNow(t, br)
	}
	if r := h.watch.wait(t, 2); r[0].outcome.Status != 400 || r[1].outcome.Status != 400 {
		t.Errorf("recorded %+v", r)
	}
}

func TestClientsThatLeave(t *testing.T) {
	began := make(chan struct{}, 1)
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-r.Context().Done()
	})
	c, _ := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
	<-began
	_ = c.Close()
	if r := h.watch.wait(t, 1); !r[0].outcome.Left {
		t.Errorf("recorded %+v", r[0].outcome)
	}
}

func TestAbsoluteTarget(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, hello)
	_, br := h.send(t, "GET http://EXAMPLE.org HTTP/1.1\r\n"+host+"\r\nGET http://old.example/x?y HTTP/1.0\r\n\r\n")
	answer(t, br, "GET")
	answer(t, br, "GET")
	r := h.watch.wait(t, 2)
	if v := r[0].visit; v.Path != "/" || v.Host != "example.org" {
		t.Errorf("%+v", v)
	}
	if v := r[1].visit; v.Path != "/x" || v.RawQuery != "y" || v.Host != "old.example" {
		t.Errorf("%+v", v)
	}
}

func TestListenSaysWhatItCannotBind(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := testConfig()
	cfg.Addresses = []string{"127.0.0.1:0", l.Addr().String(), "203.0.113.9:80"}
	s := New(cfg, testDoor{}, &testWatcher{}, nil, clock.New(), slog.New(slog.DiscardHandler))
	err = s.Listen()
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()+": another program") ||
		!strings.Contains(err.Error(), "203.0.113.9:80: this machine has no such address") {
		t.Errorf("Listen says: %v", err)
	}
}

func TestValidate(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) > 0 {
		t.Error(l)
	}
	bad := Config{Addresses: []string{"x", "a:80", "1.2.3.4:99999", ":0"}, ProxyProtocol: "sometimes", MinRate: -1}
	if l := bad.Validate(); len(l) < 12 {
		t.Errorf("only %d problems: %v", len(l), l)
	}
	c := DefaultConfig()
	c.ProxyProtocol = ProxyRequired
	if l := c.Validate(); len(l) != 1 {
		t.Errorf("trusting nobody: %v", l)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	s := New(testConfig(), testDoor{}, &testWatcher{}, http.HandlerFunc(hello), clock.New(), slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	h := &house{Server: s, addr: s.Addrs()[0].String()}
	c, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
	answer(t, br, "GET")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// What is open goes on.
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n"+host+"\r\n")
	answer(t, br, "GET")
}
