package listen

import (
	"context"
	"crypto/tls"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"seawall/internal/kit/ja4"
	"seawall/internal/traffic"
)

// arrival is a connection of QUIC from its first packet on. It holds the places
// that it is counted for until the connection is over.
type arrival struct {
	s      *Server
	peer   netip.Addr
	proven bool   // a token shows that the address is true
	ja4    string // set by the handshake

	mu     sync.Mutex   // guards the following
	greets bool         // the handshake is under way
	begun  bool         // its ClientHello was read
	gone   bool         // the connection is over
	mute   bool         // it was turned away by its hello
	client netip.Prefix // for which the handshake is counted; none
	held   places
}

// arrivalKey is where a connection's context has its arrival: crypto/tls and
// quic-go offer no other way from a ClientHello to its connection.
type arrivalKey struct{}

func arrivalOf(ctx context.Context) *arrival {
	a, _ := ctx.Value(arrivalKey{}).(*arrival)
	return a
}

// arrive is called for the first packet of a connection, by the one goroutine of
// its socket: it must not wait. An error refuses the connection.
func (s *Server) arrive(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	peer, ok := udpPeer(info.RemoteAddr)
	if !ok || s.draining.Load() {
		return nil, errTurnedAway
	}
	a := &arrival{s: s, peer: peer, proven: info.AddrVerified, greets: true}
	if s.quic.arriving.Load() >= s.quic.mostArriving {
		s.count.overAll.Add(1)
		return nil, errTurnedAway
	}
	if a.proven && !a.begin() {
		return nil, errTurnedAway
	}
	s.quic.arriving.Add(1)
	if !a.proven {
		s.quic.unproven.Add(1)
	}
	context.AfterFunc(ctx, a.leave)
	return context.WithValue(ctx, arrivalKey{}, a), nil
}

// begin counts a handshake and its connection for its client: one that leaves many
// half-open is not to take the places of all others. False where there is no room.
func (a *arrival) begin() bool {
	q := a.s.quic
	if client := traffic.PrefixOf(a.peer, traffic.LevelClient); client.IsValid() && !a.s.trusts(a.peer) {
		if !q.clients.take(client, q.mostOfClient) {
			a.s.count.overClient.Add(1)
			return false
		}
		a.client = client
	}
	if a.place() {
		return true
	}
	if a.client.IsValid() {
		q.clients.give(a.client)
	}
	return false
}

// place counts the connection for its client, whose address is known to be true.
// False where there is no room.
func (a *arrival) place() bool {
	s := a.s
	s.count.accepted.Add(1)
	if s.conns.open()-int(s.leaving.Load()) >= s.cfg.MaxConns && s.evict() == 0 {
		s.count.overAll.Add(1)
		return false
	}
	if s.trusts(a.peer) {
		return true
	}
	held, ok := s.takePlaces(a.peer)
	if !ok {
		s.watch.Linked(a.peer, "", traffic.LinkTurned)
		return false
	}
	s.watch.Linked(a.peer, "", traffic.LinkOpened)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone {
		s.givePlaces(held)
		return false
	}
	a.held = held
	return true
}

// stay notes that the handshake was made, which proves the address. False where
// there is no room for the connection.
func (a *arrival) stay() bool {
	a.mu.Lock()
	a.greeted()
	gone := a.gone
	a.mu.Unlock()
	return !gone && (a.proven || a.place())
}

// greeted ends the handshake's count. It needs mu.
func (a *arrival) greeted() {
	if !a.greets {
		return
	}
	a.greets = false
	a.s.quic.arriving.Add(-1)
	if a.client.IsValid() {
		a.s.quic.clients.give(a.client)
	}
	if !a.proven {
		a.s.quic.unproven.Add(-1)
	}
}

// leave is called when the connection is over, or its handshake has failed.
func (a *arrival) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.greets && !a.mute {
		a.s.count.handshakesFailed.Add(1)
	}
	if a.greets && a.begun && a.known() {
		a.s.watch.Linked(a.peer, "", traffic.LinkUnmade)
	}
	a.greeted()
	a.gone = true
	a.s.givePlaces(a.held)
	a.held = places{}
}

// helloQUIC is what hello is for TCP. Who is turned away gets an alert: QUIC has no
// way to say less.
func (s *Server) helloQUIC(info *tls.ClientHelloInfo) (*tls.Config, error) {
	a := arrivalOf(info.Context())
	if a == nil {
		return nil, errTurnedAway
	}
	class, why := a.judge(info)
	a.hello()
	if why < 0 && !s.greeter.gate.enter(class, s.coarse()) {
		why = helloBusy
	}
	if why >= 0 {
		s.count.hellos[why].Add(1)
		a.mu.Lock()
		a.mute = true
		a.mu.Unlock()
		return nil, errTurnedAway
	}
	time.AfterFunc(computes, func() { s.greeter.gate.leave(class) })
	return nil, nil
}

// hello notes that a ClientHello was read.
func (a *arrival) hello() {
	a.s.count.begun.Add(1)
	a.mu.Lock()
	a.begun = true
	a.mu.Unlock()
	if a.known() {
		a.s.watch.Linked(a.peer, a.ja4, traffic.LinkBegun)
	}
}

// known says that it is a client's address, and a true one.
func (a *arrival) known() bool { return a.proven && !a.s.trusts(a.peer) }

// judge is what conn.judge is for TCP. The door is not asked about an address that
// may be made up, or somebody could have others banned: it is when the handshake
// was made.
func (a *arrival) judge(info *tls.ClientHelloInfo) (class, why int) {
	print, err := ja4.OfInfo(info, ja4.QUIC)
	if err != nil {
		return 0, helloTooMuch
	}
	a.ja4 = print.String()
	switch {
	case !a.proven:
		return gateStranger, -1
	case a.s.trusts(a.peer):
		return gateKnown, -1
	}
	return a.ask()
}

// ask asks the door about the connection, and charges its handshake.
func (a *arrival) ask() (class, why int) {
	s := a.s
	v, _ := s.greetings.Get().(*traffic.Visit)
	if v == nil {
		v = new(traffic.Visit)
	}
	*v = traffic.Visit{At: s.clk.Now(), Peer: a.peer, Client: a.peer, JA4: a.ja4, Secure: true}
	class, why = s.greet(v)
	*v = traffic.Visit{}
	s.greetings.Put(v)
	return class, why
}

// welcome is the asking that was left for later. False: the client is not wanted.
func (a *arrival) welcome() bool {
	if a.proven || a.s.trusts(a.peer) {
		return true
	}
	if _, why := a.ask(); why >= 0 {
		a.s.count.hellos[why].Add(1)
		return false
	}
	return true
}
