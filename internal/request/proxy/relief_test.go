package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// Who is stuck gives way to known and proven visitors, first come first, no more of
// them than there are visitors in line, and not to others.
func TestStuckGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(4, 1, 10, clock.New())
		slots := make([]Slot, 4)
		told := []int{}
		for i := range slots {
			if _, err := g.Acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &slots[i]); err != nil {
				t.Fatal(err)
			}
		}
		stuck := func(i int) { slots[i].Stuck(func() { told = append(told, i) }) }
		come := func(rank mitigation.Rank) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				var s Slot
				_, _ = g.Acquire(ctx, rank, netip.Addr{}, &s)
				time.Sleep(time.Second)
				s.Release()
			}()
			synctest.Wait()
			return cancel
		}
		see := func(when string, want ...int) {
			t.Helper()
			if synctest.Wait(); !slices.Equal(told, want) {
				t.Errorf("%s: %v were told to give way, want %v", when, told, want)
			}
		}
		stuck(2)
		stuck(0)
		stuck(1)
		come(mitigation.RankNewcomer)
		see("a newcomer comes")
		slots[0].Moves()
		stuck(3)
		leave := come(mitigation.RankKnown)
		see("a known visitor comes", 2)
		come(mitigation.RankProven)
		see("a proven one comes", 2, 1)
		leave()
		stuck(0)
		see("the known one has left", 2, 1)
		come(mitigation.RankKnown)
		see("there are two again", 2, 1)
		come(mitigation.RankKnown)
		see("there are three", 2, 1, 3)
		for i := range slots {
			slots[i].Release()
			slots[i].Release()
		}
		see("all are over", 2, 1, 3)
		time.Sleep(time.Minute)
		if s := g.Gauges(); s.InFlight != 0 || s.Waiting != 0 || g.stuck.oldest != nil || g.stuck.newest != nil || g.stuck.leaving != 0 {
			t.Errorf("left over: %+v %+v", s, g.stuck)
		}
	})
}

// The ranks that others give way to never do themselves; nor does who has become a
// stream meanwhile, or is over.
func TestWhoDoesNotGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(2, 4, 10, clock.New())
		var known, newcomer, s Slot
		_, _ = g.Acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &newcomer)
		_, _ = g.Acquire(t.Context(), mitigation.RankKnown, netip.Addr{}, &known)
		no := func() { t.Error("was told to give way") }
		known.Stuck(no)
		newcomer.Stuck(no)
		newcomer.Stream()
		_, _ = g.Acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &s)
		s.Stuck(no)
		s.Release()
		s.Stuck(no)
		_, _ = g.Acquire(t.Context(), mitigation.RankKnown, netip.Addr{}, &s)
		if _, err := g.Acquire(t.Context(), mitigation.RankKnown, netip.Addr{}, new(Slot)); err != errFull {
			t.Error(err)
		}
	})
}

// A known visitor is served at once where strangers who read or send slowly have all
// places and all streams; one of them is cut off for it, the others go on.
func TestKnownVisitorsPassSlowClients(t *testing.T) {
	origin := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			w.Header().Set("Content-Length", "30000000")
			_, _ = w.Write(make([]byte, 30_000_000))
		case "/upload":
			_, _ = io.Copy(io.Discard, r.Body)
		}
	})
	for _, request := range []string{
		"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\nx",
	} {
		t.Run(request[:4], func(t *testing.T) {
			const places = 4
			cfg := testConfig(origin.URL)
			cfg.MaxInFlight, cfg.MaxStreams = places, 1
			h := newHouse(t, cfg)
			h.longLived, h.slowClient = time.Hour, 20*time.Millisecond
			var conns []net.Conn
			for range places {
				conn, _ := dialHouse(t, h.addr)
				_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
				_, _ = fmt.Fprint(conn, request)
				conns = append(conns, conn)
			}
			// Each takes a turn with what it has: the stuck are those that could not.
			eventually(t, "all places taken", func() bool { return h.gate.Gauges().InFlight == places })
			time.Sleep(100 * time.Millisecond)
			ask, _ := http.NewRequest("GET", "http://"+h.addr, nil)
			ask.Header.Set("Test-Rank", "known")
			began := time.Now()
			res, err := http.DefaultClient.Do(ask)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if took := time.Since(began); res.StatusCode != 200 || took > 3*time.Second {
				t.Errorf("%d after %v", res.StatusCode, took)
			}
			eventually(t, "the end of one", func() bool { return h.gate.Gauges().InFlight == places-1 })
			_ = h.last(t, 2)
			for _, c := range conns {
				_ = c.Close()
			}
		})
	}
}

