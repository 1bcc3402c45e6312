package flood

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRefusesEverythingButLoopback(t *testing.T) {
	for _, target := range []string{
		"192.0.2.1:80", "8.8.8.8:80", "[2001:db8::1]:80", "10.0.0.1:80", "0.0.0.0:80", "[::]:80",
		"169.254.1.1:80", "[::ffff:192.0.2.1]:80", "[fe80::1]:80", "172.17.0.1:80",
	} {
		if a, err := Resolve(t.Context(), target); !errors.Is(err, ErrNotLoopback) {
			t.Errorf("Resolve(%q) = %v, %v", target, a, err)
		}
		cfg := small(target)
		if _, err := Run(t.Context(), cfg, func(Counts) {}); !errors.Is(err, ErrNotLoopback) {
			t.Errorf("Run against %s: %v", target, err)
		}
		if _, err := Spread(t.Context(), smallSpread(target), func(Counts) {}); !errors.Is(err, ErrNotLoopback) {
			t.Errorf("Spread against %s: %v", target, err)
		}
	}
	for _, target := range []string{"127.0.0.1:8080", "127.9.9.9:1", "[::1]:80", "[::ffff:127.0.0.1]:80"} {
		if _, err := Resolve(t.Context(), target); err != nil {
			t.Errorf("Resolve(%q): %v", target, err)
		}
	}
	for _, target := range []string{"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:http", "127.0.0.1:70000"} {
		if _, err := Resolve(t.Context(), target); err == nil {
			t.Errorf("Resolve(%q) passes", target)
		}
	}
}

// A name with one address inside and one outside is refused as a whole.
func TestRefusesNamesThatAlsoLeadElsewhere(t *testing.T) {
	mixed := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.7")}
	if _, err := onlyLoopback("trap.test:80", mixed, 80); !errors.Is(err, ErrNotLoopback) {
		t.Errorf("%v", err)
	}
}

func TestCeilings(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"rate":        func(c *Config) { c.Rate = 60_000 },
		"time":        func(c *Config) { c.Length = time.Hour },
		"sources":     func(c *Config) { c.Sources = nil },
		"connections": func(c *Config) { c.Connections = 10_000 },
		"nothing":     func(c *Config) { c.Heads = nil },
	} {
		cfg := small("127.0.0.1:1")
		spoil(&cfg)
		if _, err := Run(t.Context(), cfg, func(Counts) {}); err == nil {
			t.Errorf("%s: passes", name)
		}
	}
}

func small(target string) Config {
	return Config{
		Target: target, Sources: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")},
		Rate: 50, Length: time.Second, Connections: 2, Patience: time.Second, Every: 100 * time.Millisecond,
		Heads: [][]byte{[]byte("GET / HTTP/1.1\r\nHost: demo\r\n\r\n")},
	}
}

func smallSpread(target string) SpreadConfig {
	return SpreadConfig{
		Target: target, Requests: 1000, Length: 20 * time.Second, Connections: 3, Batch: 16, Every: time.Second,
		Append: func(b []byte, i uint64) []byte {
			return fmt.Appendf(b, "GET / HTTP/1.1\r\nHost: demo\r\nX-Forwarded-For: 192.0.2.%d\r\n\r\n", i%250)
		},
	}
}

func TestRunCounts(t *testing.T) {
	n := 0
	var mu sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		n++
		k := n
		mu.Unlock()
		switch k % 4 {
		case 0:
			w.Header().Set("Seawall-Ref", "x")
			w.WriteHeader(429)
		case 1:
			w.WriteHeader(502)
		case 2:
			w.(http.Flusher).Flush() // chunked
			_, _ = io.WriteString(w, "hello")
		default:
			_, _ = io.WriteString(w, strings.Repeat("x", 5000))
		}
	}))
	defer srv.Close()
	reports := 0
	c, err := Run(t.Context(), small(srv.Listener.Addr().String()), func(Counts) { reports++ })
	if err != nil {
		t.Fatal(err)
	}
	srv.Close() // the last handlers have ended
	if c.Meant != 100 || c.Sent+c.Held != c.Meant || !c.Done || reports < 2 {
		t.Errorf("%+v, %d reports", c, reports)
	}
	if sum := c.Answered + c.Refused + c.Failed + c.Errors; sum != c.Sent || int(sum) != n {
		t.Errorf("%d answers for %d sent, the server counted %d: %+v", sum, c.Sent, n, c)
	}
	// Of four requests two are answered, one is refused and one fails. How many
	// are sent depends on the machine: what comes due while all connections are
	// busy is held.
	if quarter := c.Sent / 4; quarter < 5 || c.Answered < 2*quarter || c.Refused < quarter || c.Failed < quarter || c.Dials > 10 {
		t.Errorf("%+v", c)
	}
}

