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
	"net/netip"
	"strings"
	"sync"
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
}

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
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
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
			return g.InFlight+g.Streams+g.Waiting == 0
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
	c.SetDeadline(time.Now().Add(10 * time.Second))
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

// TestSameBytes asks an origin directly and through the proxy, and compares.
func TestSameBytes(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 20000)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	origin := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "Fri, 02 Jan 2026 03:04:05 GMT")
		switch r.URL.Path {
		case "/file":
			w.Header().Set("Etag", `"x"`)
			http.ServeContent(w, r, "a.txt", at, strings.NewReader(content))
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/chunked":
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			for i := range 5 {
				fmt.Fprintf(w, "part %d\n", i)
				w.(http.Flusher).Flush()
			}
		case "/echo":
			io.Copy(w, r.Body)
		case "/untyped":
			w.Header()["Content-Type"] = nil
			io.WriteString(w, "<html>not said to be html")
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprintf(w, "asked for %q", r.Header["Accept-Encoding"])
		case "/agent":
			fmt.Fprintf(w, "%q", r.Header["User-Agent"])
		case "/target":
			io.WriteString(w, r.RequestURI)
		case "/trailers":
			w.Header().Set("Trailer", "Announced")
			io.WriteString(w, "body")
			w.Header().Set("Announced", "1")
			w.Header().Set(http.TrailerPrefix+"Unannounced", "2")
		default:
			http.NotFound(w, r)
		}
	})
	h := newHouse(t, testConfig(origin.URL))
	for _, c := range []struct {
		name, method, path, body string
		fields                   []string
	}{
		{name: "plain", path: "/file"},
		{name: "head", method: "HEAD", path: "/file"},
		{name: "not modified", path: "/file", fields: []string{"If-None-Match", `"x"`}},
		{name: "range", path: "/file", fields: []string{"Range", "bytes=100-199"}},
		{name: "ranges", path: "/file", fields: []string{"Range", "bytes=0-0,-1"}},
		{name: "if-range holds", path: "/file", fields: []string{"Range", "bytes=5-9", "If-Range", `"x"`}},
		{name: "if-range does not", path: "/file", fields: []string{"Range", "bytes=5-9", "If-Range", `"y"`}},
		{name: "range beyond", path: "/file", fields: []string{"Range", "bytes=99999999-"}},
		{name: "no content", path: "/empty"},
		{name: "chunked, two cookies", path: "/chunked"},
		{name: "post", method: "POST", path: "/echo", body: content},
		{name: "post nothing", method: "POST", path: "/echo"},
		{name: "no type is guessed", path: "/untyped"},
		{name: "encoding untouched", path: "/gzip", fields: []string{"Accept-Encoding", "br;q=0.3, zstd"}},
		{name: "not found", path: "/nowhere"},
		{name: "trailers", path: "/trailers"},
		{name: "options", method: "OPTIONS", path: "/file"},
		{name: "unusual method", method: "REPORT", path: "/file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.method == "" {
				c.method = "GET"
			}
			ask := func(base string) string {
				var body io.Reader
				if c.body != "" {
					body = strings.NewReader(c.body)
				}
				res, text := do(t, c.method, base+c.path, body, c.fields...)
				if ct := res.Header.Get("Content-Type"); strings.HasPrefix(ct, "multipart/byteranges") {
					_, boundary, _ := strings.Cut(ct, "boundary=")
					text = strings.ReplaceAll(text, boundary, "BOUNDARY")
					res.Header.Set("Content-Type", "multipart")
				}
				res.Header.Del("Date")
				if c.name == "chunked, two cookies" { // a short one may go out with its length
					res.Header.Del("Content-Length")
					res.ContentLength = -1
				}
				return fmt.Sprintf("%d %v %d %v\n%s", res.StatusCode, res.Header, res.ContentLength, res.Trailer, text)
			}
			if a, b := ask(origin.URL), ask("http://"+h.addr); a != b {
				t.Errorf("directly:\n%.600s\nthrough the proxy:\n%.600s", a, b)
			}
		})
	}
	if _, text := get(t, "http://"+h.addr+"/agent", "User-Agent", ""); text != "[]" {
		t.Errorf("a User-Agent was added: %s", text)
	}
}

