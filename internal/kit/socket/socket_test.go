package socket

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// pair is a connection's two ends, ours and package net's.
func pair(t testing.TB) (*Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := New(c.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	return ours, theirs.(*net.TCPConn)
}

// What goes both ways at once, in pieces larger than the kernel's buffers, arrives.
func TestBothWays(t *testing.T) {
	ours, theirs := pair(t)
	const size = 24 << 20
	piece := bytes.Repeat([]byte("seawall."), 1<<20)
	var wg sync.WaitGroup
	for _, c := range []net.Conn{ours, theirs} {
		wg.Go(func() {
			for sent := 0; sent < size; {
				n, err := c.Write(piece)
				if err != nil || n != len(piece) {
					t.Errorf("%T wrote %d of %d: %v", c, n, len(piece), err)
					return
				}
				sent += n
			}
			if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			h := sha256.New()
			n, err := io.Copy(h, struct{ io.Reader }{c})
			want := sha256.Sum256(bytes.Repeat(piece, size/len(piece)))
			if err != nil || n != size || !bytes.Equal(h.Sum(nil), want[:]) {
				t.Errorf("%T read %d of %d, or others: %v", c, n, size, err)
			}
		})
	}
	wg.Wait()
	if n, err := ours.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after the end: %d, %v", n, err)
	}
}

// Nothing is read into nothing, and that is no end.
func TestNothing(t *testing.T) {
	ours, _ := pair(t)
	for _, f := range []func([]byte) (int, error){ours.Read, ours.Write} {
		if n, err := f(nil); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
}

// Deadlines, closing and what the other side does end a call as they do in package net.
func TestEnds(t *testing.T) {
	past := time.Unix(1, 0)
	full := make([]byte, 64<<20)
	for _, c := range []struct {
		name string
		do   func(ours *Conn, theirs *net.TCPConn)
		want func(error) bool
	}{
		{"deadline passed", func(ours *Conn, _ *net.TCPConn) { _ = ours.SetDeadline(past) },
			func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }},
		{"closed", func(ours *Conn, _ *net.TCPConn) { _ = ours.Close() },
			func(err error) bool { return errors.Is(err, net.ErrClosed) }},
		{"reset", func(_ *Conn, theirs *net.TCPConn) { _ = theirs.SetLinger(0); _ = theirs.Close() },
			func(err error) bool { return err != nil && !errors.Is(err, net.ErrClosed) && !os.IsTimeout(err) }},
	} {
		for _, op := range []string{"read", "write"} { // apart: a reset is told to one of them
			for _, before := range []bool{true, false} {
				ours, theirs := pair(t)
				if before {
					c.do(ours, theirs)
					time.Sleep(10 * time.Millisecond)
				} else {
					time.AfterFunc(20*time.Millisecond, func() { c.do(ours, theirs) })
				}
				n, err := 0, error(nil)
				if op == "read" {
					n, err = ours.Read(full[:8])
				} else if n, err = ours.Write(full); n < len(full) {
					n = 0
				}
				var o *net.OpError
				if n != 0 || !c.want(err) || !errors.As(err, &o) || o.Op != op || o.Net != "tcp" {
					t.Errorf("%s: %s ends with %d, %#v", c.name, op, n, err)
				}
			}
		}
	}
}

// A deadline that passed is over once it is lifted.
func TestDeadlineIsLifted(t *testing.T) {
	ours, theirs := pair(t)
	_ = ours.SetReadDeadline(time.Unix(1, 0))
	if _, err := ours.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Fatal(err)
	}
	_ = ours.SetReadDeadline(time.Time{})
	_, _ = theirs.Write([]byte("x"))
	if n, err := ours.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}

func TestNoMemory(t *testing.T) {
	ours, theirs := pair(t)
	p := make([]byte, 64)
	if n := testing.AllocsPerRun(1000, func() {
		_, _ = ours.Write(p)
		_, _ = io.ReadFull(theirs, p)
		_, _ = theirs.Write(p)
		_, _ = io.ReadFull(ours, p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRoundTrip is a message there and one back, against package net.
func BenchmarkRoundTrip(b *testing.B) {
	for _, of := range []string{"socket", "net"} {
		b.Run(of, func(b *testing.B) {
			ours, theirs := pair(b)
			var c net.Conn = ours
			if of == "net" {
				c = ours.TCPConn
			}
			p := make([]byte, 256)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = theirs.Write(p)
				_, _ = io.ReadFull(c, p)
				_, _ = c.Write(p)
				_, _ = io.ReadFull(theirs, p)
			}
		})
	}
}
