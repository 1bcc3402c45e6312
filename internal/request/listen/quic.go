package listen

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"seawall/internal/kit/gcra"
)

// protocol3 is HTTP/3 in ALPN.
const protocol3 = "h3"

// Bounds of QUIC. Who begins a connection may have made its address up, which is
// borne without asking as long as few do: each costs a handshake and some 50 KiB
// until it is given up. All others are told to come again and show that they can
// be answered (Retry, RFC 9000, section 8.1.2), which costs us no memory.
const (
	unprovenRate  = 100 // handshakes a second with addresses that are not proven
	unprovenBurst = 200
	mostUnproven  = 256 // of them under way; fewer where there is room for few connections
	idLength      = 8   // of our connection IDs, bytes

	packetWindow = 64 << 10 // what a client may send ahead on a stream
	quicWindow   = 3 * packetWindow
	uniStreams   = 8 // control, two of QPACK, and what we do not know

	purposeQUIC = 'q'
)

// quicPort is what HTTP/3 comes in by. Safe for concurrent use.
type quicPort struct {
	sockets      []*quicSocket // Server.mu guards it
	limit        gcra.Limit
	spent        atomic.Int64 // state of limit
	unproven     atomic.Int64 // handshakes under way with addresses not proven
	arriving     atomic.Int64 // handshakes under way
	clients      *tally       // those of one client, its address proven
	mostUnproven int64
	mostArriving int64
	mostOfClient int
	heads        largeHeads
	altSvc       []string // the field's value
}

// quicSocket is one address.
type quicSocket struct {
	conn      *net.UDPConn
	transport *quic.Transport
	listener  *quic.Listener
}

func newQUICPort(cfg Config) *quicPort {
	unproven, proven := min(mostUnproven, max(16, cfg.MaxConns/16)), max(64, cfg.MaxConns/16)
	return &quicPort{
		limit: gcra.New(unprovenRate, unprovenBurst), clients: newTally(),
		mostUnproven: int64(unproven), mostArriving: int64(unproven + proven), mostOfClient: proven / 8,
		heads: largeHeads{most: max(16, cfg.MaxConns/16)},
	}
}

// listenQUIC binds UDP where TLS is served by TCP. It needs mu.
func (s *Server) listenQUIC() error {
	own := s.tls.Clone()
	own.NextProtos, own.MinVersion, own.GetConfigForClient = []string{protocol3}, tls.VersionTLS13, s.helloQUIC
	if s.tickets != nil {
		s.tickets.configs = append(s.tickets.configs, own)
	}
	s.endQUIC() // what is left of a time before: see Leave
	s.quic.sockets = nil
	// While one process takes over from another both have a socket on the port. The
	// kernel lets only processes of the same user share it.
	lc := net.ListenConfig{Control: sharePort}
	for _, l := range s.listeners[len(s.cfg.Addresses):] {
		at, err := lc.ListenPacket(context.Background(), "udp", l.Addr().String())
		if err != nil {
			return fmt.Errorf("listen on %s by UDP, for HTTP/3: %w", l.Addr(), reason(err))
		}
		conn := at.(*net.UDPConn)
		q := &quicSocket{conn: conn, transport: s.newTransport(conn)}
		s.quic.sockets = append(s.quic.sockets, q)
		if q.listener, err = q.transport.Listen(own, s.quicConfig()); err != nil {
			return fmt.Errorf("listen on %s for HTTP/3: %w", l.Addr(), err)
		}
	}
	port := s.listeners[len(s.cfg.Addresses)].Addr().(*net.TCPAddr).Port
	s.quic.altSvc = []string{`h3=":` + strconv.Itoa(port) + `"; ma=86400`}
	return nil
}

