package listen

import (
	"context"
	"time"
)

// Leave stops accepting and leaves all that is connected as it is. What the kernel
// has connected and nobody has accepted yet stays with whoever else has the sockets.
// After it, Listen and Serve may be called again.
func (s *Server) Leave() {
	s.Changed() // the door may have every answer close its connection now
	s.mu.Lock()
	s.closeListeners()
	s.mu.Unlock()
	s.serving.Wait() // whoever was accepted last is known of then
}

// shareTime is for how long two processes have a socket for QUIC on the same port.
// The kernel gives each a part of the beginnings, and the old one leaves its part
// unanswered: clients send those again.
const shareTime = 3 * time.Second

// Retire is Drain for a Server in whose place another one accepts already. Nobody
// loses a request to it: a connection that waits for one goes on being served, and
// is closed only when nothing has come for as long as quiet says; those of HTTP/3 end
// within shareTime, what is under way on them too. The door is to
// tell visitors meanwhile that each answer is the connection's last.
//
// It returns nil when no connection is open any more, or ctx's error, with those
// that are still open left alone. Close is to be called in either case.
func (s *Server) Retire(ctx context.Context, quiet time.Duration) error {
	s.Leave()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	begun := s.coarse()
	for s.conns.open() > 0 {
		before := s.coarse() - ms(quiet)
		packets := false
		s.each(func(c *conn) {
			if c.h3 != nil {
				packets = true
				c.h3.goAway()
				return
			}
			if h := c.h2.Load(); h != nil {
				h.goAway()
			}
			word := c.watch.Load()
			since := int64(word >> 8)
			switch word & 0xff {
			case phaseNew:
				since -= ms(s.cfg.HeadTimeout)
			case phaseIdle:
				since -= ms(s.cfg.IdleTimeout)
			default:
				return
			}
			if since <= before {
				c.end(word, nil)
			}
		})
		if s.quic != nil && (!packets || s.coarse()-begun > ms(shareTime)) {
			s.mu.Lock()
			s.endQUIC()
			s.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	return nil
}
