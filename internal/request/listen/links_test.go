package listen

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// TestLinks: what connections do is counted, and told with whose they are.
func TestLinks(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.HeadTimeout, c.Grace, c.MaxConns = 400*time.Millisecond, 400*time.Millisecond, 32
	h := start(t, c, testDoor{}, hello)
	home := netip.MustParseAddr("127.0.0.1")
	told := func(e traffic.LinkEvent, n int) {
		t.Helper()
		eventually(t, "who did it", func() bool { return len(h.watch.linked(e)) == n })
		if who := h.watch.linked(e)[0]; who != home {
			t.Errorf("it was %v", who)
		}
	}

	// Somebody who asks, and closes.
	visitor, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
	answer(t, br, "GET")
	if l := h.Links(); !l.Counted || l.Opened != 1 || l.Open != 1 || l.Most != 32 || l.Closed != 0 {
		t.Errorf("one visitor: %+v", l)
	}
	visitor.Close()
	eventually(t, "the visitor's connection closed", func() bool { return h.Links().Closed == 1 })

	// One that says nothing lags before it is closed, and was of no use.
	h.dial(t)
	eventually(t, "a silent connection", func() bool { return h.Links().Lagging[traffic.WaitSilent] == 1 })
	eventually(t, "its end", func() bool { l := h.Links(); return l.Unused == 1 && l.Slow[traffic.WaitSilent] == 1 })
	eventually(t, "none left", func() bool { return h.Links().Lagging[traffic.WaitSilent] == 0 })
	told(traffic.LinkUnused, 1)

	// One whose head does not end, and one whose body does not come.
	h.send(t, "GET / HTTP/1.1\r\n"+host+"X-A: ")
	eventually(t, "a slow head", func() bool { return h.Links().Lagging[traffic.WaitHead] == 1 })
	told(traffic.LinkSlow, 1)
	eventually(t, "its end", func() bool { return h.Links().Slow[traffic.WaitHead] == 1 })

	// Nonsense.
	h.send(t, "GET / HTTP/1.1\r\n"+host+"a b: c\r\n\r\n")
	eventually(t, "a malformed request", func() bool { return h.Links().Malformed == 1 })
	told(traffic.LinkOdd, 1)

	eventually(t, "all closed", func() bool { l := h.Links(); return l.Opened == 4 && l.Closed == 4 && l.Open == 0 })
	if l := h.Links(); l.Unused != 1 {
		t.Errorf("of no use were %d", l.Unused)
	}
	if n := len(h.watch.linked(traffic.LinkOpened)); n != 4 {
		t.Errorf("%d were told of as opened", n)
	}
}

// TestLagsInBodies: a body that does not come, and an answer that is not taken, are
// seen while the connection is open.
func TestLagsInBodies(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Grace = 4 * time.Second
	h := start(t, c, testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			_, _ = r.Body.Read(make([]byte, 10))
			return
		}
		_, _ = w.Write(make([]byte, 32<<20))
	})
	h.send(t, "POST / HTTP/1.1\r\n"+host+"Content-Length: 100\r\n\r\n")
	eventually(t, "a slow body", func() bool { return h.Links().Lagging[traffic.WaitBody] == 1 })
	reader, _ := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
	eventually(t, "an answer not taken", func() bool { return h.Links().Lagging[traffic.WaitTake] == 1 })
	reader.Close()
	eventually(t, "nobody told of twice", func() bool { return len(h.watch.linked(traffic.LinkSlow)) == 2 })
}

// TestTurnedAwayIsTold: so is who finds no place.
func TestTurnedAwayIsTold(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.MaxConnsPerClient = 1
	h := start(t, c, testDoor{}, hello)
	h.dial(t)
	eventually(t, "the first", func() bool { return h.Links().Opened == 1 })
	if second, err := net.Dial("tcp", h.addr); err == nil { // the reset may be quicker
		defer second.Close()
	}
	eventually(t, "the second", func() bool { return h.Links().Crowded == 1 })
	if n := len(h.watch.linked(traffic.LinkTurned)); n != 1 {
		t.Errorf("%d were told of", n)
	}
	if l := h.Links(); l.Open != 1 || l.Closed != 0 {
		t.Errorf("%+v", l)
	}
}

