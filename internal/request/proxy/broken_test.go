package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

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
