package listen

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"seawall/internal/kit/clock"
)

// At the end of a Server nobody is reset who had connected: who comes is accepted, or
// finds nobody.
func TestDrainResetsNobody(t *testing.T) {
	for i := range 8 { // who is not heard tries again after a second
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			h := start(t, testConfig(), testDoor{}, hello)
			var callers sync.WaitGroup
			var over atomic.Bool
			var connected atomic.Int64
			for range 8 {
				callers.Go(func() {
					for !over.Load() {
						c, err := net.DialTimeout("tcp", h.addr, 5*time.Second)
						switch {
						case err == nil:
							connected.Add(1)
							_ = c.SetDeadline(time.Now().Add(5 * time.Second))
							if _, err := c.Read(make([]byte, 1)); errors.Is(err, syscall.ECONNRESET) {
								t.Errorf("connected, then: %v", err)
							}
							c.Close()
						case errors.Is(err, syscall.ECONNREFUSED):
							return
						default:
							t.Errorf("connect: %v", err)
							return
						}
					}
				})
			}
			// Each waits for its connection's end, which frees it for the next.
			for stop := time.Now().Add(20 * time.Millisecond); time.Now().Before(stop) || connected.Load() < 8; time.Sleep(100 * time.Microsecond) {
				h.each(func(c *conn) {
					if word := c.watch.Load(); word&0xff == phaseNew {
						c.end(word, nil)
					}
				})
			}
			if err := h.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			over.Store(true)
			callers.Wait()
		})
	}
}

// A socket that was left deaf hears again in the process that inherits it.
func TestDeafSocketHearsAgain(t *testing.T) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // Listen makes none either
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tcp := l.(*net.TCPListener)
	if err := deafen(tcp); err != nil {
		t.Fatal(err)
	}
	if _, err := net.DialTimeout("tcp", l.Addr().String(), 100*time.Millisecond); err == nil {
		t.Fatal("it was not deaf")
	}
	if err := adopt(tcp); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for begun := time.Now(); queued(tcp) != 1; time.Sleep(time.Millisecond) {
		if time.Since(begun) > 5*time.Second {
			t.Fatalf("%d are queued, not 1", queued(tcp))
		}
	}
}

// Who holds an inherited socket as well goes on being heard after the Server's end.
func TestInheritedSocketStaysHearing(t *testing.T) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	s := New(testConfig(), testDoor{}, &testWatcher{}, http.HandlerFunc(hello), clock.New(), slog.New(slog.DiscardHandler))
	s.Inherit(func(string) *net.TCPListener { return ours.(*net.TCPListener) })
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", l.Addr().String(), 500*time.Millisecond) // a SYN comes again after a second
	if err != nil {
		t.Fatalf("nobody hears the socket that others hold: %v", err)
	}
	c.Close()
}
