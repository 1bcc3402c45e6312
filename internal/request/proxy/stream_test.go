package proxy

import (
	"bufio"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func writePEM(t *testing.T, path string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestMalformedChunks: a body that is malformed from its start never reaches
// the origin, and one that becomes so later is broken off there.
func TestMalformedChunks(t *testing.T) {
	var reached atomic.Int32
	broken := make(chan bool, 1)
	h := newHouse(t, testConfig(site(t, func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		_, err := io.ReadAll(r.Body)
		broken <- err != nil
	}).URL))
	const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, body := range []string{"zz\r\n", "-1\r\nx\r\n", "5\r\nabcdefgh\r\n0\r\n\r\n"} {
		a := say(t, h.addr, head+body)
		if !strings.HasPrefix(a, "HTTP/1.1 400") || !strings.Contains(a, "Connection: close") {
			t.Errorf("%q was answered %q", body, a)
		}
	}
	if n := reached.Load(); n > 1 { // the third begins well
		t.Errorf("%d malformed bodies reached the origin", n)
	}
	if reached.Load() == 1 && !<-broken {
		t.Error("the origin took half a body for a whole one")
	}
}

func TestClientLeaves(t *testing.T) {
	gone := make(chan struct{}, 4)
	began := make(chan struct{}, 4)
	h := newHouse(t, testConfig(site(t, func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		switch r.Method {
		case "POST":
			io.Copy(io.Discard, r.Body)
		default:
			if r.URL.Path == "/answering" {
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		}
		gone <- struct{}{}
	}).URL))
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /answering HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
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

func TestRequestTrailers(t *testing.T) {
	h := newHouse(t, testConfig(site(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v %d", b, r.Trailer, r.ContentLength)
	}).URL))
	for _, pause := range []time.Duration{0, 20 * time.Millisecond} {
		c, br := dialHouse(t, h.addr)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n3\r\nabc\r\n")
		time.Sleep(pause)
		io.WriteString(c, "2;ext=1\r\nde\r\n0\r\nSum: 5\r\nOther: 6\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
		all, _ := io.ReadAll(br)
		if !strings.HasSuffix(string(all), "abcde map[Other:[6] Sum:[5]] -1") {
			t.Errorf("after a pause of %v: %q", pause, all)
		}
	}
}

func TestAnswerTrailers(t *testing.T) {
	h := newHouse(t, testConfig(answers(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n3\r\nabc\r\n0\r\nSum: 3\r\nOther: 4\r\nConnection: x\r\n\r\n")))
	res, body := get(t, "http://"+h.addr)
	if body != "abc" || fmt.Sprint(res.Trailer) != "map[Other:[4] Sum:[3]]" {
		t.Errorf("got %q with trailers %v", body, res.Trailer)
	}
}

func TestExpectContinue(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
	t.Run("the origin goes on", func(t *testing.T) {
		saw := make(chan string, 1)
		h := newHouse(t, testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
			saw <- readHead(br)
			c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
			if _, err := br.Peek(1); err == nil {
				saw <- "body came unasked"
			}
			c.SetReadDeadline(time.Time{})
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			body := make([]byte, 3)
			io.ReadFull(br, body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%s", body)
		})))
		c, br := dialHouse(t, h.addr)
		io.WriteString(c, request)
		if line := readHead(br); !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Fatalf("first came %q", line)
		}
		io.WriteString(c, "abc")
		all, _ := io.ReadAll(br)
		if !strings.HasSuffix(string(all), "\r\n\r\nabc") {
			t.Errorf("got %q", all)
		}
		if head := <-saw; !strings.Contains(head, "Expect: 100-continue\r\n") {
			t.Errorf("origin saw %q", head)
		}
		select {
		case s := <-saw:
			t.Error(s)
		default:
		}
	})
	t.Run("the origin answers at once", func(t *testing.T) {
		h := newHouse(t, testConfig(answers(t, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")))
		if a := say(t, h.addr, request); !strings.HasPrefix(a, "HTTP/1.1 413") || !strings.HasSuffix(a, "\r\n\r\nno") || strings.Contains(a, "100 Continue") {
			t.Errorf("got %q", a)
		}
	})
	t.Run("the origin knows no 100", func(t *testing.T) {
		cfg := testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			body := make([]byte, 3)
			io.ReadFull(br, body)
			fmt.Fprintf(c, "HTTP/1.0 200 OK\r\n\r\n%s", body)
		}))
		cfg.ContinueTimeout = 20 * time.Millisecond
		h := newHouse(t, cfg)
		c, br := dialHouse(t, h.addr)
		io.WriteString(c, request)
		if line := readHead(br); !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Fatalf("first came %q", line)
		}
		io.WriteString(c, "abc")
		if all, _ := io.ReadAll(br); !strings.Contains(string(all), "abc") {
			t.Errorf("got %q", all)
		}
	})
}

func TestInterimAnswers(t *testing.T) {
	h := newHouse(t, testConfig(answers(t, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nok")))
	c, br := dialHouse(t, h.addr)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if a := readHead(br); !strings.HasPrefix(a, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n") {
		t.Errorf("interim %q", a)
	}
	if a := readHead(br); !strings.HasPrefix(a, "HTTP/1.1 200") || !strings.Contains(a, "X: y") || strings.Contains(a, "Link") {
		t.Errorf("final %q", a)
	}
	if a := say(t, h.addr, "GET / HTTP/1.0\r\n\r\n"); strings.Contains(a, "103") || !strings.HasSuffix(a, "ok") {
		t.Errorf("HTTP/1.0 got %q", a)
	}
}

// TestFlushedAtOnce: whatever the origin has said, the client hears, also when
// nothing follows.
func TestFlushedAtOnce(t *testing.T) {
	for name, head := range map[string]string{
		"event stream":    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
		"known length":    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
		"up to the close": "HTTP/1.0 200 OK\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			next := make(chan struct{})
			h := newHouse(t, testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
				readHead(br)
				io.WriteString(c, head)
				for range 3 {
					<-next
					if strings.Contains(head, "chunked") {
						io.WriteString(c, "2\r\nhi\r\n")
					} else {
						io.WriteString(c, "hi")
					}
				}
				<-next
				if strings.Contains(head, "chunked") {
					io.WriteString(c, "0\r\n\r\n")
				}
			})))
			if strings.Contains(head, "Content-Length") {
				go func() { next <- struct{}{} }() // its head may wait for the first byte
			}
			res, err := http.Get("http://" + h.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b := make([]byte, 2)
			for i := range 3 {
				if i > 0 || !strings.Contains(head, "Content-Length") {
					next <- struct{}{}
				}
				if _, err := io.ReadFull(res.Body, b); err != nil || string(b) != "hi" {
					t.Fatalf("read %q, %v", b, err)
				}
			}
			next <- struct{}{}
			if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
				t.Errorf("then %q, %v", rest, err)
			}
		})
	}
}

