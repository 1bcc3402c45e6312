package socket

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// loose is a connection whose one end is loose, and watched by a Poller as 7.
func loose(t *testing.T) (Loose, *Poller, interface {
	io.ReadWriteCloser
	CloseWrite() error
	SetLinger(int) error
	SetReadDeadline(time.Time) error
}) {
	t.Helper()
	ours, theirs := pair(t)
	l, err := Loosen(ours)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPoller(4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if err := p.Add(l, 7); err != nil {
		t.Fatal(err)
	}
	return l, p, theirs
}

func ready(t *testing.T, p *Poller) {
	t.Helper()
	keys, err := p.Wait(false)
	if err != nil || len(keys) != 1 || keys[0] != 7 {
		t.Fatalf("%v, %v", keys, err)
	}
}

// Both ways, with nobody waiting in Read or Write; and back to package net.
func TestLoose(t *testing.T) {
	l, p, theirs := loose(t)
	buf := make([]byte, 16)
	if n, err := l.Read(buf); n != 0 || err != ErrWait {
		t.Errorf("with nothing there: %d, %v", n, err)
	}
	for range 3 { // it is told of more than once
		if _, err := theirs.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		ready(t, p)
		ready(t, p) // and as long as nobody reads
		if n, err := l.Read(buf); err != nil || string(buf[:n]) != "hello" {
			t.Errorf("%q, %v", buf[:n], err)
		}
	}
	written := 0
	piece := make([]byte, 64<<10)
	for {
		n, err := l.Write(piece)
		written += n
		if err == ErrWait {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Remove(l); err != nil {
		t.Fatal(err)
	}
	c, err := l.Bind()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = c.Write([]byte("end")); _ = c.CloseWrite() }()
	got, err := io.ReadAll(theirs)
	if err != nil || len(got) != written+3 || !bytes.HasSuffix(got, []byte("\x00end")) {
		t.Errorf("%d bytes of %d arrived, %v", len(got), written+3, err)
	}
	if _, err := theirs.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "more" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	_ = c.Close()
}

// The other side's end, an interruption and a hard close are seen.
func TestLooseEnds(t *testing.T) {
	buf := make([]byte, 16)
	l, p, theirs := loose(t)
	_, _ = theirs.Write([]byte("bye"))
	_ = theirs.CloseWrite()
	ready(t, p)
	if n, err := l.Read(buf); err != nil || string(buf[:n]) != "bye" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	ready(t, p)
	if n, err := l.Read(buf); n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if n, err := theirs.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("the other side: %d, %v", n, err)
	}

	l, p, theirs = loose(t)
	go func() { time.Sleep(20 * time.Millisecond); _ = l.Interrupt() }()
	ready(t, p)
	if n, err := l.Read(buf); n != 0 || err != nil {
		t.Errorf("interrupted: %d, %v", n, err)
	}
	_ = l.Forget()
	_ = l.Close()
	_ = theirs.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := theirs.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a hard close is seen as %v", err)
	}
}

// Everybody is read who has something to say, however little of it is read at a time
// and however it comes together with an end; closing the Poller ends that.
func TestPoller(t *testing.T) {
	const conns, rounds = 20, 200
	p, err := NewPoller(4)
	if err != nil {
		t.Fatal(err)
	}
	var ours [conns]Loose
	var got [conns]int
	var ends atomic.Int32
	for i := range conns {
		c, theirs := pair(t)
		if ours[i], err = Loosen(c); err != nil {
			t.Fatal(err)
		}
		if err := p.Add(ours[i], i); err != nil {
			t.Fatal(err)
		}
		go func() {
			for range rounds {
				_, _ = theirs.Write([]byte("seven b"))
				if i%2 == 0 {
					time.Sleep(time.Duration(i) * 10 * time.Microsecond)
				}
			}
			_ = theirs.CloseWrite()
		}()
	}
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 5)
		for i := 0; ; i++ {
			keys, err := p.Wait(i%3 == 0)
			if err != nil {
				done <- err
				return
			}
			for _, key := range keys {
				n, err := ours[key].Read(buf)
				if got[key] += n; n == 0 && err != ErrWait {
					_ = ours[key].Close()
					ends.Add(1)
				}
			}
		}
	}()
	for range 4000 {
		if ends.Load() == conns {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	_ = p.Close()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	for i, n := range got {
		if n != 7*rounds {
			t.Errorf("of %d came %d bytes, not %d", i, n, 7*rounds)
		}
	}
	if ends.Load() != conns {
		t.Errorf("%d of %d ends were seen", ends.Load(), conns)
	}
	if err := p.Add(ours[0], 1); err == nil {
		t.Error("a closed one takes more")
	}
	c, _ := pair(t)
	_ = c.Close()
	if _, err := Loosen(c); err == nil {
		t.Error("a closed connection is made loose")
	}
}

// Who has broken off cannot be given back: package net would know no address of it.
func TestBindBroken(t *testing.T) {
	l, p, theirs := loose(t)
	_ = theirs.SetLinger(0)
	_ = theirs.Close()
	ready(t, p)
	if c, err := l.Bind(); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("%v, %v", c, err)
	}
}

// A question and its answer by turns: whenever a question comes, before Wait or in its
// midst, it is found.
func TestPollerMissesNothing(t *testing.T) {
	const rounds = 20_000
	l, p, theirs := loose(t)
	failed := make(chan error, 1)
	go func() {
		buf := make([]byte, 8)
		for i := range rounds {
			keys, err := p.Wait(i%2 == 0)
			if err == nil && len(keys) == 0 {
				err = errors.New("nobody")
			}
			if err == nil {
				_, err = l.Read(buf)
			}
			if err == nil {
				_, err = l.Write(buf[:1])
			}
			if err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	_ = theirs.SetReadDeadline(time.Now().Add(60 * time.Second))
	buf := make([]byte, 1)
	for i := range rounds {
		if _, err := theirs.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Read(buf); err != nil {
			t.Fatalf("question %d: %v", i, err)
		}
		for range i % 1000 { // before Wait, and after
			_ = time.Now()
		}
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// While nobody waits, nothing that comes is told to the runtime.
func TestPollerIsShut(t *testing.T) {
	l, p, theirs := loose(t)
	buf := make([]byte, 8)
	for i := range 200 {
		if _, err := theirs.Write(buf[:1]); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); ; { // it has come
			n, _ := epoll(uintptr(p.inside), make([]syscall.EpollEvent, 1))
			if n == 1 {
				break
			}
			if time.Now().After(end) {
				t.Fatal("nothing comes")
			}
		}
		var n int
		if err := p.atGate.Control(func(gate uintptr) { n, _ = epoll(gate, make([]syscall.EpollEvent, 1)) }); err != nil || n != 0 {
			t.Fatalf("round %d: %d came through, %v", i, n, err)
		}
		if keys, err := p.Wait(i%2 == 0); err != nil || len(keys) != 1 {
			t.Fatalf("%v, %v", keys, err)
		}
		if _, err := l.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
}
