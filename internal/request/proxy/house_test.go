package proxy

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// listened is a ResponseWriter as listen makes it.
type listened struct {
	http.ResponseWriter
	v traffic.Visit
	d mitigation.Verdict
	o *traffic.Outcome

	judge func(mitigation.Verdict)
}

func (l *listened) Judge(d mitigation.Verdict)  { l.judge(d) }
func (l *listened) Unwrap() http.ResponseWriter { return l.ResponseWriter }
func (l *listened) Visit() *traffic.Visit       { return &l.v }
func (l *listened) Verdict() mitigation.Verdict { return l.d }
func (l *listened) Outcome() *traffic.Outcome   { return l.o }

// house is a proxy behind a real server.
type house struct {
	*Proxy
	srv  *httptest.Server
	addr string

	mu       sync.Mutex
	outcomes []traffic.Outcome
	judged   []mitigation.Verdict // of those who were asked again and turned away

	standard atomic.Bool // no request takes the straight road
	straight atomic.Int32
}

// last returns the latest finished request's outcome.
func (h *house) last(t *testing.T, n int) traffic.Outcome {
	t.Helper()
	var o traffic.Outcome
	eventually(t, "the outcome", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.outcomes) < n {
			return false
		}
		o = h.outcomes[n-1]
		return true
	})
	return o
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}

func testConfig(origins ...string) Config {
	cfg := DefaultConfig()
	for _, o := range origins {
		cfg.Origins = append(cfg.Origins, Origin{URL: o})
	}
	return cfg
}

func newHouse(t testing.TB, cfg Config) *house {
	t.Helper()
	p, err := New(cfg, nil, clock.New(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{Proxy: p}
	h.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := netip.MustParseAddrPort(r.RemoteAddr).Addr()
		l := &listened{ResponseWriter: w, o: new(traffic.Outcome), v: traffic.Visit{Peer: peer, Client: peer}}
		l.judge = func(d mitigation.Verdict) {
			h.mu.Lock()
			h.judged = append(h.judged, d)
			h.mu.Unlock()
		}
		l.d.Rank = mitigation.RankNewcomer
		switch r.Header.Get("Test-Rank") {
		case "known":
			l.d.Rank = mitigation.RankKnown
		case "suspect":
			l.d.Rank = mitigation.RankSuspect
		}
		if c := r.Header.Get("Test-Client"); c != "" {
			l.v.Client = netip.MustParseAddr(c)
		}
		l.v.Secure = l.v.Client != peer // as a relay that is believed said
		defer func() {
			h.mu.Lock()
			h.outcomes = append(h.outcomes, *l.o)
			h.mu.Unlock()
		}()
		if s := laneOf(l, r); s != nil && !h.standard.Load() {
			h.straight.Add(1) // before, since it may panic
			if p.Straight(s, keepAll) {
				return
			}
			h.straight.Add(-1)
		}
		p.ServeHTTP(l, r)
	}))
	h.srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	h.srv.Start()
	h.addr = h.srv.Listener.Addr().String()
	t.Cleanup(func() {
		p.Close()
		h.srv.CloseClientConnections()
		h.srv.Close()
		eventually(t, "the end of all slots", func() bool {
			g := p.gate.Gauges()
			n := g.InFlight + g.Streams + g.Waiting
			for _, b := range p.backends {
				n += int(b.inFlight.Load())
			}
			return n == 0
		})
	})
	return h
}

// site is an origin on net/http.
func site(t testing.TB, f http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Start()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// rawSite is an origin that a function plays on each connection; it returns
// its URL. The function's connection is closed when it returns.
func rawSite(t testing.TB, f func(n int, c net.Conn, br *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(n, c, bufio.NewReader(c))
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// readHead reads lines up to the empty one.
func readHead(br *bufio.Reader) string {
	raw, _ := readBlock(br, nil, 1<<20)
	return string(raw)
}

// answers plays an origin that gives the same bytes to every request.
func answers(t testing.TB, text string) string {
	return rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
		for readHead(br) != "" {
			io.WriteString(c, text)
			if !strings.Contains(text, "Content-Length") {
				return
			}
		}
	})
}

// dialHouse opens a connection that gives up after a while.
func dialHouse(t testing.TB, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

// say sends raw bytes and returns everything up to the connection's end.
func say(t testing.TB, addr, text string) string {
	t.Helper()
	c, br := dialHouse(t, addr)
	io.WriteString(c, text)
	all, _ := io.ReadAll(br)
	return string(all)
}

func get(t testing.TB, url string, fields ...string) (*http.Response, string) {
	t.Helper()
	return do(t, http.MethodGet, url, nil, fields...)
}

func do(t testing.TB, method, url string, body io.Reader, fields ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	res, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	return res, string(b)
}
