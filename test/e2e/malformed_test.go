package e2e

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	get     = "GET /ordinary HTTP/1.1\r\nHost: site\r\n\r\n"
	evil    = "GET /evil HTTP/1.1\r\nHost: site\r\n\r\n"
	evilTop = "POST /evil HTTP/1.1\r\nHost: site\r\n"
)

// malformed are requests that different programs read differently, or that no
// honest client sends. All of them ask for /evil, or carry a request for it.
var malformed = map[string]string{
	"both lengths":               evilTop + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"both lengths, other order":  evilTop + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n" + evil,
	"bare LF":                    "GET /evil HTTP/1.1\nHost: site\n\n",
	"bare LF in fields":          "GET /evil HTTP/1.1\r\nHost: site\nX: y\r\n\r\n",
	"bare CR":                    "GET /evil HTTP/1.1\r\nHost: site\r\nX: a\rb\r\n\r\n",
	"folding":                    "GET /evil HTTP/1.1\r\nHost: site\r\nX: a\r\n b\r\n\r\n",
	"NUL":                        "GET /evil HTTP/1.1\r\nHost: site\r\nX: a\x00b\r\n\r\n",
	"huge head":                  "GET /evil HTTP/1.1\r\nHost: site\r\nX: " + strings.Repeat("a", 40<<10) + "\r\n\r\n",
	"huge target":                "GET /evil?" + strings.Repeat("a", 40<<10) + " HTTP/1.1\r\nHost: site\r\n\r\n",
	"many fields":                "GET /evil HTTP/1.1\r\nHost: site\r\n" + strings.Repeat("X: y\r\n", 500) + "\r\n",
	"two hosts":                  "GET /evil HTTP/1.1\r\nHost: site\r\nHost: other\r\n\r\n",
	"no host":                    "GET /evil HTTP/1.1\r\n\r\n",
	"odd host":                   "GET /evil HTTP/1.1\r\nHost: a b\r\n\r\n",
	"list of lengths":            evilTop + "Content-Length: 3, 3\r\n\r\nabc",
	"two lengths":                evilTop + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
	"two equal lengths":          evilTop + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	"negative length":            evilTop + "Content-Length: -1\r\n\r\n",
	"length with plus":           evilTop + "Content-Length: +3\r\n\r\nabc",
	"length in hex":              evilTop + "Content-Length: 0x3\r\n\r\nabc",
	"length too large":           evilTop + "Content-Length: 99999999999999999999\r\n\r\n",
	"empty length":               evilTop + "Content-Length:\r\n\r\n",
	"xchunked":                   evilTop + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"chunked, identity":          evilTop + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
	"gzip, chunked":              evilTop + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"chunked twice":              evilTop + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"encoding before colon":      evilTop + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"encoding after a tab":       evilTop + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
	"encoding in HTTP/1.0":       "POST /evil HTTP/1.0\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunk size with sign":       evilTop + "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
	"chunk size with 0x":         evilTop + "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
	"chunk size too large":       evilTop + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
	"chunk size is no number":    evilTop + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
	"chunk longer than it says":  evilTop + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
	"chunk ends with LF":         evilTop + "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
	"space before colon":         "GET /evil HTTP/1.1\r\nHost: site\r\nX : y\r\n\r\n",
	"name with bracket":          "GET /evil HTTP/1.1\r\nHost: site\r\nX(: y\r\n\r\n",
	"no colon":                   "GET /evil HTTP/1.1\r\nHost: site\r\nX\r\n\r\n",
	"version 2":                  "GET /evil HTTP/2.0\r\nHost: site\r\n\r\n",
	"version 0.9":                "GET /evil\r\n\r\n",
	"space in target":            "GET /evil x HTTP/1.1\r\nHost: site\r\n\r\n",
	"target without slash":       "GET evil HTTP/1.1\r\nHost: site\r\n\r\n",
	"another host in the target": "GET http://other/evil HTTP/1.1\r\nHost: site\r\n\r\n",
	"CONNECT":                    "CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n",
	"TLS":                        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	"PROXY header of a stranger": "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + evil,
}

// Each is answered with 400 and the end of the connection, and the origin sees
// nothing of it, whether it comes first or behind something valid.
func TestMalformedNeverReachesTheOrigin(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	for name, raw := range malformed {
		t.Run(name, func(t *testing.T) {
			for place, before := range map[string]string{"first": "", "second": get, "third": get + "POST /sink HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"} {
				c := w.dial()
				if _, err := c.Write([]byte(before + raw + evil + get)); err != nil && place == "first" {
					// A head that is too large is answered before it ends.
					t.Logf("%s: %v", place, err)
				}
				r := bufio.NewReader(c)
				for range strings.Count(before, "HTTP/1.1") {
					resp, err := http.ReadResponse(r, nil)
					if err != nil || resp.StatusCode != 200 {
						t.Fatalf("%s: what was valid was answered %v, %v", place, resp, err)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
				}
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatalf("%s: no answer: %v", place, err)
				}
				if resp.StatusCode != 400 || !resp.Close {
					t.Errorf("%s: answered %s, close %v", place, resp.Status, resp.Close)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				if rest, _ := io.ReadAll(r); len(rest) > 0 {
					t.Errorf("%s: the connection goes on: %q", place, rest)
				}
			}
		})
	}
	if slices.Contains(o.paths(), "/evil") {
		t.Error("the origin saw what was malformed, or what was hidden in it")
	}
	if resp, body := fetch(t, "GET", w.url("/after"), ""); resp.StatusCode != 200 || body != "this is /after" {
		t.Errorf("after all of it: %s %q", resp.Status, body)
	}
}

// A body may look like a request: it stays a body.
func TestBodiesStayBodies(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	c := w.dial()
	r := bufio.NewReader(c)
	length := "Content-Length: " + strconv.Itoa(len(evil)) + "\r\n\r\n" + evil
	for _, raw := range []string{
		"POST /sink HTTP/1.1\r\nHost: site\r\n" + length,
		"GET /ordinary HTTP/1.1\r\nHost: site\r\n" + length,
		"POST /sink HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n" +
			strconv.FormatInt(int64(len(evil)), 16) + ";a=b\r\n" + evil + "\r\n0\r\n\r\n",
		get,
	} {
		if _, err := c.Write([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%q: %v, %v", raw, resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	if slices.Contains(o.paths(), "/evil") {
		t.Error("a body was taken for a request")
	}
}