// seen returns what the origin reads of a request's head.
func seen(t testing.TB, cfg Config, request string) (string, string) {
	t.Helper()
	heads := make(chan string, 1)
	cfg.Origins = []Origin{{URL: rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
		heads <- readHead(br)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})}}
	h := newHouse(t, cfg)
	answer := say(t, h.addr, request)
	select {
	case head := <-heads:
		return head, answer
	default:
		return "", answer
	}
}

func TestRequestHead(t *testing.T) {
	for _, c := range []struct {
		name, request, want string
	}{
		{"path kept byte for byte", "GET //a/./%2e%2E/b;c=1/%zz?x=%41;y&&=&é HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n", ""},
		{"fields", "GET //a/../%2e%41;p=1?q=%zz;&é HTTP/1.1\r\nHost: a.example:81\r\nConnection: close, X-Gone, X-Forwarded-For, Cookie2\r\nX-Gone: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\n" +
			"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Server: evil\r\nX_Forwarded_For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nProxy: evil\r\nContent_Length: 5\r\n" +
			"B: 2\r\nA: 1\r\nA: 3\r\nTest-Client: 2001:db8::7\r\n\r\n",
			"GET //a/../%2e%41;p=1?q=%zz;&é HTTP/1.1\r\nHost: a.example:81\r\nA: 1\r\nA: 3\r\nB: 2\r\nTest-Client: 2001:db8::7\r\nConnection: TE\r\nTE: trailers\r\n" +
				"X-Forwarded-For: 2001:db8::7\r\nX-Forwarded-Host: a.example:81\r\nX-Forwarded-Proto: https\r\nForwarded: for=\"[2001:db8::7]\";host=\"a.example:81\";proto=https\r\n\r\n"},
		{"direct client cannot say https", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\nForwarded: for=127.0.0.1;host=\"a\";proto=http\r\n\r\n"},
		{"absolute target", "GET http://a.example?x=1 HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
			"GET /?x=1 HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: a.example\r\nX-Forwarded-Proto: http\r\nForwarded: for=127.0.0.1;host=\"a.example\";proto=http\r\n\r\n"},
		{"cleartext HTTP/2 is not tunnelled", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nTest: 1\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nTest: 1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\nForwarded: for=127.0.0.1;host=\"a\";proto=http\r\n\r\n"},
		{"empty post", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\nForwarded: for=127.0.0.1;host=\"a\";proto=http\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.Contains(c.request, "Upgrade") { // say reads to the end
				c.request = strings.Replace(c.request, "Connection: Upgrade", "Connection: close, Upgrade", 1)
			}
			head, answer := seen(t, testConfig(), c.request)
			if c.want == "" { // net/http itself refuses such a path
				if !strings.HasPrefix(answer, "HTTP/1.1 400") || head != "" {
					t.Errorf("origin saw %q, client %q", head, answer)
				}
				return
			}
			if head != c.want {
				t.Errorf("origin saw\n%q, want\n%q", head, c.want)
			}
			if !strings.HasSuffix(answer, "\r\n\r\nok") {
				t.Errorf("client saw %q", answer)
			}
		})
	}
}

