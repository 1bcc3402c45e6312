package listen

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/sealed"
)

// HTTP/3 is had where HTTPS is, and where addresses mean something.
func TestHTTP3Settings(t *testing.T) {
	c := DefaultConfig()
	c.TLS.HTTP3 = true
	if l := c.Validate(); len(l) != 1 || l[0].Key != "tls.http3" {
		t.Errorf("without HTTPS: %v", l)
	}
	a := newAuthority(t)
	c = tlsConfig(a.issue(t, 2, soon(), "example.org"))
	c.TLS.HTTP3, c.ProxyProtocol = true, ProxyRequired
	c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix("192.0.2.0/24"))
	if l := c.Validate(); len(l) != 1 || l[0].Key != "tls.http3" {
		t.Errorf("with a PROXY header before everything: %v", l)
	}
}

// A UDP port that somebody else has is an error, which leaves nothing bound.
func TestQUICPortTaken(t *testing.T) {
	a := newAuthority(t)
	var taken *net.UDPConn
	eventually(t, "a port that is free for TCP as well", func() bool {
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", u.LocalAddr().String())
		if err != nil {
			_ = u.Close()
			return false
		}
		_ = l.Close()
		taken = u
		return true
	})
	defer taken.Close()
	cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
	cfg.TLS.HTTP3, cfg.TLS.Addresses = true, []string{taken.LocalAddr().String()}
	s := New(cfg, testDoor{}, &testWatcher{}, http.HandlerFunc(hello), clock.New(), slog.New(slog.DiscardHandler))
	defer s.Close()
	if err := s.Listen(); err == nil || !strings.Contains(err.Error(), "another program") || !strings.Contains(err.Error(), "HTTP/3") {
		t.Errorf("the error: %v", err)
	}
	l, err := net.Listen("tcp", taken.LocalAddr().String())
	if err != nil {
		t.Fatalf("the port for TCP stays bound: %v", err)
	}
	_ = l.Close()
}

// Who comes back resumes the session of TLS, tokens and resets are known after a
// restart, and a server that is closed leaves nothing running.
func TestQUICComeBack(t *testing.T) {
	before := runtime.NumGoroutine()
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
	cfg.TLS.HTTP3 = true
	box, dir, cache := sealed.New(), t.TempDir(), tls.NewLRUClientSessionCache(4)
	tokens := quic.NewLRUTokenStore(4, 4)
	var keys [2][32]byte
	for i := range keys {
		s := New(cfg, testDoor{}, &testWatcher{}, http.HandlerFunc(hello), clock.New(), slog.New(slog.DiscardHandler))
		s.Keep(dir, box)
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Serve(t.Context()) }()
		if i == 1 {
			s.quic.unproven.Add(s.quic.mostUnproven) // as in a flood
		}
		q, err := quic.DialAddr(t.Context(), s.Addrs()[1].String(),
			&tls.Config{RootCAs: a.pool, ServerName: "example.org", NextProtos: []string{"h3"}, ClientSessionCache: cache}, &quic.Config{TokenStore: tokens})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the connection", func() bool { return s.Stats().Open == 1 })
		st, err := q.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = st.Write(get3())
		_ = st.Close()
		_, _ = st.Read(make([]byte, 1)) // by then ticket and token are there
		if resumed := q.ConnectionState().TLS.DidResume; resumed != (i == 1) {
			t.Errorf("connection %d: resumed %v", i, resumed)
		}
		if n := s.Stats().Retries; n != 0 {
			t.Errorf("%d packets of who has a token are sent back", n)
		}
		keys[i] = s.quicKey('r')
		_ = q.CloseWithError(0x100, "")
		s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s.quic.arriving.Load() != 0 {
			t.Error("a connection is still counted")
		}
	}
	if keys[0] != keys[1] || keys[0] == [32]byte{} {
		t.Error("the keys are others after a restart")
	}
	eventually(t, "all goroutines' end", func() bool { return runtime.NumGoroutine() <= before })
}

// One client cannot leave so many handshakes half-open that others find no room.
func TestQUICHalfOpen(t *testing.T) {
	h, _ := quicHouse(t, hello)
	ctx, cancel := context.WithCancel(t.Context())
	arrive := func(from string, proven bool) bool {
		_, err := h.arrive(ctx, &quic.ClientInfo{RemoteAddr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from)), AddrVerified: proven})
		return err == nil
	}
	n := 0
	for arrive("192.0.2.1:1", true) {
		n++
	}
	if n != h.quic.mostOfClient || !arrive("198.51.100.1:1", true) || !arrive("192.0.2.1:1", false) {
		t.Errorf("one client has %d handshakes under way", n)
	}
	if st := h.Stats(); st.OverClient != 1 || st.Accepted != uint64(n)+1 {
		t.Errorf("%+v", st)
	}
	cancel()
	eventually(t, "their end", func() bool { return h.quic.arriving.Load() == 0 && h.quic.unproven.Load() == 0 })
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	if !arrive("192.0.2.1:1", true) {
		t.Error("the places are not given back")
	}
}
