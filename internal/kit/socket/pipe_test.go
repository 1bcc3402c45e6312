package socket

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

// pipe is an empty one, which ends with the test.
func pipe(t *testing.T) *Pipe {
	t.Helper()
	p, err := NewPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// What goes through a pipe arrives as it came, in pieces of any size, to a reader that
// takes its time.
func TestPipe(t *testing.T) {
	from, sender := pair(t)
	to, receiver := pair(t)
	p := pipe(t)
	const size = 24 << 20
	all := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(all)
	go func() {
		r := rand.New(rand.NewPCG(1, 2))
		for rest := all; len(rest) > 0; {
			n := min(1+r.IntN(200_000), len(rest))
			if _, err := sender.Write(rest[:n]); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
		_ = sender.CloseWrite()
	}()
	got := make(chan []byte, 1)
	go func() {
		h := sha256.New()
		buf := make([]byte, 70_000)
		for i := 0; ; i++ {
			n, err := receiver.Read(buf)
			h.Write(buf[:n])
			if err != nil {
				got <- h.Sum(nil)
				return
			}
			if i%50 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	moved := 0
	for {
		n, err := p.Fill(from, min(1<<20, size+1-moved))
		if err == io.EOF {
			break
		}
		if err != nil || n != p.Held() {
			t.Fatalf("filled with %d, it holds %d: %v", n, p.Held(), err)
		}
		m, err := p.Empty(to)
		if err != nil || m != n || p.Held() != 0 {
			t.Fatalf("%d of %d went, it holds %d: %v", m, n, p.Held(), err)
		}
		moved += n
	}
	_ = to.CloseWrite()
	if want := sha256.Sum256(all); moved != size || !bytes.Equal(<-got, want[:]) {
		t.Errorf("%d of %d bytes, or others", moved, size)
	}
}

// A pipe takes no more than it is told to; the rest can be read as usual.
func TestPipeTakesNoMore(t *testing.T) {
	from, sender := pair(t)
	to, receiver := pair(t)
	p := pipe(t)
	_, _ = sender.Write([]byte("hello, world"))
	time.Sleep(10 * time.Millisecond)
	if n, err := p.Fill(from, 5); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	rest := make([]byte, 20)
	if n, err := from.Read(rest); err != nil || string(rest[:n]) != ", world" {
		t.Errorf("left are %q, %v", rest[:n], err)
	}
	if n, err := p.Empty(to); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := receiver.Read(rest); err != nil || string(rest[:n]) != "hello" {
		t.Errorf("came %q, %v", rest[:n], err)
	}
}

// Waiting ends as that of Read and Write does, and what did not go stays in the pipe.
func TestPipeEnds(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(ours *Conn, theirs *net.TCPConn)
		want func(error) bool
	}{
		"deadline": {func(ours *Conn, _ *net.TCPConn) { _ = ours.SetDeadline(time.Unix(1, 0)) },
			func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }},
		"closed": {func(ours *Conn, _ *net.TCPConn) { _ = ours.Close() },
			func(err error) bool { return errors.Is(err, net.ErrClosed) }},
		"reset": {func(_ *Conn, theirs *net.TCPConn) { _ = theirs.SetLinger(0); _ = theirs.Close() },
			func(err error) bool { return err != nil && !errors.Is(err, net.ErrClosed) && !os.IsTimeout(err) }},
	} {
		p := pipe(t)
		ours, theirs := pair(t)
		time.AfterFunc(20*time.Millisecond, func() { c.do(ours, theirs) })
		if n, err := p.Fill(ours, 1<<10); n != 0 || !c.want(err) {
			t.Errorf("%s: filled with %d, %v", name, n, err)
		}
		to, receiver := pair(t)
		from, sender := pair(t)
		go func() { _, _ = io.Copy(sender, endless{}) }()
		time.AfterFunc(50*time.Millisecond, func() { c.do(to, receiver) })
		var err error
		for err == nil { // nobody reads, so that it waits in the end
			if _, err = p.Fill(from, 1<<20); err != nil {
				t.Fatal(err)
			}
			_, err = p.Empty(to)
		}
		if !c.want(err) || p.Held() == 0 {
			t.Errorf("%s: emptied but for %d, %v", name, p.Held(), err)
		}
		_ = from.Close()
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
