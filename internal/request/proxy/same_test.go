package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSameBytes asks an origin directly and through the proxy, by either road, and
// compares.
func TestSameBytes(t *testing.T) {
	t.Run("HTTP/1.1", func(t *testing.T) { sameBytes(t, testConfig, false) })
	t.Run("standard form", func(t *testing.T) { sameBytes(t, testConfig, true) })
	t.Run("HTTP/2", func(t *testing.T) { sameBytes(t, config2, false) })
}

func sameBytes(t *testing.T, by func(...string) Config, standard bool) {
	content := strings.Repeat("0123456789abcdef", 20000)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	origin := site2(t, func(w http.ResponseWriter, r *http.Request) {
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
	h := newHouse(t, by(origin))
	h.standard.Store(standard)
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
			if a, b := ask(origin), ask("http://"+h.addr); a != b {
				t.Errorf("directly:\n%.600s\nthrough the proxy:\n%.600s", a, b)
			}
		})
	}
	if _, text := get(t, "http://"+h.addr+"/agent", "User-Agent", ""); text != "[]" {
		t.Errorf("a User-Agent was added: %s", text)
	}
}

// seen returns what the origin reads of a request's head.
func seen(t testing.TB, cfg Config, standard bool, request string) (string, string) {
	t.Helper()
	head, answer, _ := seenBy(t, cfg, standard, request)
	return head, answer
}

// seenBy says as well whether the request took the straight road.
func seenBy(t testing.TB, cfg Config, standard bool, request string) (string, string, bool) {
	t.Helper()
	heads := make(chan string, 1)
	cfg.Origins = []Origin{{URL: rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
		heads <- readHead(br)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})}}
	h := newHouse(t, cfg)
	h.standard.Store(standard)
	answer := say(t, h.addr, request)
	select {
	case head := <-heads:
		return head, answer, h.straight.Load() > 0
	default:
		return "", answer, false
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
			head, answer := seen(t, testConfig(), true, c.request)
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
		head, _ := seen(t, cfg, false, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
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