func (s *Server) newTransport(conn *net.UDPConn) *quic.Transport {
	t := &quic.Transport{
		Conn: conn, ConnectionIDLength: idLength,
		VerifySourceAddress: s.mustProve, ConnContext: s.arrive,
	}
	if s.store.box != nil { // else keys of this process only
		reset, token := quic.StatelessResetKey(s.quicKey('r')), quic.TokenGeneratorKey(s.quicKey('t'))
		t.StatelessResetKey, t.TokenGeneratorKey = &reset, &token
	}
	return t
}

// quicKey is a key for one use that outlives a restart.
func (s *Server) quicKey(use byte) (k [32]byte) {
	for i := range byte(4) {
		binary.BigEndian.PutUint64(k[i*8:], s.store.box.Hash(purposeQUIC, []byte{use, i}))
	}
	return k
}

func (s *Server) quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           s.cfg.HeadTimeout / 2, // twice that in all
		MaxIdleTimeout:                 max(s.cfg.IdleTimeout, s.cfg.HeadTimeout, s.cfg.Grace),
		InitialStreamReceiveWindow:     packetWindow,
		MaxStreamReceiveWindow:         packetWindow,
		InitialConnectionReceiveWindow: quicWindow,
		MaxConnectionReceiveWindow:     quicWindow,
		MaxIncomingStreams:             mostStreams,
		MaxIncomingUniStreams:          uniStreams,
		// Or who takes requests back could have more than that being served.
		RequireStreamCreditRelease: true,
	}
}

// mustProve says whether who begins a connection, without a token that shows its
// address to be true, has to get one first.
func (s *Server) mustProve(net.Addr) bool {
	q := s.quic
	if q.unproven.Load() < q.mostUnproven && takeOne(&q.spent, q.limit, s.clk.Now()) {
		return false
	}
	s.count.retries.Add(1)
	return true
}

// acceptQUIC serves the connections that there is room for, until the listener is
// closed.
func (s *Server) acceptQUIC(l *quic.Listener) {
	for {
		q, err := l.Accept(context.Background())
		if err != nil {
			return // closed: nothing else ends it
		}
		if c := s.enrolQUIC(q); c != nil {
			s.running.Go(c.serve3)
			continue
		}
		s.running.Go(func() { _ = q.CloseWithError(quic.ApplicationErrorCode(0x107), "") })
	}
}

// enrolQUIC makes a conn of a connection whose handshake was made, or returns nil
// where the limits allow none.
func (s *Server) enrolQUIC(q *quic.Conn) *conn {
	a := arrivalOf(q.Context())
	if a == nil || s.draining.Load() || !a.stay() {
		return nil
	}
	state := q.ConnectionState().TLS
	c := &conn{
		s: s, peer: a.peer, from: a.peer, trusted: s.trusts(a.peer), https: true, greeted: true,
		accepted: s.coarse(), ja4: a.ja4, addr: q.RemoteAddr().String(), state: &state,
	}
	c.shakes.Store(true)
	c.h3 = newHTTP3(c, q, a)
	c.watch.Store(uint64(c.accepted+ms(s.cfg.HeadTimeout))<<8 | phaseNew)
	if !s.conns.add(c) {
		s.count.overAll.Add(1)
		return nil
	}
	s.count.handshakes.Add(1)
	return c
}

// closeQUIC stops accepting. It needs mu.
func (s *Server) closeQUIC() {
	if s.quic == nil {
		return
	}
	for _, q := range s.quic.sockets {
		if q.listener != nil {
			_ = q.listener.Close()
		}
	}
}

// endQUIC closes the sockets, when all connections are over. It needs mu.
func (s *Server) endQUIC() {
	if s.quic == nil {
		return
	}
	for _, q := range s.quic.sockets {
		_ = q.transport.Close()
		_ = q.conn.Close()
	}
}

// udpPeer is the address of the other end.
func udpPeer(a net.Addr) (netip.Addr, bool) {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return u.AddrPort().Addr().Unmap().WithZone(""), true
}

// computes is for how long a handshake holds its place at the gate: some more than
// what it takes to compute. When it waits for the client cannot be seen in QUIC.
const computes = time.Millisecond
