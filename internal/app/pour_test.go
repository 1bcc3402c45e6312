package app

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pipes counts this process's descriptors of pipes.
func pipes(t *testing.T) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

// What is large is moved by the kernel, whole and in order, by either road, and the
// connection serves what comes next; what breaks off is not taken for whole; no pipe is
// lost by any of it.
func TestLargeAnswersArePoured(t *testing.T) {
	const size = 5 << 20
	large := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{2})
	_, _ = rng.Read(large)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		switch r.URL.Path {
		case "/breaks":
			_, _ = w.Write(large[:size/2])
			panic(http.ErrAbortHandler)
		case "/trickles":
			for rest := large; len(rest) > 0; rest = rest[min(len(rest), 300_000):] {
				_, _ = w.Write(rest[:min(len(rest), 300_000)])
				time.Sleep(2 * time.Millisecond)
			}
		default:
			_, _ = w.Write(large)
		}
	}))
	t.Cleanup(origin.Close)
	for _, standard := range []bool{false, true} {
		f := &fork{standard: standard}
		before := pipes(t)
		addr, end := between(t, f, origin.Listener.Addr().String())
		dial := func() (net.Conn, *bufio.Reader) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			return c, bufio.NewReader(c)
		}
		c, br := dial()
		for _, path := range []string{"/", "/trickles", "/slow", "/"} {
			_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			h := sha256.New()
			var n int64
			for err == nil {
				var m int64
				if m, err = io.CopyN(h, res.Body, 100_000); path == "/slow" {
					time.Sleep(2 * time.Millisecond)
				}
				n += m
			}
			if want := sha256.Sum256(large); err != io.EOF || n != size || !bytes.Equal(h.Sum(nil), want[:]) {
				t.Errorf("%s, standard %v: %d bytes, or others: %v", path, standard, n, err)
			}
		}
		if now := pipes(t); now != before+2 {
			t.Errorf("standard %v: %d descriptors of pipes more than before, want those of one", standard, now-before)
		}
		_ = c.Close()

		c, br = dial()
		_, _ = io.WriteString(c, "GET /breaks HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err == nil || n > size/2 {
			t.Errorf("an answer that breaks off came with %d bytes and %v", n, err)
		}
		_ = c.Close()

		c, br = dial() // who leaves in its midst
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		_, _ = br.Discard(1000)
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
		c, br = dial()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if b, err := io.ReadAll(br); err != nil || !bytes.HasSuffix(b, large) {
			t.Errorf("the next one got %d bytes, %v", len(b), err)
		}
		_ = c.Close()
		end()
		for deadline := time.Now().Add(10 * time.Second); pipes(t) != before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d descriptors of pipes are left", pipes(t)-before)
			}
		}
	}
}
