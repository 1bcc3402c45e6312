package listen

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// testDoor lets in everybody but those whose path says otherwise.
type testDoor struct {
	identify func(*traffic.Visit)
	greet    func(*traffic.Visit) mitigation.Verdict
	decide   func(*traffic.Visit) mitigation.Verdict
	answer   func(buf []byte, v *traffic.Visit) mitigation.Answer
}

func (d testDoor) Identify(v *traffic.Visit, h traffic.Headers) {
	if h.Get("Cookie") != "" {
		v.Clearance = traffic.ClearanceProven
	}
	if d.identify != nil {
		d.identify(v)
	}
}

func (d testDoor) Greet(v *traffic.Visit) mitigation.Verdict {
	if d.greet != nil {
		return d.greet(v)
	}
	return mitigation.Verdict{Rank: mitigation.RankNewcomer}
}

func (d testDoor) TurnedAway(*traffic.Visit) {}

func (d testDoor) Decide(v *traffic.Visit) mitigation.Verdict {
	if d.decide != nil {
		return d.decide(v)
	}
	switch {
	case strings.HasPrefix(v.Path, "/refuse"):
		return mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonBan, RetryAfter: 5 * time.Second}
	case strings.HasPrefix(v.Path, "/drop"):
		return mitigation.Verdict{Action: mitigation.Drop, Reason: mitigation.ReasonBan}
	case strings.HasPrefix(v.Path, "/door-panic"):
		panic("door")
	}
	return mitigation.Verdict{}
}

func (d testDoor) Refuse(buf []byte, v *traffic.Visit, _ mitigation.Verdict, _ traffic.Headers) mitigation.Answer {
	if d.answer != nil {
		return d.answer(buf, v)
	}
	return mitigation.Answer{
		Status: 429, ContentType: "text/plain", Language: "en", RetryAfter: 5, Ref: "AB12", Cookie: "a=b",
		Body: append(buf, "too much\n"...),
	}
}

type seen struct {
	visit   traffic.Visit
	verdict mitigation.Verdict
	outcome traffic.Outcome
}

type testWatcher struct {
	mu     sync.Mutex
	list   []seen
	turned []seen
	links  map[traffic.LinkEvent][]netip.Addr
}

func (w *testWatcher) Linked(from netip.Addr, ja4 string, e traffic.LinkEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.links == nil {
		w.links = map[traffic.LinkEvent][]netip.Addr{}
	}
	w.links[e] = append(w.links[e], from)
}

// linked is who did something, so far.
func (w *testWatcher) linked(e traffic.LinkEvent) []netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]netip.Addr(nil), w.links[e]...)
}

func (w *testWatcher) TurnedAway(v *traffic.Visit, d mitigation.Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turned = append(w.turned, seen{visit: *v, verdict: d})
}

func (w *testWatcher) Record(v *traffic.Visit, d mitigation.Verdict, o traffic.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, seen{*v, d, o})
}

func (w *testWatcher) all() []seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]seen(nil), w.list...)
}

// wait returns the records once there are n.
func (w *testWatcher) wait(t *testing.T, n int) []seen {
	t.Helper()
	eventually(t, "records", func() bool { return len(w.all()) >= n })
	return w.all()
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

type house struct {
	*Server
	watch *testWatcher
	addr  string
}

func testConfig() Config {
	c := DefaultConfig()
	c.Addresses = []string{"127.0.0.1:0"}
	return c
}

func start(t testing.TB, cfg Config, door Door, rooms http.HandlerFunc) *house {
	t.Helper()
	return startRooms(t, cfg, door, rooms)
}

func startRooms(t testing.TB, cfg Config, door Door, rooms http.Handler) *house {
	t.Helper()
	if l := cfg.Validate(); len(l) > 0 {
		t.Fatal(l.Err())
	}
	w := &testWatcher{}
	s := New(cfg, door, w, rooms, clock.New(), slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background()) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := s.Stats().Disagreed; n != 0 {
			t.Errorf("net/http refused %d heads that passed", n)
		}
	})
	return &house{s, w, s.Addrs()[0].String()}
}

func hello(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, "hello")
}

func (h *house) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// send writes raw bytes and returns a reader of answers.
func (h *house) send(t testing.TB, raw string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := h.dial(t)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// answer reads one answer and its body.
func answer(t testing.TB, br *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	r, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	return r, string(b)
}

func closedNow(t testing.TB, br *bufio.Reader) {
	t.Helper()
	if b, err := br.ReadByte(); err == nil {
		t.Fatalf("the connection goes on with %q", b)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatal("the connection stays open")
	}
}
