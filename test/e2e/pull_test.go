package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// pullers ask for pages in all the ways that visitors do, and count what becomes of
// it. They never try again what failed: a request is answered whole, or lost.
type pullers struct {
	t       *testing.T
	w       *wall
	end     chan struct{}
	running sync.WaitGroup

	// ending says that new connections may be refused, and that one that waits for a
	// request may be closed while that is on its way.
	ending atomic.Bool
	// quiet is how long a connection may be idle without being closed.
	quiet time.Duration

	asked, bodies, lost atomic.Int64
	slowest             atomic.Int64 // to connect and be answered, ns
}

// pull begins; stop ends it and fails the test for all that was lost.
func pull(t *testing.T, w *wall) *pullers { return pullWith(t, w, 5*time.Second) }

func pullWith(t *testing.T, w *wall, quiet time.Duration) *pullers {
	l := &pullers{t: t, w: w, end: make(chan struct{}), quiet: quiet}
	for range 4 {
		l.running.Go(func() { l.keep(2 * time.Millisecond) })
		l.running.Go(func() { l.anew(4 * time.Millisecond) })
	}
	if w.secure != "" {
		l.running.Go(func() { l.keepBy(l.dialSecure, 5*time.Millisecond) })
	}
	l.running.Go(func() { l.keep(1500 * time.Millisecond) }) // mostly idle
	l.running.Go(func() { l.keep(400 * time.Millisecond) })
	for range 2 {
		l.running.Go(l.download)
		l.running.Go(l.upload)
	}
	t.Cleanup(func() { l.halt() })
	return l
}

func (l *pullers) halt() {
	select {
	case <-l.end:
	default:
		close(l.end)
	}
	l.running.Wait()
}

func (l *pullers) stop() {
	l.t.Helper()
	l.halt()
	l.t.Logf("%d requests, %d long bodies, %d lost; the slowest small one took %v",
		l.asked.Load(), l.bodies.Load(), l.lost.Load(), time.Duration(l.slowest.Load()).Round(time.Millisecond))
	if n := l.lost.Load(); n > 0 {
		l.t.Errorf("%d requests were lost", n)
	}
	if l.asked.Load() < 500 || l.bodies.Load() < 2 {
		l.t.Error("that was no load")
	}
}

func (l *pullers) lose(what string, err error) {
	if l.lost.Add(1) <= 5 {
		l.t.Errorf("%s: %v", what, err)
	}
}

// over waits between two requests, and says whether there shall be no other.
func (l *pullers) over(d time.Duration) bool {
	select {
	case <-l.end:
	case <-time.After(d):
	}
	select {
	case <-l.end: // both may have been so
		return true
	default:
		return false
	}
}

func (l *pullers) took(since time.Time) {
	d := int64(time.Since(since))
	for {
		most := l.slowest.Load()
		if d <= most || l.slowest.CompareAndSwap(most, d) {
			return
		}
	}
}

// dial connects; nil where the end explains that it cannot.
func (l *pullers) dial() net.Conn {
	c, err := net.DialTimeout("tcp", l.w.addr, 10*time.Second)
	if err != nil {
		if !l.ending.Load() || !errors.Is(err, syscall.ECONNREFUSED) {
			l.lose("connect", err)
		}
		return nil
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// dialSecure is dial by HTTPS.
func (l *pullers) dialSecure() net.Conn {
	c, err := net.DialTimeout("tcp", l.w.secure, 10*time.Second)
	if err != nil {
		l.lose("connect", err)
		return nil
	}
	t := tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // whose it is, TestHTTPS looks at
	_ = t.SetDeadline(time.Now().Add(30 * time.Second))
	if err := t.Handshake(); err != nil {
		l.lose("a handshake", err)
		c.Close()
		return nil
	}
	return t
}

// ask sends one request and reads the answer. gone says that not a byte of an answer
// came.
func ask(c net.Conn, r *bufio.Reader, head string) (closes, gone bool, err error) {
	if _, err := io.WriteString(c, head); err != nil {
		return false, true, err
	}
	if _, err := r.Peek(1); err != nil {
		return false, true, err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return false, false, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return false, false, err
	}
	if resp.StatusCode != 200 {
		return false, false, errors.New(resp.Status)
	}
	return resp.Close, false, nil
}

// keep asks on a connection for as long as that lasts. POSTs, which no client
// repeats.
func (l *pullers) keep(pause time.Duration) { l.keepBy(l.dial, pause) }

func (l *pullers) keepBy(dial func() net.Conn, pause time.Duration) {
	for {
		c := dial()
		if c == nil {
			if l.over(50 * time.Millisecond) {
				return
			}
			continue
		}
		r := bufio.NewReader(c)
		for closes := false; !closes; {
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			begun := time.Now()
			var gone bool
			var err error
			closes, gone, err = ask(c, r, "POST /page HTTP/1.1\r\nHost: site\r\nContent-Length: 2\r\n\r\nhi")
			if err != nil {
				if !gone || !l.ending.Load() && pause < l.quiet {
					l.lose("on a connection that was kept", err)
				}
				break
			}
			l.took(begun)
			l.asked.Add(1)
			if l.over(pause) {
				c.Close()
				return
			}
		}
		c.Close()
	}
}

// anew asks once on each connection.
func (l *pullers) anew(pause time.Duration) {
	for !l.over(pause) {
		begun := time.Now()
		c := l.dial()
		if c == nil {
			continue
		}
		_, gone, err := ask(c, bufio.NewReader(c), "GET /page HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n")
		c.Close()
		if err != nil {
			if !gone || !l.ending.Load() {
				l.lose("on a new connection", err)
			}
			continue
		}
		l.took(begun)
		l.asked.Add(1)
	}
}

// What is long takes about two seconds.
const (
	longSize  = 2 << 20
	longParts = 40
	longPause = 50 * time.Millisecond
)

func (l *pullers) download() {
	for {
		c := l.dial()
		if c == nil {
			return
		}
		_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		err := func() error {
			if _, err := fmt.Fprintf(c, "GET /zeros?n=%d HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n", longSize); err != nil {
				return err
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			var got int64
			for range longParts {
				n, err := io.CopyN(io.Discard, resp.Body, longSize/longParts)
				if got += n; err != nil && err != io.EOF {
					return err
				}
				time.Sleep(longPause)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if got += n; err == nil && got != longSize {
				err = fmt.Errorf("%d bytes", got)
			}
			return err
		}()
		c.Close()
		if err != nil {
			l.lose("a download", err)
		}
		l.bodies.Add(1)
		if l.ending.Load() || l.over(0) {
			return
		}
	}
}

func (l *pullers) upload() {
	for {
		c := l.dial()
		if c == nil {
			return
		}
		err := func() error {
			if _, err := fmt.Fprintf(c, "POST /sink HTTP/1.1\r\nHost: site\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", longSize/longParts*longParts); err != nil {
				return err
			}
			for range longParts {
				if _, err := c.Write(make([]byte, longSize/longParts)); err != nil {
					return err
				}
				time.Sleep(longPause)
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(resp.Body); err != nil || string(b) != fmt.Sprint(longSize/longParts*longParts) {
				return fmt.Errorf("%s: %q, %v", resp.Status, b, err)
			}
			return nil
		}()
		c.Close()
		if err != nil {
			l.lose("an upload", err)
		}
		l.bodies.Add(1)
		if l.ending.Load() || l.over(0) {
			return
		}
	}
}