// TestGlitchesByName: what most points were spent for is what it is called.
func TestGlitchesByName(t *testing.T) {
	for _, c := range []struct {
		name string
		add  []oddity
		want traffic.Oddity
	}{
		{"resets", []oddity{glitchReset}, traffic.OddResets},
		{"provoked", []oddity{glitchStream, glitchReset}, traffic.OddStreams},
		{"settings and their acknowledgements", []oddity{glitchSettings, glitchAck}, traffic.OddSettings},
		{"pings", []oddity{glitchPing, glitchCrumb}, traffic.OddPings},
		{"blocks in pieces", []oddity{glitchMore, glitchFrame}, traffic.OddFields},
		{"windows", []oddity{glitchCrumb}, traffic.OddFrames},
	} {
		var g glitches
		n := 0
		for ; n < 5000; n++ {
			if g.add(c.add[n%len(c.add)], 1000) {
				break
			}
		}
		if n == 5000 || g.most() != c.want {
			t.Errorf("%s: after %d it is %v", c.name, n, g.most())
		}
	}
	// What was forgiven long ago is not named.
	var g glitches
	for range 100 {
		g.add(glitchSettings, 0)
	}
	g.add(glitchPing, 3_600_000)
	if g.most() != traffic.OddPings {
		t.Errorf("an hour later it is %v", g.most())
	}
}

// TestLinksByHTTPS: handshakes are counted when their hello was read, and those that
// come to nothing are told of.
func TestLinksByHTTPS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 1, soon(), "example.org"))
	cfg.HeadTimeout = time.Second
	h := start(t, cfg, testDoor{}, hello)

	fetch(t, h.handshake(t, a, "example.org"), "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
	if l := h.Links(); l.Handshakes.Begun != 1 || l.Handshakes.Made != 1 || l.Handshakes.Unmade(0) != 0 {
		t.Errorf("one visitor: %+v", l.Handshakes)
	}
	// Half-open: it lags, and its end is told.
	c, err := net.Dial("tcp", h.secure())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(firstWords(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a hello", func() bool { l := h.Links(); return l.Handshakes.Begun == 2 && l.Handshakes.Unmade(0) == 1 })
	eventually(t, "it lags", func() bool { return h.Links().Lagging[traffic.WaitShake] == 1 })
	eventually(t, "its end", func() bool { return len(h.watch.linked(traffic.LinkUnmade)) == 1 })
	// Made, and nothing asked.
	h.handshake(t, a, "example.org").Close()
	eventually(t, "a handshake for nothing", func() bool { return h.Links().Handshakes.Unused == 1 })
	if n := len(h.watch.linked(traffic.LinkBegun)); n != 3 {
		t.Errorf("%d were told of as begun", n)
	}
	// No hello at all is a connection of no use, and no handshake.
	if d, err := net.Dial("tcp", h.secure()); err == nil {
		d.Close()
	}
	eventually(t, "a connection of no use", func() bool { return h.Links().Unused == 1 })
	if l := h.Links(); l.Handshakes.Begun != 3 || l.Handshakes.Unused != 1 {
		t.Errorf("in the end %+v", l)
	}
}

// BenchmarkSweep looks at all places, each taken by a connection that waits for its
// next request.
func BenchmarkSweep(b *testing.B) {
	b.ReportAllocs()
	s := New(testConfig(), testDoor{}, noWatcher{}, nil, clock.New(), slog.New(slog.DiscardHandler))
	for range s.cfg.MaxConns {
		c := &conn{s: s}
		c.watch.Store(uint64(s.coarse()+3_600_000)<<8 | phaseIdle)
		s.conns.add(c)
	}
	for b.Loop() {
		s.sweep()
	}
}