func TestHostOption(t *testing.T) {
	for host, want := range map[string]string{"": "Host: a\r\n", "origin": "Host: 127.0.0.1:", "www.example.org": "Host: www.example.org\r\n"} {
		cfg := testConfig()
		cfg.Host = host
		head, _ := seen(t, cfg, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if !strings.Contains(head, want) {
			t.Errorf("host %q: origin saw %q", host, head)
		}
	}
}

func TestConnectRefused(t *testing.T) {
	h := newHouse(t, testConfig(answers(t, "")))
	if a := say(t, h.addr, "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"); !strings.HasPrefix(a, "HTTP/1.1 40") {
		t.Errorf("answer %q", a)
	}
}

// TestMalformedAnswers: what cannot be told for certain is not passed on.
func TestMalformedAnswers(t *testing.T) {
	for name, text := range map[string]string{
		"length and coding":  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
		"list of lengths":    "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nabcde",
		"negative length":    "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
		"unknown coding":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"coding in 1.0":      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"no HTTP":            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"status of two":      "HTTP/1.1 20 OK\r\n\r\n",
		"no colon":           "HTTP/1.1 200 OK\r\nfoo\r\n\r\n",
		"NUL":                "HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n",
		"name with a blank":  "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
		"switches unasked":   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"endless head":       "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", maxAnswerHead) + "\r\n\r\n",
		"endless interim":    strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", maxInterim+5),
		"nothing":            "",
		"breaks off in head": "HTTP/1.1 200 OK\r\nContent-Le",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
				readHead(br)
				io.WriteString(c, text)
			})))
			res, body := get(t, "http://"+h.addr+"/", "Accept", "text/html")
			if res.StatusCode != 502 || !strings.Contains(body, "<h1>The site does not answer</h1>") || res.Header.Get("Retry-After") == "" {
				t.Errorf("got %d %q", res.StatusCode, body)
			}
			if o := h.last(t, 1); !o.Failed || !o.Reached {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// TestTruncatedAnswers: an answer that breaks off breaks off for the client.
func TestTruncatedAnswers(t *testing.T) {
	for name, text := range map[string]string{
		"length":         "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcde",
		"chunk":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
		"bad chunk size": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nzz\r\n",
		"chunk too long": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
				readHead(br)
				io.WriteString(c, text)
			})))
			res, err := http.Get("http://" + h.addr)
			if err == nil {
				var b []byte
				if b, err = io.ReadAll(res.Body); err == nil {
					t.Errorf("the client read %q as a whole answer", b)
				}
				res.Body.Close()
			}
			if o := h.last(t, 1); !o.Failed {
				t.Errorf("outcome %+v", o)
			}
		})
	}
	t.Run("reset for HTTP/1.0", func(t *testing.T) {
		h := newHouse(t, testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")
		})))
		c, br := dialHouse(t, h.addr)
		io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		if b, err := io.ReadAll(br); err == nil {
			t.Errorf("the client read %q up to an ordinary end", b)
		}
	})
}

func TestCloseDelimitedAnswer(t *testing.T) {
	h := newHouse(t, testConfig(answers(t, "HTTP/1.0 200 OK\r\nX: y\r\n\r\nall of it")))
	if res, body := get(t, "http://"+h.addr); body != "all of it" || res.Header.Get("X") != "y" {
		t.Errorf("got %q %v", body, res.Header)
	}
}

// TestStale: connections that the origin closed are not used, and where it
// closes at the last moment a safe request is sent again, an unsafe one not.
func TestStale(t *testing.T) {
	var mu sync.Mutex
	var got []string
	h := newHouse(t, testConfig(rawSite(t, func(n int, c net.Conn, br *bufio.Reader) {
		for i := 0; ; i++ {
			head := readHead(br)
			if head == "" {
				return
			}
			mu.Lock()
			got = append(got, fmt.Sprintf("%d:%s", n, head[:strings.IndexByte(head, ' ')]))
			mu.Unlock()
			if i == 1 {
				return // the second request on any connection is dropped
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})))
	url := "http://" + h.addr + "/"
	for i, want := range []int{200, 200} {
		if res, body := get(t, url); res.StatusCode != want {
			t.Errorf("get %d: %d %q", i, res.StatusCode, body)
		}
	}
	if res, _ := do(t, "POST", url, nil); res.StatusCode != 502 {
		t.Errorf("a POST that may have been heard was answered %d", res.StatusCode)
	}
	mu.Lock()
	defer mu.Unlock()
	if s := strings.Join(got, " "); s != "0:GET 0:GET 1:GET 1:POST" {
		t.Errorf("origin saw %s", s)
	}
}

func TestIdleClosedIsNotUsed(t *testing.T) {
	closed := make(chan struct{}, 4)
	h := newHouse(t, testConfig(rawSite(t, func(n int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		c.Close()
		closed <- struct{}{}
	})))
	for range 3 {
		res, _ := do(t, "POST", "http://"+h.addr, strings.NewReader("body"))
		if res.StatusCode != 200 {
			t.Errorf("status %d", res.StatusCode)
		}
		<-closed
	}
}

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
	h.full = func(w http.ResponseWriter, r *http.Request, v *traffic.Visit, d mitigation.Verdict) {
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
