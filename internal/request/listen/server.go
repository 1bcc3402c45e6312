package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Door decides on visits. Its methods are called from many goroutines at once.
type Door interface {
	// Identify fills what listen cannot know of a visit.
	Identify(v *traffic.Visit, h traffic.Headers)
	// Decide is called exactly once per visit.
	Decide(v *traffic.Visit) mitigation.Verdict
	// Refuse makes the answer for whoever is not let in. The body is written to
	// buf, which belongs to the connection and may be replaced by a larger one.
	Refuse(buf []byte, v *traffic.Visit, d mitigation.Verdict, h traffic.Headers) mitigation.Answer

	Greeter
}

// Watcher is told of every visit when it is over, of connections that were turned
// away before their handshake, and of what connections did besides visits. It must
// not keep v, and not wait.
type Watcher interface {
	Record(v *traffic.Visit, d mitigation.Verdict, o traffic.Outcome)
	TurnedAway(v *traffic.Visit, d mitigation.Verdict)
	// Linked is told what a connection did, a few times in its life at most. from is
	// its client, or an address in its client's prefix; ja4 is "" unless it has just
	// begun a handshake.
	Linked(from netip.Addr, ja4 string, e traffic.LinkEvent)
}

// Server is the room. Make it with New, then Listen, Serve, Drain.
type Server struct {
	cfg   Config
	door  Door
	watch Watcher
	rooms http.Handler
	road  Road // rooms, where they are one; else nil
	clk   *clock.Clock
	log   *slog.Logger

	certs      *certs
	tls        *tls.Config // nil: HTTPS is not served
	store      store
	tickets    *tickets
	hsts       []string // the field's value; nil: none
	securePort string
	quic       *quicPort // nil: HTTP/3 is not served
	greeter    *greeter  // as tls
	greetings  sync.Pool // of *traffic.Visit

	mu        sync.Mutex         // guards listeners and state
	listeners []*net.TCPListener // those of HTTPS are the last
	bound     []*net.TCPListener // those of them that did not come with the process
	inherited func(address string) *net.TCPListener
	serving   sync.WaitGroup // accepting
	running   sync.WaitGroup // connections, and lots
	sweeper   sync.WaitGroup
	sweeping  bool
	shut      bool

	conns      *registry
	clients    *tally
	networks   *tally
	exchanges  sync.Pool
	lots       []*lot       // made by Serve
	again      atomic.Int64 // heads that are kept, see again.go
	mostAgain  int64
	scratches  sync.Pool
	outs       sync.Pool    // of *[]byte: what HTTP/2 is to send
	streams    atomic.Int64 // requests of HTTP/2 under way
	unread     atomic.Int64 // bytes of bodies of HTTP/2 that no room has read yet
	mostUnread int64
	buffers    sync.Pool    // of *[]byte: for large heads
	large      atomic.Int64 // how many of them are lent

	tick       time.Duration // between two sweeps
	mostLarge  int           // buffers lent for large heads before slow ones are given up
	batch      int           // connections closed at once to make room
	stop       chan struct{}
	now        atomic.Int64 // coarse milliseconds of the clock
	date       atomic.Pointer[[]byte]
	dateOf     int64         // touched by keepTime only
	stood      time.Duration // how long the program stood still; keepTime's own
	began      bool          // keepTime has run; its own
	draining   atomic.Bool
	leaving    atomic.Int64 // evicted, not yet gone
	noneUntil  atomic.Int64 // nobody can be evicted before then, coarse ms
	evicting   sync.Mutex   // guards the following
	candidates []candidate

	lastPanic atomic.Int64 // coarse ms
	count     counters
	lagging   [traffic.Waits]atomic.Int64 // connections, at the last sweep
}

// New makes a server that does not yet listen. The configuration must be valid.
func New(cfg Config, door Door, watch Watcher, rooms http.Handler, clk *clock.Clock, log *slog.Logger) *Server {
	s := &Server{
		cfg: cfg, door: door, watch: watch, rooms: rooms, clk: clk, log: log,
		clients: newTally(), networks: newTally(),
		stop: make(chan struct{}),
	}
	s.road, _ = rooms.(Road)
	s.batch = max(1, cfg.MaxConns/64)
	s.mostUnread = max(4<<20, int64(cfg.MaxConns)*2<<10)
	s.mostAgain = int64(max(leastAgain, cfg.MaxConns/16))
	s.mostLarge = max(16, cfg.MaxConns/16)
	s.conns = newRegistry(cfg.MaxConns + 2*s.batch)
	// A sweep comes at most an eighth of the shortest time late.
	shortest := min(cfg.HeadTimeout, cfg.IdleTimeout, cfg.Grace)
	s.tick = min(max(shortest/8, 5*time.Millisecond), 250*time.Millisecond)
	s.keepTime()
	if len(cfg.TLS.Addresses) > 0 {
		s.certs = &certs{list: cfg.TLS.Certificates}
		s.tls = newTLS(cfg.TLS, s.certs)
		s.greeter, s.tls.GetConfigForClient = newGreeter(cfg.TLS.Handshakes), s.hello
		if cfg.TLS.HTTP3 {
			s.quic = newQUICPort(cfg)
		}
	}
	if cfg.TLS.HSTS > 0 {
		s.hsts = []string{fmt.Sprintf("max-age=%d", int64(cfg.TLS.HSTS/time.Second))}
	}
	return s
}

