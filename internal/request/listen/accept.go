package listen

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"seawall/internal/kit/socket"
	"seawall/internal/traffic"
)

// accept serves the connections that there is room for, until the listener is
// closed: a lack of descriptors or memory passes.
func (s *Server) accept(l *net.TCPListener, https bool) {
	for {
		t, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.count.acceptFailed.Add(1)
			s.evict()
			time.Sleep(5 * time.Millisecond)
			continue
		}
		if c := s.enrol(t, https); c != nil {
			s.running.Go(c.serve)
			continue
		}
		_ = t.SetLinger(0)
		_ = t.Close()
	}
}

// enrol makes a conn, or returns nil where the limits allow none.
func (s *Server) enrol(t *net.TCPConn, https bool) *conn {
	remote, ok := t.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return nil
	}
	s.count.accepted.Add(1)
	peer := remote.AddrPort().Addr().Unmap().WithZone("")
	trusted := s.trusts(peer)
	if s.cfg.ProxyProtocol == ProxyRequired && !trusted {
		s.count.proxyMissing.Add(1)
		return nil
	}
	// Those being evicted hold their slots until their goroutines have woken.
	if s.conns.open()-int(s.leaving.Load()) >= s.cfg.MaxConns && s.evict() == 0 {
		s.count.overAll.Add(1)
		if !trusted {
			s.watch.Linked(peer, "", traffic.LinkTurned)
		}
		return nil
	}
	var held places
	if !trusted {
		if held, ok = s.takePlaces(peer); !ok {
			s.watch.Linked(peer, "", traffic.LinkTurned)
			return nil
		}
		s.watch.Linked(peer, "", traffic.LinkOpened)
	}
	sock, err := socket.New(t)
	if err != nil {
		s.givePlaces(held)
		return nil
	}
	c := &conn{s: s, peer: peer, port: remote.AddrPort().Port(), trusted: trusted, https: https, from: peer, held: held, accepted: s.coarse(), writeBudget: s.cfg.Grace}
	c.tcp.Store(sock)
	c.buf = c.small[:]
	c.greeted = s.cfg.ProxyProtocol == ProxyOff || s.cfg.ProxyProtocol == "" || !trusted
	if !s.conns.add(c) {
		s.givePlaces(held)
		s.count.overAll.Add(1)
		return nil
	}
	return c
}

// forget gives back the places of a connection that was closed, and its slot at
// last: whoever sees that free finds the places free as well.
func (s *Server) forget(c *conn) {
	s.givePlaces(c.held)
	s.conns.remove(c)
	if c.evicted.CompareAndSwap(true, false) {
		s.leaving.Add(-1)
	}
}

func (s *Server) trusts(a netip.Addr) bool {
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// errProxy ends a connection whose PROXY header is missing or malformed, or
// whose client has too many connections already.
var errProxy = errors.New("listen: connection ended by its PROXY header")

// greet reads the PROXY header that a trusted proxy sends before all else. LOCAL
// (and UNKNOWN) means that the proxy speaks for itself.
func (c *conn) greet() error {
	c.greeted = true
	if !c.enter(phaseNew, c.accepted+ms(c.s.cfg.HeadTimeout)) {
		return errProxy
	}
	// Version 1 must fit the buffer (107 bytes), and what is read beyond the
	// header must fit small.
	br := bufio.NewReaderSize(c.tcp.Load(), 512)
	h, err := proxyproto.Read(br)
	if !c.enter(phaseBusy, 0) {
		return errProxy
	}
	if errors.Is(err, proxyproto.ErrNoProxyProtocol) && c.s.cfg.ProxyProtocol == ProxyOptional {
		err = nil
	}
	if err != nil {
		c.s.count.proxyMalformed.Add(1)
		return errProxy
	}
	rest, _ := br.Peek(br.Buffered())
	c.w = copy(c.buf, rest)
	if h == nil || h.Command.IsLocal() {
		return nil
	}
	source, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok {
		return nil
	}
	c.from = source.AddrPort().Addr().Unmap().WithZone("")
	if c.s.trusts(c.from) {
		return nil
	}
	held, ok := c.s.takePlaces(c.from)
	if !ok {
		c.s.watch.Linked(c.from, "", traffic.LinkTurned)
		return errProxy
	}
	c.s.watch.Linked(c.from, "", traffic.LinkOpened)
	// Close may come from elsewhere at any time, and gives back what is held.
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.s.givePlaces(held)
		return errProxy
	}
	c.held = held
	return nil
}