// Requests are made one by one where a flood wears a dress, and none in its pauses.
func TestDressAndPauses(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	var late []time.Duration
	begun := time.Now()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if seen[r.URL.RawQuery] {
			t.Errorf("%s came twice", r.URL.RawQuery)
		}
		seen[r.URL.RawQuery] = true
		late = append(late, time.Since(begun))
	}))
	defer srv.Close()
	cfg := small(srv.Listener.Addr().String())
	cfg.Dress = func(b, head []byte, n uint64, _ time.Duration) []byte {
		return fmt.Appendf(b, "GET /?%d %s", n, strings.TrimPrefix(string(head), "GET / "))
	}
	cfg.On, cfg.Off = cfg.Length/4, cfg.Length/4
	c, err := Run(t.Context(), cfg, func(Counts) {})
	if err != nil || c.Meant != 50 || len(seen) < 10 {
		t.Errorf("%+v, %v, %d seen", c, err, len(seen))
	}
	pause := 0
	for _, d := range late {
		if d > cfg.Length*3/8 && d < cfg.Length/2 {
			pause++
		}
	}
	if pause > len(late)/10 {
		t.Errorf("%d of %d came late in a pause", pause, len(late))
	}
	cfg.On = 0
	if _, err := Run(t.Context(), cfg, func(Counts) {}); err == nil {
		t.Error("a flood that only pauses is begun")
	}
}

// A target that answers nothing holds the flood back to one request on each
// connection, and Run ends all the same.
func TestRunAgainstSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Run(t.Context(), small(l.Addr().String()), func(Counts) {})
	if err != nil || c.Sent < 4 || c.Sent > 8 || c.Held < 90 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	cfg := small("127.0.0.1:1")
	cfg.Length = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if c, err := Run(ctx, cfg, func(Counts) {}); err != nil || !c.Done {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestSpread(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Forwarded-For") == "192.0.2.7" {
			w.Header().Set("Connection", "close")
		}
		_, _ = io.WriteString(w, "hello")
	}))
	defer srv.Close()
	cfg := smallSpread(srv.Listener.Addr().String())
	c, err := Spread(t.Context(), cfg, func(Counts) {})
	if err != nil || c.Sent != 1000 || c.Answered+c.Errors != 1000 || c.Answered < 900 || c.Dials < 4 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestReadAnswer(t *testing.T) {
	for _, c := range []struct {
		in   string
		want answer
		fail bool
	}{
		{in: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", want: answer{status: 200}},
		{in: "HTTP/1.1 429 Slow\r\nseawall-ref: AB\r\ncontent-length:0\r\nconnection: close\r\n\r\n", want: answer{429, true, true}},
		{in: "HTTP/1.1 304 N\r\nContent-Length: 30\r\n\r\n", want: answer{status: 304}},
		{in: "HTTP/1.0 200 OK\r\n\r\nuntil the end", want: answer{status: 200, closes: true}},
		{in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n", want: answer{status: 200}},
		{in: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", fail: true},
		{in: "SSH-2.0-x\r\n", fail: true},
		{in: "HTTP/1.1 2x0 OK\r\n\r\n", fail: true},
		{in: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", fail: true},
		{in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", fail: true},
		{in: "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", fail: true},
		{in: "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 200) + "\r\n", fail: true},
	} {
		got, err := readAnswer(bufio.NewReaderSize(strings.NewReader(c.in), 2048))
		if (err != nil) != c.fail || !c.fail && got != c.want {
			t.Errorf("%q: %+v, %v", c.in, got, err)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 403 No\r\nContent-Length: 2\r\nSeawall-Ref: A\r\n\r\nab"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := readAnswer(bufio.NewReaderSize(strings.NewReader(string(b)), 2048))
		if err == nil && (a.status < 0 || a.status > 999) {
			t.Errorf("status %d", a.status)
		}
	})
}

func BenchmarkReadAnswer(b *testing.B) {
	const one = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/html\r\nRetry-After: 5\r\nSeawall-Ref: ABCD\r\nContent-Length: 10\r\n\r\n0123456789"
	src := strings.NewReader(one)
	r := bufio.NewReaderSize(src, 2048)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(one)
		r.Reset(src)
		if _, err := readAnswer(r); err != nil {
			b.Fatal(err)
		}
	}
}
