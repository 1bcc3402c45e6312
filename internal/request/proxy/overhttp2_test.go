package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// site2 is an origin that speaks HTTP/2 in clear text, and HTTP/1.1.
func site2(t testing.TB, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

// config2 asks origins in HTTP/2.
func config2(origins ...string) Config {
	cfg := testConfig(origins...)
	for i := range cfg.Origins {
		cfg.Origins[i].HTTP2 = true
	}
	return cfg
}

func TestHTTP2Request(t *testing.T) {
	seen := make(chan *http.Request, 1)
	h := newHouse(t, config2(site2(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen <- r
	})))
	for _, c := range []struct {
		name, request, target, host, want string
	}{
		{"fields", "GET /a/./%2e%41;p=1?q=%zz;&x HTTP/1.1\r\nHost: a.example:81\r\nConnection: close, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n" +
			"X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nProxy: evil\r\nA: 1\r\nA: 3\r\nTest-Client: 2001:db8::7\r\n\r\n",
			"/a/./%2e%41;p=1?q=%zz;&x", "a.example:81",
			`map[A:[1 3] Forwarded:[for="[2001:db8::7]";host="a.example:81";proto=https] Te:[trailers] Test-Client:[2001:db8::7] X-Forwarded-For:[2001:db8::7] X-Forwarded-Host:[a.example:81] X-Forwarded-Proto:[https]]`},
		{"two slashes", "GET //a/../b?x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n", "//a/../b?x", "a.example", ""},
		{"question mark", "GET /? HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n", "/?", "a.example", ""},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n", "", "", ""},
		{"empty post", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "/", "a",
			`map[Content-Length:[0] Forwarded:[for=127.0.0.1;host="a";proto=http] X-Forwarded-For:[127.0.0.1] X-Forwarded-Host:[a] X-Forwarded-Proto:[http]]`},
		{"form", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "/", "a",
			`map[Content-Length:[3] Forwarded:[for=127.0.0.1;host="a";proto=http] X-Forwarded-For:[127.0.0.1] X-Forwarded-Host:[a] X-Forwarded-Proto:[http]]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := say(t, h.addr, c.request); !strings.HasPrefix(a, "HTTP/1.1 200") {
				t.Fatalf("answer %q", a)
			}
			if c.target == "" { // net/http answers it itself
				return
			}
			r := <-seen
			if r.ProtoMajor != 2 || r.RequestURI != c.target || r.Host != c.host {
				t.Errorf("the origin saw %s %s for %s", r.Proto, r.RequestURI, r.Host)
			}
			if got := fmt.Sprint(r.Header); c.want != "" && got != c.want {
				t.Errorf("the origin saw\n%s, want\n%s", got, c.want)
			}
		})
	}
}

func TestHTTP2Trailers(t *testing.T) {
	h := newHouse(t, config2(site2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/only" {
			w.Header().Set("Grpc-Status", "5")
			w.WriteHeader(http.StatusOK)
			return
		}
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "Announced")
		fmt.Fprintf(w, "%s %v %d", b, r.Trailer, r.ContentLength)
		w.Header().Set("Announced", "1")
		w.Header().Set(http.TrailerPrefix+"Unannounced", "2")
	})))
	for _, pause := range []time.Duration{0, 20 * time.Millisecond} {
		c, br := dialHouse(t, h.addr)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n3\r\nabc\r\n")
		time.Sleep(pause)
		io.WriteString(c, "2;ext=1\r\nde\r\n0\r\nSum: 5\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
		all, _ := io.ReadAll(br)
		if s := string(all); !strings.Contains(s, "abcde map[Sum:[5]] -1") || !strings.Contains(s, "\r\nAnnounced: 1\r\n") || !strings.Contains(s, "\r\nUnannounced: 2\r\n") {
			t.Errorf("after a pause of %v: %q", pause, all)
		}
	}
	if res, _ := get(t, "http://"+h.addr+"/only"); res.Header.Get("Grpc-Status") != "5" || res.ContentLength != 0 {
		t.Errorf("an answer of fields alone: %v, length %d", res.Header, res.ContentLength)
	}
}

func TestHTTP2Interim(t *testing.T) {
	h := newHouse(t, config2(site2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hints" {
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
		}
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "final %s", b)
	})))
	for _, c := range [][3]string{
		{"/hints", "", "103 map[Link:[</a.css>; rel=preload]]"},
		{"/", "100-continue", "100 map[]"},
	} {
		var hints []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, f textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, " ", f))
			return nil
		}}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "POST", "http://"+h.addr+c[0], strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		if c[1] != "" {
			req.Header.Set("Expect", c[1])
		}
		began := time.Now()
		res, err := (&http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 10 * time.Second}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(b) != "final body" || res.Header.Get("Link") != "" || strings.Join(hints, ";") != c[2] || time.Since(began) > time.Second {
			t.Errorf("%q, %v, hints %q after %v", b, res.Header, hints, time.Since(began))
		}
	}
}

// TestHTTP2BothWays: each piece is back before the next is sent.
func TestHTTP2BothWays(t *testing.T) {
	h := newHouse(t, config2(site2(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	})))
	body, feed := io.Pipe()
	req, _ := http.NewRequest("POST", "http://"+h.addr+"/", body)
	req.Header.Set("Content-Type", "application/grpc")
	res, err := http.DefaultTransport.RoundTrip(req) // the origin answers first
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	br := bufio.NewReader(res.Body)
	for i := range 5 {
		want := fmt.Sprintf("piece %d\n", i)
		io.WriteString(feed, want)
		if got, err := br.ReadString('\n'); got != want || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	eventually(t, "its counting as a stream", func() bool { return h.Streams() == 1 && h.Origin().InFlight == 0 })
	feed.Close()
	if rest, err := io.ReadAll(br); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestHTTP2ClientLeaves(t *testing.T) {
	began, gone := make(chan struct{}, 4), make(chan struct{}, 4)
	h := newHouse(t, config2(site2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/answering" {
			_ = http.NewResponseController(w).Flush()
		}
		began <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})))
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /answering HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\nabc",
		"POST /answering HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		c, _ := dialHouse(t, h.addr)
		io.WriteString(c, request)
		<-began
		c.Close()
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			t.Fatalf("the origin was not told that the client left: %q", request)
		}
	}
}

func TestHTTP2Secure(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	cfg := config2(s.URL)
	cfg.CAFile = t.TempDir() + "/ca.pem"
	writePEM(t, cfg.CAFile, s.Certificate().Raw)
	h := newHouse(t, cfg)
	if _, b := get(t, "http://"+h.addr+"/"); b != "HTTP/2.0" {
		t.Errorf("the origin was asked in %q", b)
	}
	if l := h.Check(t.Context()); len(l) > 0 {
		t.Error(l)
	}
	// One that knows HTTP/1.1 only is not asked in it behind the setting's back.
	s1 := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	s1.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s1.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
	s1.StartTLS()
	t.Cleanup(s1.Close)
	cfg.Origins[0].URL = s1.URL
	writePEM(t, cfg.CAFile, s1.Certificate().Raw)
	h = newHouse(t, cfg)
	if res, _ := get(t, "http://"+h.addr+"/"); res.StatusCode != http.StatusBadGateway {
		t.Error(res.Status)
	}
	if l := h.Check(t.Context()); len(l) != 1 {
		t.Error(l)
	}
}

func TestHTTP2Health(t *testing.T) {
	var bad atomic.Bool
	var asked atomic.Value
	url := site2(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(fmt.Sprint(r.Proto, r.Host, r.URL.Path, r.UserAgent()))
		if bad.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	cfg := config2(url)
	cfg.Host = "site.example"
	cfg.Health = Health{Path: "/health", Every: 20 * time.Millisecond, Timeout: time.Second, Rise: 1, Fall: 2}
	h := newHouse(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { h.Run(ctx); close(over) }()
	defer func() { cancel(); <-over }()
	for _, b := range []bool{true, false} {
		bad.Store(b)
		eventually(t, "a change of health", func() bool { return (h.Origin().Healthy == 0) == b && asked.Load() != nil })
	}
	if got := asked.Load(); got != "HTTP/2.0site.example/healthseawall-health" {
		t.Errorf("asked %v", got)
	}
	for _, c := range []struct {
		url string
		bad int
	}{{url, 0}, {answers(t, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), 1}} {
		cfg := config2(c.url) // without a path
		cfg.Health.Timeout = 300 * time.Millisecond
		if l := newHouse(t, cfg).Check(t.Context()); len(l) != c.bad {
			t.Errorf("%s: %v", c.url, l)
		}
	}
}

// To change the protocol takes HTTP/1.1, which most such origins speak as well.
func TestHTTP2Upgrade(t *testing.T) {
	h := newHouse(t, config2(site2(t, func(w http.ResponseWriter, r *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(nc, rw)
	})))
	c, br := dialHouse(t, h.addr)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 101") {
		t.Fatal(head)
	}
	io.WriteString(c, "hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(br, got); err != nil || !bytes.Equal(got, []byte("hello")) {
		t.Errorf("%q, %v", got, err)
	}
}

func BenchmarkHTTP2(b *testing.B) {
	h := newHouse(b, config2(site2(b, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })))
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	b.ReportAllocs()
	for b.Loop() {
		req, _ := http.NewRequest("GET", "http://"+h.addr+"/", nil)
		res, err := tr.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
}
