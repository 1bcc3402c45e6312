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

// hurry is so short that tests see it pass, and so long that a busy machine
// brings in time what clients send at once.
const hurry = 500 * time.Millisecond

func hasty() Config {
	c := testConfig()
	c.HeadTimeout, c.IdleTimeout, c.Grace = hurry, hurry, hurry
	c.MinRate = 10_000
	return c
}

// honest tries up to three times what an honest client does, and fails the test
// where that never goes well: on a machine that stands still for as long as the
// grace, an honest client is cut as well.
func honest(t *testing.T, try func() error) {
	t.Helper()
	var err error
	for range 3 {
		if err = try(); err == nil {
			return
		}
		t.Log(err)
	}
	t.Error(err)
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
	begun := time.Now()
	c, br := h.send(t, "GET / HTTP/1.1\r\n"+host)
	go func() { // a byte now and then buys no time
		for {
			time.Sleep(10 * time.Millisecond)
			if _, err := io.WriteString(c, "A"); err != nil {
				return
			}
		}
	}()
	r, body := answer(t, br, "GET")
	if r.StatusCode != 408 || !strings.Contains(body, "too long") {
		t.Errorf("got %d %q", r.StatusCode, body)
	}
	if d := time.Since(begun); d < hurry*2/3 || d > 20*hurry {
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
			for {
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
	h := start(t, hasty(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(3 * hurry / 2)
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	honest(t, func() error {
		c, br := h.send(t, "POST / HTTP/1.1\r\n"+host+"Content-Length: 60000\r\n\r\n")
		go func() {
			for range 60 { // about 30,000 bytes a second for 2 s
				time.Sleep(33 * time.Millisecond)
				_, _ = c.Write(make([]byte, 1000))
			}
		}()
		r, err := http.ReadResponse(br, nil)
		if err != nil {
			return err
		}
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "60000 <nil>" {
			return fmt.Errorf("got %d %q, %v", r.StatusCode, body, err)
		}
		return nil
	})
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
	case <-time.After(20 * time.Second):
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
	const size = 2 << 20
	cfg := hasty()
	cfg.MinRate = 100_000
	h := start(t, cfg, testDoor{}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(endless{}, size))
	})
	honest(t, func() error {
		c := h.smallWindow(t)
		_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n"+host+"\r\n")
		n := 0
		buf := make([]byte, 32<<10)
		for {
			time.Sleep(40 * time.Millisecond) // about 800,000 bytes a second
			k, err := c.Read(buf)
			n += k
			if err != nil && err != io.EOF {
				return fmt.Errorf("after %d bytes: %w", n, err)
			}
			if err == io.EOF && n < size {
				return fmt.Errorf("got %d of %d bytes", n, size)
			}
			if err == io.EOF {
				return nil
			}
		}
	})
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
