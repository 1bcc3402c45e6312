package protocol

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// site is the origin: a page with its assets, and what attacks aim at. It knows
// what no honest visitor asks for.
type site struct {
	addr   string
	pages  map[string][]byte
	opened time.Time

	unmarked   atomic.Int64 // requests that Seawall did not write: it marks all of its own
	manyRanges atomic.Int64 // requests for more ranges than are allowed
	sockets    atomic.Int64 // WebSockets open now

	mu    sync.Mutex
	first string // the first of the unmarked
}

const (
	largeSize = 4 << 20
	mostRange = 5
)

func newSite(t testing.TB) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{addr: l.Addr().String(), opened: time.Now(), pages: map[string][]byte{
		"/":          []byte("<!doctype html><title>A site</title><link rel=stylesheet href=/style.css><script src=/app.js></script><p>" + strings.Repeat("Come to the meeting. ", 300)),
		"/style.css": bytes.Repeat([]byte("p { color: black }\n"), 500),
		"/app.js":    bytes.Repeat([]byte("console.log('here');\n"), 800),
		"/photo.jpg": bytes.Repeat([]byte{0xff, 0xd8, 0x01}, 12_000),
		"/large":     make([]byte, largeSize),
	}}
	server := &http.Server{Handler: s}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return s
}

// assets are what a page needs besides itself.
func assets() []string { return []string{"/style.css", "/app.js", "/photo.jpg"} }

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := netip.ParseAddr(r.Header.Get("X-Forwarded-For")); err != nil {
		s.unmarked.Add(1)
		s.mu.Lock()
		if s.first == "" {
			s.first = fmt.Sprintf("%s %s %v", r.Method, r.RequestURI, r.Header)
		}
		s.mu.Unlock()
	}
	if strings.Count(r.Header.Get("Range"), ",") >= mostRange {
		s.manyRanges.Add(1)
	}
	switch r.URL.Path {
	case "/sink":
		_, _ = io.Copy(io.Discard, r.Body)
	case "/socket":
		s.socket(w)
	default:
		page, there := s.pages[r.URL.Path]
		if !there {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, r.URL.Path, s.opened, bytes.NewReader(page))
	}
}

// socket takes what comes and answers nothing.
func (s *site) socket(w http.ResponseWriter) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.WriteHeader(http.StatusSwitchingProtocols)
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	s.sockets.Add(1)
	go func() {
		defer s.sockets.Add(-1)
		defer c.Close()
		_, _ = io.Copy(io.Discard, c)
	}()
}
