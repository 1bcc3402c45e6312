package listen

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// TestFloodOfHandshakes: two thousand sources ask for handshakes as fast as they
// can, most of them without going on. Who is connected already is served, who is
// known connects, and strangers do with a try or a few.
func TestFloodOfHandshakes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 1, soon(), "example.org"))
	cfg.TLS.Handshakes.AtOnce = 1
	known := netip.MustParseAddr("127.9.9.9")
	door := testDoor{greet: func(v *traffic.Visit) mitigation.Verdict {
		if v.Client == known {
			return mitigation.Verdict{Rank: mitigation.RankProven}
		}
		return mitigation.Verdict{Rank: mitigation.RankNewcomer}
	}}
	h := start(t, cfg, door, hello)
	from := func(b [4]byte) *net.Dialer {
		return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IP(b[:])}, Timeout: 5 * time.Second}
	}
	inside := h.handshake(t, a, "example.org")
	say := "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
	fetch(t, inside, say)

	words := firstWords(t)
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	var sent atomic.Int64
	for w := range 8 {
		flood.Go(func() {
			var held [64]net.Conn // half open
			begun := time.Now()
			for i := w; ctx.Err() == nil; i += 8 {
				time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / paceOfHellos)))
				src := i % 2000
				c, err := from([4]byte{127, 16 + byte(src>>8), byte(src), 7}).DialContext(ctx, "tcp", h.secure())
				if err != nil {
					continue
				}
				_, _ = c.Write(words)
				sent.Add(1)
				at := i / 8 % len(held)
				if held[at] != nil {
					_ = held[at].Close()
				}
				held[at] = c
			}
			for _, c := range held {
				if c != nil {
					_ = c.Close()
				}
			}
		})
	}
	eventually(t, "the flood", func() bool { return sent.Load() > 200 })

	var took []time.Duration
	timed := func(do func()) {
		begun := time.Now()
		do()
		took = append(took, time.Since(begun))
	}
	for range 200 {
		timed(func() { fetch(t, inside, say) })
		time.Sleep(5 * time.Millisecond)
	}
	slices.Sort(took)
	served := took[197]
	took = nil
	visit := func(src [4]byte) bool {
		d := tls.Dialer{NetDialer: from(src), Config: &tls.Config{RootCAs: a.pool, ServerName: "example.org"}}
		c, err := d.Dial("tcp", h.secure())
		if err != nil {
			return false
		}
		fetch(t, c, say)
		c.Close()
		return true
	}
	for range 20 {
		timed(func() {
			if !visit(known.As4()) {
				t.Error("somebody known did not get in")
			}
		})
	}
	slices.Sort(took)
	tries := 0
	for i := range strangers {
		for in := false; !in && tries < 1000; tries++ {
			if in = visit([4]byte{127, 8, byte(i), 1}); !in {
				// At once would be what the budget of an address is against: who has had bad
				// luck a few times would use it up, and get in no more.
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
	stop()
	flood.Wait()
	t.Logf("%d hellos sent; %+v; served within %v, known ones connected within %v, %d strangers after %d tries", sent.Load(), h.Stats().HellosRefused, served, took[18], strangers, tries)
	if tries > 20*strangers {
		t.Errorf("%d strangers needed %d tries", strangers, tries)
	}
	if served > time.Second || took[18] > 2*time.Second {
		t.Errorf("visitors waited %v, known ones %v for a connection", served, took[18])
	}
}

// BenchmarkHello is what a hello costs that is refused, beside one that is answered
// and then left, and a whole handshake: processor time of the client as well.
func BenchmarkHello(b *testing.B) {
	a := newAuthority(b)
	certificate := a.issue(b, 1, soon(), "example.org")
	words := firstWords(b)
	var client *tls.Config
	raw := func(addr string) error {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetLinger(0)
		if _, err := c.Write(words); err != nil {
			return err
		}
		_, _ = io.ReadFull(c, make([]byte, 200))
		return nil
	}
	whole := func(addr string) error {
		c, err := tls.Dial("tcp", addr, client)
		if err != nil {
			return err
		}
		_ = c.NetConn().(*net.TCPConn).SetLinger(0)
		return c.NetConn().Close()
	}
	for _, k := range []struct {
		name   string
		action mitigation.Action
		do     func(addr string) error
	}{
		{"refused", mitigation.Refuse, raw}, {"answered", mitigation.Admit, raw}, {"whole", mitigation.Admit, whole},
	} {
		b.Run(k.name, func(b *testing.B) {
			client = &tls.Config{RootCAs: a.pool, ServerName: "example.org"}
			door := testDoor{greet: func(*traffic.Visit) mitigation.Verdict {
				return mitigation.Verdict{Action: k.action, Reason: mitigation.ReasonBan, Rank: mitigation.RankKnown}
			}}
			s := New(tlsConfig(certificate), door, noWatcher{}, http.HandlerFunc(benchRoom), clock.New(), slog.New(slog.DiscardHandler))
			if err := s.Listen(); err != nil {
				b.Fatal(err)
			}
			go func() { _ = s.Serve(b.Context()) }()
			defer s.Close()
			addr := s.Addrs()[1].String()
			b.ReportAllocs()
			before := processorTime()
			for b.Loop() {
				if err := k.do(addr); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
	b.Run("client-alone", func(b *testing.B) { // what of "refused" is the client's and the kernel's
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.(*net.TCPConn).SetLinger(0)
				_, _ = c.Read(make([]byte, 4096))
				_ = c.Close()
			}
		}()
		before := processorTime()
		for b.Loop() {
			if err := raw(l.Addr().String()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
	})
}

// processorTime is what this process used.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkJudge is what is done for each hello before the handshake, but for the
// door's word.
func BenchmarkJudge(b *testing.B) {
	cfg := tlsConfig()
	cfg.TLS.Handshakes.Rate = 1e9
	s := New(cfg, testDoor{}, noWatcher{}, http.HandlerFunc(benchRoom), clock.New(), slog.New(slog.DiscardHandler))
	c := &conn{s: s, from: netip.MustParseAddr("192.0.2.1")}
	var info *tls.ClientHelloInfo
	server := tls.Server(&pipeOf{words: firstWords(b)}, &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
		info = i
		return nil, errTurnedAway
	}})
	_ = server.Handshake()
	b.ReportAllocs()
	for b.Loop() {
		if _, why := c.judge(info); why >= 0 {
			b.Fatal(why)
		}
	}
}

// pipeOf is a client that says something and listens to nothing.
type pipeOf struct {
	net.Conn
	words []byte
}

func (p *pipeOf) Read(b []byte) (int, error) {
	n := copy(b, p.words)
	p.words = p.words[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
func (p *pipeOf) Write(b []byte) (int, error) { return len(b), nil }