// Known visitors do not wait for what the origin may still do for clients that left;
// others do, and places are given back when that time is over.
func TestKnownVisitorsPassWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(2, 4, 10, clock.New())
		var a, b, s Slot
		_, _ = g.Acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &a)
		_, _ = g.Acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &b)
		waits := make(chan time.Duration, 1)
		go func() { // one of them is in line already when it happens
			var s Slot
			took, _ := g.Acquire(t.Context(), mitigation.RankKnown, netip.Addr{}, &s)
			waits <- took
			s.Release()
		}()
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		a.Left(2 * time.Second)
		b.Left(2 * time.Second)
		if took := <-waits; took != 100*time.Millisecond {
			t.Errorf("who was in line waited for %v", took)
		}
		if took, err := g.Acquire(t.Context(), mitigation.RankKnown, netip.Addr{}, &s); took != 0 || err != nil {
			t.Errorf("who came then waited for %v: %v", took, err)
		}
		s.Release()
		if took, err := g.Acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &s); took != 2*time.Second || err != nil {
			t.Errorf("a newcomer waited for %v: %v", took, err)
		}
		s.Release()
		time.Sleep(time.Second)
		if s := g.Gauges(); s.InFlight != 0 || g.left != 0 || g.low != 0 {
			t.Errorf("left over: %+v, %d", s, g.left)
		}
	})
}

// shut is a client's side that takes nothing, not even the head of an answer, until
// it is told to end.
type shut struct {
	http.ResponseWriter
	told chan struct{}
}

func (s *shut) WriteHeader(int)                 { <-s.told }
func (s *shut) Write([]byte) (int, error)       { <-s.told; return 0, errClientGone }
func (s *shut) SetReadDeadline(time.Time) error { return nil }
func (s *shut) SetWriteDeadline(at time.Time) error {
	if !at.IsZero() && at.Before(time.Now()) {
		close(s.told)
	}
	return nil
}

// Where the head of an answer waits for the client, that is no place at the origin
// either: it becomes a stream, and where there are too many it gives way.
func TestHeadThatNobodyTakes(t *testing.T) {
	for _, streams := range []int{4, 1} {
		cfg := testConfig(site(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }).URL)
		cfg.MaxInFlight, cfg.MaxStreams = 1, streams
		h := newHouse(t, cfg)
		h.slowClient = 20 * time.Millisecond
		w := &shut{httptest.NewRecorder(), make(chan struct{})}
		r := httptest.NewRequest("GET", "http://a/", nil)
		r.ProtoMajor, r.ProtoMinor, r.Proto = 2, 0, "HTTP/2.0"
		over := make(chan struct{})
		go func() {
			defer close(over)
			defer func() { _ = recover() }() // it is cut off
			h.ServeHTTP(w, r)
		}()
		if streams == 4 {
			eventually(t, "a stream", func() bool { g := h.gate.Gauges(); return g.InFlight == 0 && g.Streams == 1 })
			close(w.told)
			<-over
			continue
		}
		eventually(t, "who is stuck", func() bool {
			h.gate.mu.Lock()
			defer h.gate.mu.Unlock()
			return h.gate.stuck.oldest != nil
		})
		ask, _ := http.NewRequest("GET", "http://"+h.addr, nil)
		ask.Header.Set("Test-Rank", "known")
		res, err := http.DefaultClient.Do(ask)
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != 200 {
			t.Errorf("a known visitor got %d", res.StatusCode)
		}
		<-over
	}
}

// Who was told to give way and has left by then counts once among those to be passed.
func TestLeavingAndLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1, 1, 10, clock.New())
		var low, good Slot
		_, _ = g.Acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &low)
		waits := make(chan error)
		go func() {
			_, err := g.Acquire(t.Context(), mitigation.RankKnown, netip.Addr{}, &good)
			waits <- err
		}()
		synctest.Wait()
		low.Stuck(func() {})
		low.Left(time.Second)
		if err := <-waits; err != nil {
			t.Error(err)
		}
		see := func(left, inFlight int) {
			t.Helper()
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.stuck.leaving != 0 || g.left != left || g.inFlight != inFlight {
				t.Errorf("%d are to leave, %d have left of %d", g.stuck.leaving, g.left, g.inFlight)
			}
		}
		see(1, 2)
		good.Release()
		time.Sleep(2 * time.Second)
		see(0, 0)
	})
}

// Who has a place by rank while there may be no more streams becomes one when there may.
func TestSlowByRankTriesAgain(t *testing.T) {
	p := newHouse(t, testConfig("http://127.0.0.1:1")).Proxy
	p.slowClient = time.Millisecond
	p.gate = NewGate(4, 1, 10, p.clk)
	var other Slot
	_, _ = p.gate.Acquire(t.Context(), mitigation.RankKnown, netip.Addr{}, &other)
	if !other.Stream() || other.InFlight() {
		t.Fatal("no stream")
	}
	x := &exchange{p: p}
	_, _ = p.gate.Acquire(t.Context(), mitigation.RankProven, netip.Addr{}, &x.slot)
	wait := func() {
		x.reader.begin(x)
		time.Sleep(20 * time.Millisecond)
		x.reader.end(x)
	}
	wait()
	other.Release()
	wait()
	if g := p.gate.Gauges(); g.InFlight != 0 || g.Streams != 1 {
		t.Errorf("%+v", g)
	}
	x.slot.Release()
}