// TestEarlyAnswer: the origin answers before it has the whole body, and either
// stops reading or reads on.
func TestEarlyAnswer(t *testing.T) {
	const size = 8 << 20
	t.Run("and stops reading", func(t *testing.T) {
		h := newHouse(t, testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			io.CopyN(io.Discard, br, 1000)
			io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
		})))
		for _, chunked := range []bool{false, true} {
			c, br := dialHouse(t, h.addr)
			sent := make(chan error, 1)
			go func() {
				if chunked {
					io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
				} else {
					fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
				}
				piece := make([]byte, 64<<10)
				for range size / len(piece) {
					if chunked {
						fmt.Fprintf(c, "%x\r\n", len(piece))
					}
					if _, err := c.Write(piece); err != nil {
						sent <- err
						return
					}
					if chunked {
						io.WriteString(c, "\r\n")
					}
				}
				if chunked {
					io.WriteString(c, "0\r\n\r\n")
				}
				sent <- nil
			}()
			if err := <-sent; err != nil { // a client that listens only afterwards
				t.Errorf("chunked %v: sending failed: %v", chunked, err)
			}
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatalf("chunked %v: %v", chunked, err)
			}
			if b, err := io.ReadAll(res.Body); res.StatusCode != 413 || string(b) != "big" {
				t.Errorf("chunked %v: got %d %q %v", chunked, res.StatusCode, b, err)
			}
		}
	})
	t.Run("and reads on", func(t *testing.T) {
		total := make(chan int64, 1)
		h := newHouse(t, testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			io.CopyN(io.Discard, br, 1000)
			io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok")
			n, _ := io.CopyN(io.Discard, br, size-1000)
			total <- n + 1000
		})))
		c, br := dialHouse(t, h.addr)
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
		c.Write(make([]byte, 2000))
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != 202 {
			t.Fatalf("got %v, %v", res, err)
		}
		c.Write(make([]byte, size-2000))
		if n := <-total; n != size {
			t.Errorf("the origin got %d of %d bytes", n, size)
		}
	})
	t.Run("both at once", func(t *testing.T) {
		h := newHouse(t, testConfig(site(t, func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			br := bufio.NewReader(r.Body)
			for {
				line, err := br.ReadString('\n')
				if err != nil {
					return
				}
				io.WriteString(w, "> "+line)
				w.(http.Flusher).Flush()
			}
		}).URL))
		pr, pw := io.Pipe()
		go io.WriteString(pw, "0\n")
		res, err := http.Post("http://"+h.addr, "text/plain", pr)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		br := bufio.NewReader(res.Body)
		for i := range 5 {
			if line, err := br.ReadString('\n'); line != fmt.Sprintf("> %d\n", i) {
				t.Fatalf("line %d: %q, %v", i, line, err)
			}
			io.WriteString(pw, fmt.Sprintf("%d\n", i+1))
		}
		pw.Close()
		if rest, err := io.ReadAll(br); string(rest) != "> 5\n" || err != nil {
			t.Errorf("then %q, %v", rest, err)
		}
	})
}

