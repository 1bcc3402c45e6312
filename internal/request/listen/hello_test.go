package listen

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// firstWords returns what a client of TLS 1.3 sends first.
func firstWords(t testing.TB, change ...func(*tls.Config)) []byte {
	t.Helper()
	cfg := &tls.Config{ServerName: "example.org"}
	for _, do := range change {
		do(cfg)
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() { _ = tls.Client(theirs, cfg).Handshake(); theirs.Close() }()
	b := make([]byte, 16<<10)
	n, err := io.ReadAtLeast(ours, b, 5)
	if err != nil {
		t.Fatal(err)
	}
	for want := 5 + int(b[3])<<8 + int(b[4]); n < want; {
		more, err := ours.Read(b[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += more
	}
	return b[:n]
}

// cutOff says whether a connection ends with no answer, by a reset.
func cutOff(t testing.TB, addr string, say []byte) bool {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write(say); err != nil {
		t.Fatal(err)
	}
	n, err := c.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, syscall.ECONNRESET)
}

func TestVisitsHaveJA4(t *testing.T) {
	a := newAuthority(t)
	h := start(t, tlsConfig(a.issue(t, 1, soon(), "example.org")), testDoor{}, hello)
	c := h.handshake(t, a, "example.org")
	fetch(t, c, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
	fetch(t, c, "GET / HTTP/1.0\r\nHost: example.org\r\n\r\n")
	h.watch.wait(t, 2) // a visit is recorded after its answer, and may be after another connection's
	clear := h.dial(t)
	fetch(t, clear, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
	list := h.watch.wait(t, 3)
	first, second, third := list[0].visit, list[1].visit, list[2].visit
	if !strings.HasPrefix(first.JA4, "t13d13") || len(first.JA4) != 36 || first.JA4 != second.JA4 || third.JA4 != "" {
		t.Errorf("fingerprints %q, %q; in clear text %q", first.JA4, second.JA4, third.JA4)
	}
	if first.HTTP != traffic.HTTP11 || second.HTTP != traffic.HTTP10 || third.HTTP != traffic.HTTP11 {
		t.Errorf("versions %s, %s, %s", first.HTTP, second.HTTP, third.HTTP)
	}
}

func TestHelloNotWanted(t *testing.T) {
	a := newAuthority(t)
	var asked atomic.Pointer[traffic.Visit]
	var say atomic.Pointer[mitigation.Verdict]
	door := testDoor{greet: func(v *traffic.Visit) mitigation.Verdict {
		kept := *v
		asked.Store(&kept)
		if d := say.Load(); d != nil {
			return *d
		}
		panic("door")
	}}
	h := start(t, tlsConfig(a.issue(t, 1, soon(), "example.org")), door, hello)
	words := firstWords(t)
	for _, c := range []struct {
		verdict mitigation.Verdict
		reason  string
	}{
		{mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonBan, ID: 3}, "ban"},
		{mitigation.Verdict{Action: mitigation.Drop, Reason: mitigation.ReasonMitigation, ID: 4}, "mitigation"},
	} {
		say.Store(&c.verdict)
		if !cutOff(t, h.secure(), words) {
			t.Errorf("%s: there was an answer", c.reason)
		}
		if n := h.Stats().HellosRefused[c.reason]; n != 1 {
			t.Errorf("%s: counted %d", c.reason, n)
		}
		last := h.watch.lastTurned()
		if last.verdict != c.verdict || last.visit.JA4 != asked.Load().JA4 {
			t.Errorf("the watcher heard of %+v", last)
		}
	}
	if v := asked.Load(); v.Peer.String() != "127.0.0.1" || v.Client != v.Peer || !v.Secure || v.At == 0 || len(v.JA4) != 36 {
		t.Errorf("the door was asked about %+v", v)
	}
	if st := h.Stats(); st.Handshakes+st.HandshakesLost != 0 {
		t.Errorf("%d handshakes made, %d lost", st.Handshakes, st.HandshakesLost)
	}
	// Certificate validation by TLS is not turned away.
	if cutOff(t, h.secure(), firstWords(t, func(c *tls.Config) { c.NextProtos = []string{acmeProtocol} })) {
		t.Error("a certificate authority was turned away")
	}
	if !cutOff(t, h.secure(), firstWords(t, func(c *tls.Config) { c.NextProtos = []string{acmeProtocol, "h2"} })) {
		t.Error("it is enough to name the protocol of certificate authorities beside another")
	}
	say.Store(nil)
	h.handshake(t, a, "example.org") // the door panics: it is let in
	if st := h.Stats(); st.Panics == 0 {
		t.Error("the panic was not counted")
	}
}

func (w *testWatcher) lastTurned() seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.turned) == 0 {
		return seen{}
	}
	return w.turned[len(w.turned)-1]
}

// budgetDoor counts whom listen turned away, and knows some.
type budgetDoor struct {
	testDoor
	turned *atomic.Int32
}

func (d budgetDoor) TurnedAway(*traffic.Visit) { d.turned.Add(1) }

func TestHandshakeBudget(t *testing.T) {
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 1, soon(), "example.org"))
	cfg.TLS.Handshakes = Handshakes{Rate: 0.1, Burst: 3, TimesNetwork: 2}
	cfg.TrustedProxies, cfg.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, ProxyOptional
	door := budgetDoor{testDoor{greet: func(v *traffic.Visit) mitigation.Verdict {
		switch v.Client.String() {
		case "192.0.2.1":
			return mitigation.Verdict{Rank: mitigation.RankProven}
		case "192.0.2.2":
			return mitigation.Verdict{Rank: mitigation.RankKnown}
		}
		return mitigation.Verdict{Rank: mitigation.RankNewcomer}
	}}, new(atomic.Int32)}
	h := start(t, cfg, door, hello)
	words := firstWords(t)
	passed := func(client string, n int) (in int) {
		say := words
		if client != "" {
			say = append([]byte(fmt.Sprintf("PROXY TCP4 %s 127.0.0.1 4000 443\r\n", client)), words...)
		}
		for range n {
			if !cutOff(t, h.secure(), say) {
				in++
			}
		}
		return in
	}
	for _, c := range []struct {
		client string
		want   int
	}{
		{"198.51.100.1", 3}, {"198.51.100.2", 3}, {"198.51.100.3", 0}, // the /24 has six
		{"203.0.113.1", 3},
		{"192.0.2.1", 24}, // people are behind it
		{"192.0.2.2", 30}, // it is allowed
		{"127.0.0.9", 30}, // the proxy speaks for itself
		{"", 30},          // or for whom it does not say
	} {
		if got := passed(c.client, 30); got != c.want {
			t.Errorf("%q: %d of 30 passed, want %d", c.client, got, c.want)
		}
	}
	// Who is refused for the network's sake is charged for its own.
	st, want := h.Stats().HellosRefused, uint64(4*27+6)
	if st["client"] != want || st["network"] != 3 || uint64(door.turned.Load()) != want {
		t.Errorf("counted %v, the door heard of %d", st, door.turned.Load())
	}
}

