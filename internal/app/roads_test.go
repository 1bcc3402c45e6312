package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/request/listen"
	"seawall/internal/request/proxy"
	"seawall/internal/traffic"
)

// open is a door that lets everybody in.
type open struct{}

func (open) Identify(*traffic.Visit, traffic.Headers) {}
func (open) Greet(*traffic.Visit) mitigation.Verdict  { return mitigation.Verdict{} }
func (open) TurnedAway(*traffic.Visit)                {}
func (open) Decide(*traffic.Visit) mitigation.Verdict { return mitigation.Verdict{} }
func (open) Refuse([]byte, *traffic.Visit, mitigation.Verdict, traffic.Headers) mitigation.Answer {
	return mitigation.Answer{Status: 500}
}

type nobody struct{}

func (nobody) Record(*traffic.Visit, mitigation.Verdict, traffic.Outcome) {}
func (nobody) TurnedAway(*traffic.Visit, mitigation.Verdict)              {}
func (nobody) Linked(netip.Addr, string, traffic.LinkEvent)               {}

// fork is a proxy with the straight road, or without.
type fork struct {
	*proxy.Proxy
	standard bool
	took     int // requests by the straight road
}

func (f *fork) Straight(s listen.Straight) bool {
	if f.standard || !f.Proxy.Straight(s, func(field string) string { return field }) {
		return false
	}
	f.took++
	return true
}

// between puts f between an origin and an address of its own, until end.
func between(t *testing.T, f *fork, origin string) (addr string, end func()) {
	t.Helper()
	cfg := proxy.DefaultConfig()
	cfg.Origins = []proxy.Origin{{URL: "http://" + origin}}
	var err error
	if f.Proxy, err = proxy.New(cfg, nil, clock.New(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	lc := listen.DefaultConfig()
	lc.Addresses = []string{"127.0.0.1:0"}
	s := listen.New(lc, open{}, nobody{}, f, clock.New(), slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background()) }()
	return s.Addrs()[0].String(), func() { s.Close(); <-done; f.Proxy.Close() }
}

// TestRoads asks by both roads, from listen's sockets to an origin's, and compares what
// the origin is asked and what the client is told: all of it, but for the order of fields.
func TestRoads(t *testing.T) {
	answers := map[string]string{
		"/length": "HTTP/1.1 200 OK\r\nDate: then\r\ncontent-type: a/b\r\nSET-COOKIE: a=1\r\nX: 1\r\nSet-Cookie: b=2\r\nContent-Length: 5\r\nKeep-Alive: timeout=5\r\n\r\nhello",
		"/chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\nContent-Type: a/b\r\n\r\n5\r\nhello\r\n0\r\nT: 1\r\nConnection: x\r\n\r\n",
		"/close":  "HTTP/1.0 200 OK\r\nX-Gone: 1\r\nConnection: close, x-gone\r\n\r\nhello",
		"/early":  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: b\r\nB: 1\r\n\r\nHTTP/1.1 404 Nowhere\r\nContent-Length: 0\r\nX_y: 1\r\n\r\n",
		"/304":    "HTTP/1.1 304 Not Modified\r\nEtag: \"a\"\r\nContent-Length: 7\r\n\r\n",
		"/204":    "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX:\r\n\r\n",
		"/folded": "HTTP/1.1 200 OK\r\nX: 1\r\n  2\r\nContent-Length: 0\r\n\r\n",
		"/broken": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"/half":   "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
	}
	heads := make(chan string, 2)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				head := ""
				for !strings.HasSuffix(head, "\r\n\r\n") {
					line, err := br.ReadString('\n')
					if err != nil {
						return
					}
					head += line
				}
				heads <- head
				_, path, _ := strings.Cut(head, " ")
				path, _, _ = strings.Cut(path, " ")
				path, _, _ = strings.Cut(path, "?")
				_, _ = io.WriteString(c, answers[path])
			}()
		}
	}()

	ask := func(standard bool, request string) (asked, told string, took int) {
		f := &fork{standard: standard}
		addr, end := between(t, f, l.Addr().String())
		defer end()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, request)
		// It asks for the connection's end, but one that breaks off ends otherwise.
		b, err := io.ReadAll(c)
		told = string(b)
		if err != nil {
			told += fmt.Sprintf(" (%T)", err)
		}
		select {
		case asked = <-heads:
		default:
		}
		return asked, told, f.took
	}
	// sorted has the fields of each head in order; those of one name stay as they are.
	sorted := func(text string) string {
		parts := strings.Split(text, "\r\n\r\n")
		for i, part := range parts {
			lines := strings.Split(part, "\r\n")
			slices.SortStableFunc(lines[min(1, len(lines)):], func(a, b string) int {
				a, _, _ = strings.Cut(a, ":")
				b, _, _ = strings.Cut(b, ":")
				return strings.Compare(a, b)
			})
			for k, line := range lines {
				if strings.HasPrefix(line, "Date: ") && line != "Date: then" {
					lines[k] = "Date: now"
				}
			}
			parts[i] = strings.Join(lines, "\r\n")
		}
		return strings.Join(parts, "\r\n\r\n")
	}
	for _, c := range []struct {
		request  string
		straight int
	}{
		{"GET /length?a=%zz&b HTTP/1.1\r\nhost: A.example:81\r\nsec-fetch-mode: x\r\nX-b: 1\r\na_b: 2\r\nx-B: 3\r\n", 1},
		{"GET /length HTTP/1.1\r\nHost: a\r\nCookie: b=1; c=2\r\nCookie:\r\nCookie: a=1\r\n", 1},
		{"HEAD /length HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n", 1},
		{"GET /chunks HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n", 1},
		{"GET /chunks HTTP/1.1\r\nHost: a\r\nTe:\r\nTE: a, Trailers\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-Ip: 6.6.6.6\r\n", 1},
		{"HEAD /chunks HTTP/1.1\r\nHost: a\r\n", 1},
		{"GET /close HTTP/1.1\r\nHost: a\r\nProxy: evil\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n", 1},
		{"GET /early HTTP/1.1\r\nHost: a\r\nTrailer: x\r\nContent_Length: 5\r\n", 1},
		{"GET /304 HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"a\"\r\n", 1},
		{"GET /204 HTTP/1.1\r\nHost: a\r\n", 1},
		{"GET /folded HTTP/1.1\r\nHost: a\r\n", 1},
		{"GET /broken HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n", 1},
		{"HEAD /broken HTTP/1.1\r\nHost: a\r\n", 1},
		{"GET /half HTTP/1.1\r\nHost: a\r\n", 0}, // it breaks off
		{"GET /length HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nIf-Range: x\r\n", 0},
		{"GET /length HTTP/1.1\r\nHost: a\r\nRange:\r\nIf-Range: x\r\n", 0},
		{"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n", 0},
		{"GET http://b/length HTTP/1.1\r\nHost: b\r\n", 0},
	} {
		request := c.request + "Connection: close\r\n\r\n"
		asked, told, none := ask(true, request)
		asked2, told2, took := ask(false, request)
		if none != 0 || took != c.straight {
			t.Errorf("%q: %d and %d by the straight road", c.request, none, took)
		}
		if asked == "" || sorted(asked) != sorted(asked2) {
			t.Errorf("%q: the origin is asked\n%q, and by the straight road\n%q", c.request, asked, asked2)
		}
		if told == "" || sorted(told) != sorted(told2) {
			t.Errorf("%q: the client is told\n%q, and by the straight road\n%q", c.request, told, told2)
		}
	}
}

var _ http.Handler = (*fork)(nil)