func TestUpgrade(t *testing.T) {
	h := newHouse(t, testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
		head := readHead(br)
		if !strings.Contains(head, "Connection: Upgrade\r\nUpgrade: websocket\r\n") || !strings.Contains(head, "Sec-Websocket-Key: k\r\n") {
			fmt.Fprintf(c, "HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%s", len(head), head)
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: z\r\n\r\nfirst ")
		all, _ := io.ReadAll(br) // up to the client's half-close
		fmt.Fprintf(c, "got %d", len(all))
	})))
	c, br := dialHouse(t, h.addr)
	const early = "early"
	io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"+early)
	head := readHead(br)
	if !strings.HasPrefix(head, "HTTP/1.1 101") || !strings.Contains(head, "Sec-Websocket-Accept: z\r\n") {
		t.Fatalf("got %q", head)
	}
	b := make([]byte, 6)
	if _, err := io.ReadFull(br, b); err != nil || string(b) != "first " {
		t.Fatalf("read %q, %v", b, err)
	}
	if g := h.gate.Gauges(); g.Streams != 1 || g.InFlight != 0 {
		t.Errorf("gauges %+v", g)
	}
	data := make([]byte, 300<<10)
	rand.Read(data)
	c.Write(data)
	c.(*net.TCPConn).CloseWrite()
	if all, err := io.ReadAll(br); string(all) != fmt.Sprintf("got %d", len(data)+len(early)) || err != nil {
		t.Errorf("after the half-close: %q, %v", all, err)
	}
	if o := h.last(t, 1); o.Status != 101 || !o.Reached || o.Failed {
		t.Errorf("outcome %+v", o)
	}
}

// TestUpgradeWithBody: the wish is not passed on.
func TestUpgradeWithBody(t *testing.T) {
	got, _ := seen(t, testConfig(), false, "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nab")
	if got == "" || strings.Contains(got, "pgrade") {
		t.Errorf("the origin was asked %q", got)
	}
}

func TestUpgradeRefusedAndIdle(t *testing.T) {
	const request = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	h := newHouse(t, testConfig(answers(t, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno")))
	c, br := dialHouse(t, h.addr)
	io.WriteString(c, request)
	if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 426") {
		t.Errorf("got %q", head)
	}

	cfg := testConfig(rawSite(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(io.Discard, br)
	}))
	cfg.UpgradeIdle = 50 * time.Millisecond
	h = newHouse(t, cfg)
	if a := say(t, h.addr, request); !strings.HasPrefix(a, "HTTP/1.1 101") {
		t.Errorf("got %q", a)
	}

	cfg.UpgradeIdle = time.Minute
	h = newHouse(t, cfg)
	c, br = dialHouse(t, h.addr)
	io.WriteString(c, request)
	readHead(br)
	h.Close()
	if _, err := br.ReadByte(); err == nil {
		t.Error("Close left an upgraded connection open")
	}
}

// TestStreamsLeaveTheLimit: what lasts gives its slot back, and beyond the bound
// on streams newcomers are cut off.
func TestStreamsLeaveTheLimit(t *testing.T) {
	origin := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	for _, c := range []struct {
		name, request string
		max           int
	}{
		{"event stream", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 10},
		{"slow upload", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\nx", 10},
		{"one too many", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(origin.URL)
			cfg.MaxStreams = c.max
			h := newHouse(t, cfg)
			h.longLived = 20 * time.Millisecond
			conn, br := dialHouse(t, h.addr)
			io.WriteString(conn, c.request)
			if c.max == 1 {
				if all, _ := io.ReadAll(br); !strings.HasPrefix(string(all), "HTTP/1.1 200") || strings.HasSuffix(string(all), "0\r\n\r\n") {
					t.Errorf("got %q", all)
				}
				return
			}
			eventually(t, "the stream", func() bool {
				g := h.gate.Gauges()
				return g.Streams == 1 && g.InFlight == 0
			})
		})
	}
}

// patterned is a body that costs nothing to make.
