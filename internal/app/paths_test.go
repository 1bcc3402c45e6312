package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"
)

// A rule about a path meets all its spellings, at the door of the program that runs; who
// is let in gets through as it was spelt, by either road.
func TestPathsAreJudgedNormalised(t *testing.T) {
	asked := make(chan string, 1)
	origin := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.RequestURI }))
	t.Cleanup(origin.Close)
	cfg := read(t, fmt.Sprintf(`
data: %s
memory: 64MiB
listen: {addresses: ["127.0.0.1:0"]}
admin: {listen: "127.0.0.1:0"}
proxy: {origins: [{url: %q}]}
rules:
  - {name: closed, match: 'path == "/poster"', action: refuse}
  - {name: hooks, match: 'path == "/hook" && method == "GET"', action: admit}
  - {name: no-hooks, match: 'path == "/hook"', action: refuse}
`, filepath.Join(t.TempDir(), "data"), origin.URL))
	p, err := begin(context.Background(), cfg, Options{Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	ask := func(method, target string) int {
		t.Helper()
		c, err := net.Dial("tcp", p.listen.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, target)
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode
	}
	for _, target := range []string{
		"/poster", "/%70oster", "/%70%6F%73%74%65%72", "//poster", "/./poster", "/a/../poster", "/a/%2e%2E//poster?x", "http://a//poster",
	} {
		for _, method := range []string{"GET", "POST"} {
			if got := ask(method, target); got != http.StatusForbidden {
				t.Errorf("%s %s: %d", method, target, got)
				<-asked
			}
		}
	}
	for _, target := range []string{
		"/%6eews", "//news//", "/./news", "/a/../news?x=/../%70//", "/poster/", "/POSTER", "/%2fposter", "/a%2f..%2fposter", "/poster;a=b", "/%2570oster", "/a/../b?",
	} {
		for _, method := range []string{"GET", "POST"} {
			if got := ask(method, target); got != http.StatusOK {
				t.Errorf("%s %s: %d", method, target, got)
			} else if got := <-asked; got != target {
				t.Errorf("%s %s: the origin was asked for %s", method, target, got)
			}
		}
	}
	// What is let in past the rest is what the origin cannot understand otherwise.
	if got := ask("GET", "/hook"); got != http.StatusOK {
		t.Errorf("/hook: %d", got)
	} else {
		<-asked
	}
	if got := ask("GET", "/poster/../hook"); got != http.StatusForbidden {
		t.Errorf("/poster/../hook: %d", got)
		<-asked
	}
}
