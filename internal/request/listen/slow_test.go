package listen

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hasty has times so short that tests see them pass.
func hasty() Config {
	c := testConfig()
	c.HeadTimeout = 150 * time.Millisecond
	c.IdleTimeout = 150 * time.Millisecond
	c.Grace = 150 * time.Millisecond
	c.MinRate = 10_000
	return c
}

// counted waits until n connections were ended for what they took too long for.
// The sweeper counts beside the reader, which may answer first.
func (h *house) counted(t *testing.T, kind string, n uint64) {
	t.Helper()
	eventually(t, "the count of "+kind, func() bool { return h.Stats().Timeouts[kind] == n })
}

func TestSlowloris(t *testing.T) {
	t.Parallel()
	h := start(t, hasty(), testDoor{}, hello)
	c, br := h.send(t, "GET / HTTP/1.1\r\n"+host)
	go func() { // a byte now and then buys no time
		for range 100 {
			time.Sleep(10 * time.Millisecond)
			if _, err := io.WriteString(c, "A"); err != nil {
				return
			}
		}
	}()
	begun := time.Now()
	r, body := answer(t, br, "GET")
	if r.StatusCode != 408 || !strings.Contains(body, "too long") {
		t.Errorf("got %d %q", r.StatusCode, body)
	}
	if d := time.Since(begun); d < 100*time.Millisecond || d > 2*time.Second {
		t.Errorf("after %v", d)
	}
	h.counted(t, "head", 1)
}

func TestSilentAndIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	h := start(t, hasty(), testDoor{}, hello)
	_, br := h.send(t, "")
	closedNow(t, br)
	_, br = h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
	answer(t, br, "GET")
	closedNow(t, br)
	_, br = h.send(t, "GET /refuse HTTP/1.1\r\n"+host+"\r\n")
	answer(t, br, "GET")
	closedNow(t, br)
	h.counted(t, "new", 1)
	h.counted(t, "idle", 2)
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfff\r\n"} {
		h := start(t, hasty(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				t.Error("the body was read to its end")
			}
			w.WriteHeader(http.StatusBadGateway)
		})
		c, br := h.send(t, "POST / HTTP/1.1\r\n"+host+framing)
		go func() { // 100 bytes a second instead of 10,000
			for range 200 {
				time.Sleep(10 * time.Millisecond)
				if _, err := io.WriteString(c, "A"); err != nil {
					return
				}
			}
		}()
		if r, body := answer(t, br, "POST"); r.StatusCode != 408 || !strings.Contains(body, "slow") {
			t.Errorf("got %d %q", r.StatusCode, body)
		}
		if r := h.watch.wait(t, 1); r[0].outcome.Status != 408 {
			t.Errorf("recorded %+v", r[0].outcome)
		}
		h.counted(t, "body", 1)
	}
}

// An upload that takes many times the grace survives as long as it keeps the
// minimum rate, and a room that is slow to read costs it nothing.
func TestSlowHonestUpload(t *testing.T) {
	t.Parallel()
	cfg := hasty()
	cfg.Grace = 300 * time.Millisecond
	h := start(t, cfg, testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(400 * time.Millisecond)
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	c, br := h.send(t, "POST / HTTP/1.1\r\n"+host+"Content-Length: 24000\r\n\r\n")
	go func() {
		for range 24 { // about 30,000 bytes a second for 0.8 s
			time.Sleep(33 * time.Millisecond)
			_, _ = c.Write(make([]byte, 1000))
		}
	}()
	if _, body := answer(t, br, "POST"); body != "24000 <nil>" {
		t.Errorf("got %q", body)
	}
}

// smallWindow dials with a receive buffer so small that the server's writes
// block soon.
func (h *house) smallWindow(t *testing.T) net.Conn {
	d := net.Dialer{Control: func(_, _ string, rc syscall.RawConn) error {
		return rc.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 64<<10)
		})
	}}
	c, err := d.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func TestSlowRead(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	h := start(t, hasty(), testDoor{}, func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.Copy(w, endless{})
		failed <- err
	})
	c := h.smallWindow(t)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n"+host+"\r\n")
	select {
	case err := <-failed:
		if err == nil {
			t.Error("the copy ended well")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("a client that never reads holds its handler")
	}
	if r := h.watch.wait(t, 1); !r[0].outcome.Left {
		t.Errorf("recorded %+v", r[0].outcome)
	}
	h.counted(t, "write", 1)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A slow reader above the minimum rate gets all of its download, though that
// takes several times the grace.
func TestSlowHonestDownload(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	cfg := hasty()
	cfg.MinRate, cfg.Grace = 100_000, 300*time.Millisecond
	h := start(t, cfg, testDoor{}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(endless{}, size))
	})
	c := h.smallWindow(t)
	_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n"+host+"\r\n")
	n := 0
	buf := make([]byte, 32<<10)
	for {
		time.Sleep(40 * time.Millisecond) // about 800,000 bytes a second
		k, err := c.Read(buf)
		n += k
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	if n < size {
		t.Errorf("got %d of %d bytes", n, size)
	}
}

func TestLargeUploadNeedsLittleMemory(t *testing.T) {
	const size = 256 << 20
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 32<<10))
		fmt.Fprint(w, n, err)
	})
	for _, chunked := range []bool{false, true} {
		c := h.dial(t)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		go func() {
			block := bytes.Repeat([]byte("x"), 64<<10)
			if !chunked {
				fmt.Fprintf(c, "POST / HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n", host, size)
			} else {
				fmt.Fprintf(c, "POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n", host)
				block = append(append([]byte("10000\r\n"), block...), "\r\n"...)
			}
			for range size >> 16 {
				_, _ = c.Write(block)
			}
			if chunked {
				_, _ = io.WriteString(c, "0\r\n\r\n")
			}
		}()
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		runtime.ReadMemStats(&after)
		if string(body) != fmt.Sprint(size, " <nil>") {
			t.Errorf("got %q", body)
		}
		if d := after.TotalAlloc - before.TotalAlloc; d > 4<<20 {
			t.Errorf("chunked %v: %d bytes were allocated for %d", chunked, d, size)
		}
	}
}
