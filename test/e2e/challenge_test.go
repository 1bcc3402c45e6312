package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A rule that challenges: who keeps cookies sees nothing of it but one redirect, who
// keeps none is let in all the same, and nobody is sent elsewhere.
func TestChallenge(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, config{"rules": []config{{"name": "ask", "match": `path.startsWith("/asked")`, "action": "challenge"}}}, o.url)
	ask := func(jar http.CookieJar, method, path, agent, accept string) (status, redirects int, at string) {
		c := &http.Client{Jar: jar, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { redirects++; return nil }}
		r, err := http.NewRequest(method, w.url(path), strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("User-Agent", agent)
		r.Header.Set("Accept", accept)
		resp, err := c.Do(r)
		if err != nil {
			t.Fatalf("%s %s by %s: %v", method, path, agent, err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, redirects, resp.Request.URL.RequestURI()
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	const page = "text/html"
	for i, c := range []struct {
		name         string
		jar          http.CookieJar
		method, path string
		accept       string
		redirects    int
	}{
		{"a browser", jar, "GET", "/asked?d=0s&name=a+b", page, 1},
		{"the browser again", jar, "GET", "/asked/more", page, 0},
		{"no cookies", nil, "GET", "/asked/none", page, 1},
		{"HEAD", nil, "HEAD", "/asked/head", page, 1},
		{"a form", nil, "POST", "/asked/form", page, 0},
		{"an API", nil, "GET", "/asked/data", "application/json", 0},
		{"another page", nil, "GET", "/page", page, 0},
	} {
		agent := fmt.Sprint("Mozilla/5.0 (", i, ")")
		if c.jar != nil {
			agent = "Mozilla/5.0 (jar)"
		}
		status, redirects, at := ask(c.jar, c.method, c.path, agent, c.accept)
		path, _, _ := strings.Cut(c.path, "?")
		if status != http.StatusOK || redirects != c.redirects || at != c.path || o.count(path) != 1 {
			t.Errorf("%s: %d after %d redirects at %s, the origin was asked %d times", c.name, status, redirects, at, o.count(path))
		}
	}
	if here, _ := url.Parse(w.url("/")); len(jar.Cookies(here)) != 1 {
		t.Errorf("cookies: %v", jar.Cookies(here))
	}
	asked := 0.0
	for _, v := range w.verdicts() {
		if v.Action == "challenge" && v.Reason == "rule" {
			asked = v.Count
		}
	}
	answered := w.metrics()["seawall_challenges_answered_total"].GetMetric()[0].GetCounter().GetValue()
	if asked != 3 || answered != 1 {
		t.Errorf("%v were asked, %v answered", asked, answered)
	}
	until(t, 5*time.Second, "the rule's answers are listed", func() bool {
		return strings.Contains(w.order("mitigations"), "asked to come back with a cookie 3, did 1\n")
	})
}

// Whatever is asked for, nobody is sent to another site.
func TestChallengeStaysHere(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, config{"rules": []config{{"name": "ask", "match": `kind == "page"`, "action": "challenge"}}}, o.url)
	for i, target := range []string{
		"//asked.example/x", "///asked.example", `/\asked.example/`, `/\/asked.example/`, "http://other.example//asked.example/x",
		`http://other.example/\asked`, "http://other.example?a=/b", "/asked/../../x", "//asked?q=//y", "/%2fasked.example/",
	} {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: other.example\r\nUser-Agent: Mozilla/5.0 (else %d)\r\nAccept: text/html\r\nConnection: close\r\n\r\n", target, i)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusBadRequest {
			continue // no proper target
		}
		to := resp.Header.Get("Location")
		if resp.StatusCode != http.StatusTemporaryRedirect || !strings.HasPrefix(to, "/") || strings.HasPrefix(strings.ReplaceAll(to, `\`, "/"), "//") {
			t.Errorf("asked for %s: %s, sent to %q", target, resp.Status, to)
		}
		if resp.Header.Get("Cache-Control") != "no-store" || len(resp.Cookies()) != 1 {
			t.Errorf("asked for %s: %v", target, resp.Header)
		}
	}
}
