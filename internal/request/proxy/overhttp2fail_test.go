package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestHTTP2Failures(t *testing.T) {
	t.Parallel()
	nobody := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return "http://" + l.Addr().String()
	}
	ok := site2(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "ok %s", b)
	})
	silent := site2(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	halfway := site2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", "1000")
		}
		io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	refusing := site2(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusRequestEntityTooLarge) })
	h1 := answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	const post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
	for _, c := range []struct {
		name    string
		origins []string
		request string
		want    string
		whole   bool
		failed  bool
	}{
		{"nobody there", []string{nobody()}, post, "HTTP/1.1 502", true, true},
		{"the next is asked", []string{nobody(), ok}, post, "HTTP/1.1 200", true, false},
		{"it does not speak it", []string{h1}, post, "HTTP/1.1 502", true, true},
		{"it says nothing", []string{silent}, post, "HTTP/1.1 504", true, true},
		{"it takes nothing", []string{silent}, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2000000\r\n\r\n" + strings.Repeat("a", 2000000), "HTTP/1.1 504", true, true},
		{"it answers early", []string{refusing}, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + strings.Repeat("a", 1000000), "HTTP/1.1 413", true, false},
		{"it breaks off", []string{halfway}, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", false, true},
		{"it breaks off before the length", []string{halfway}, "GET /length HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config2(c.origins...)
			cfg.AnswerTimeout = 300 * time.Millisecond
			h := newHouse(t, cfg)
			for i := range len(c.origins) { // so that each is the first to be asked once
				conn, br := dialHouse(t, h.addr)
				go io.WriteString(conn, c.request)
				res, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.ReadAll(res.Body)
				if got := fmt.Sprintf("%s %d", res.Proto, res.StatusCode); got != c.want || (err == nil) != c.whole {
					t.Errorf("%s, %v", got, err)
				}
				if o := h.last(t, i+1); o.Failed != c.failed || o.Reached == (c.name == "nobody there") {
					t.Errorf("outcome %+v", o)
				}
				conn.Close()
			}
		})
	}
}

// Whoever does not read does not fill our memory, and does not keep others waiting
// who share the connection to the origin.
func TestHTTP2SlowReader(t *testing.T) {
	var sent atomic.Int64
	h := newHouse(t, config2(site2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/big" {
			return
		}
		for b := make([]byte, 32<<10); ; sent.Add(int64(len(b))) {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	})))
	for range 20 {
		c, _ := dialHouse(t, h.addr)
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		io.WriteString(c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	eventually(t, "that all stand still", func() bool {
		n := sent.Load()
		time.Sleep(200 * time.Millisecond)
		return n > 0 && n == sent.Load() && h.Streams() == 20
	})
	for range 20 {
		if res, _ := get(t, "http://"+h.addr+"/"); res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
	}
}

// Where there is no more room for what lasts, it is cut off, and told so while that
// can be told.
func TestHTTP2Cut(t *testing.T) {
	cfg := config2(site2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}))
	cfg.MaxStreams = 1
	h := newHouse(t, cfg)
	h.longLived = 50 * time.Millisecond
	const call = " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n"
	if a := say(t, h.addr, "POST /"+call); !strings.HasPrefix(a, "HTTP/1.1 503") {
		t.Errorf("%q", a)
	}
	if a := say(t, h.addr, "POST /begun"+call); !strings.HasPrefix(a, "HTTP/1.1 200") || strings.HasSuffix(a, "0\r\n\r\n") {
		t.Errorf("%q", a)
	}
	if o := h.last(t, 2); o.Failed {
		t.Errorf("outcome %+v", o)
	}
}