// Listen reads the certificates and binds all addresses for which Inherit has no
// socket. When anything cannot be had, none stays bound, and the error names all of
// that.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.tls != nil {
		errs = append(errs, s.prepareTLS()...)
		switch l := s.certs.load(time.Now()); {
		case !s.certs.usable():
			errs = append(errs, l.Err())
		case len(l) > 0:
			s.log.Error("a certificate has ended: browsers warn of the site", "what", l.Err())
		}
	}
	s.listeners, s.bound = nil, nil
	for _, a := range slices.Concat(s.cfg.Addresses, s.cfg.TLS.Addresses) {
		l, err := s.open(a)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.listeners = append(s.listeners, l)
	}
	if s.quic != nil && len(errs) == 0 {
		if err := s.listenQUIC(); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		s.closeListeners()
		s.endQUIC()
		return errors.Join(errs...)
	}
	if s.tls != nil {
		_, s.securePort, _ = net.SplitHostPort(s.listeners[len(s.cfg.Addresses)].Addr().String())
	}
	return nil
}

// reason leaves out what the caller says itself.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program already listens there: %w", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("ports below 1024 need root or CAP_NET_BIND_SERVICE: %w", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("this machine has no such address: %w", err)
	}
	return err
}

// Addrs returns the addresses bound, in the order of the configuration.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []net.Addr
	for _, l := range s.listeners {
		list = append(list, l.Addr())
	}
	return list
}

// URLs returns them as a browser has them.
func (s *Server) URLs() []string {
	var list []string
	for i, a := range s.Addrs() {
		scheme := "http://"
		if i >= len(s.cfg.Addresses) {
			scheme = "https://"
		}
		list = append(list, scheme+a.String())
	}
	return list
}

// Serve accepts connections until ctx ends or Drain or Close is called, and
// then returns nil. Connections that are open go on until Drain or Close.
func (s *Server) Serve(ctx context.Context) error {
	s.mu.Lock()
	if s.shut || s.draining.Load() {
		s.mu.Unlock()
		return nil
	}
	if len(s.listeners) == 0 {
		s.mu.Unlock()
		return errors.New("serve: nothing is bound; call Listen first")
	}
	if !s.sweeping {
		s.sweeping = true
		s.sweeper.Go(s.sweepLoop)
		s.openLots()
		if s.tls != nil {
			s.tendTLS()
		}
	}
	for i, l := range s.listeners {
		s.serving.Go(func() { s.accept(l, i >= len(s.cfg.Addresses)) })
	}
	if s.quic != nil {
		for _, q := range s.quic.sockets {
			s.serving.Go(func() { s.acceptQUIC(q.listener) })
		}
	}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closeListeners()
	})
	defer stop()
	s.serving.Wait()
	return nil
}

// closeListeners needs mu. The list stays, so that Addrs still answers.
func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.closeQUIC()
}

// Drain stops accepting, closes connections that wait for a request, lets each
// of the others finish its current answer (those taken over by an upgrade:
// until they end), and returns when all are closed. When ctx ends first it
// closes the rest and returns ctx's error.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.hush()
	s.closeListeners()
	s.draining.Store(true)
	s.mu.Unlock()
	s.serving.Wait()
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for s.conns.open() > 0 {
		s.each(func(c *conn) {
			if h := c.h2.Load(); h != nil {
				h.goAway()
			}
			if c.h3 != nil {
				c.h3.goAway()
				return // ends when what it wrote was sent
			}
			if word := c.watch.Load(); word&0xff == phaseNew || word&0xff == phaseIdle {
				c.end(word, nil)
			}
		})
		select {
		case <-ctx.Done():
			s.Close()
			return ctx.Err()
		case <-t.C:
		}
	}
	s.Close()
	return nil
}

// Close stops accepting and closes all connections at once.
func (s *Server) Close() {
	s.mu.Lock()
	s.closeListeners()
	s.draining.Store(true)
	if !s.shut {
		s.shut = true
		close(s.stop)
	}
	s.mu.Unlock()
	s.serving.Wait()
	s.endTLS()
	s.sweeper.Wait()
	s.each(func(c *conn) { _ = c.abort() })
	s.closeLots()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endQUIC()
}

func (s *Server) each(do func(*conn)) {
	for i := range s.conns.slots {
		if c := s.conns.slots[i].Load(); c != nil {
			do(c)
		}
	}
}

// borrow lends a buffer for a large head. There are few of them; when too many
// are lent, the heads that have been arriving for longest are given up.
func (s *Server) borrow() []byte {
	if s.large.Add(1) > int64(s.mostLarge) {
		s.giveUpHeads()
	}
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, s.cfg.MaxHead+smallBuffer)
}

func (s *Server) giveBack(b []byte) {
	s.large.Add(-1)
	s.buffers.Put(&b)
}