// TestHelloTooLong: nobody honest offers so much, and it is not worked on.
func TestHelloTooLong(t *testing.T) {
	a := newAuthority(t)
	h := start(t, tlsConfig(a.issue(t, 1, soon(), "example.org")), testDoor{}, hello)
	words := firstWords(t)
	msg := append([]byte(nil), words[5:]...)
	at := 4 + 2 + 32 + 1 + int(msg[4+2+32])
	old := 2 + int(msg[at])<<8 + int(msg[at+1])
	suites := make([]byte, 2, 2+2*600)
	for i := range 600 {
		suites = append(suites, 0xe0+byte(i>>8), byte(i))
	}
	suites[0], suites[1] = 1200>>8, 1200&0xff
	long := append(append(append([]byte(nil), msg[:at]...), suites...), msg[at+old:]...)
	n := len(long) - 4
	long[1], long[2], long[3] = byte(n>>16), byte(n>>8), byte(n)
	if !cutOff(t, h.secure(), append([]byte{22, 3, 1, byte(len(long) >> 8), byte(len(long))}, long...)) {
		t.Error("there was an answer")
	}
	if got := h.Stats().HellosRefused["malformed"]; got != 1 {
		t.Errorf("counted %d", got)
	}
}

// TestHalfOpenHandshakes: whoever does not go on keeps nobody from it.
func TestHalfOpenHandshakes(t *testing.T) {
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 1, soon(), "example.org"))
	cfg.TLS.Handshakes.AtOnce = 1
	h := start(t, cfg, testDoor{}, hello)
	for i := range 60 {
		words := firstWords(t, func(c *tls.Config) {
			if i%2 == 0 {
				c.MaxVersion = tls.VersionTLS12
			}
		})
		c, err := net.Dial("tcp", h.secure())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write(words)
	}
	for range 5 {
		fetch(t, h.handshake(t, a, "example.org"), "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
		again := func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521, tls.X25519} } // asked for the other one
		fetch(t, h.handshake(t, a, "example.org", again), "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
		fetch(t, h.handshake(t, a, "example.org", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
	}
	eventually(t, "all places to be free", func() bool {
		h.greeter.gate.mu.Lock()
		defer h.greeter.gate.mu.Unlock()
		return h.greeter.gate.free == 2 && h.greeter.gate.strangers == 0
	})
}
