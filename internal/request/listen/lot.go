package listen

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"seawall/internal/kit/socket"
)

// Who is refused time and again needs no goroutine: nothing that is done for it waits.
// Such connections stand in a lot, where one goroutine reads and answers for all that
// have something to say, and waits for the next of them. That costs less than if each
// waited for itself, and however many they are, they are one among all goroutines that
// want the processor. Whatever may have to wait takes a connection out of its lot: a
// head that is not all there, who is let in, a client that takes no answers.
//
// Only connections in clear text can stand there: of others nobody could tell whether a
// read will wait.

const (
	// firstParked is after how many refusals in a row a connection is parked.
	firstParked = 3
	// nextParked is how many times as many it takes after each time that it was taken out
	// again, which is not for nothing, and mostParked is the most.
	nextParked = 16
	mostParked = 1 << 20
	// together is how many may be answered before others have their turn.
	together = 32
	// longest is for how long a lot goes on before the runtime looks for others' work.
	longest = time.Millisecond
)

// lot holds parked connections.
type lot struct {
	s      *Server
	poller *socket.Poller

	mu     sync.Mutex // guards the following
	conns  []*conn    // by key
	free   []int      // keys
	closed bool
}

// openLots makes a lot for each processor. Without one everything is done by the
// connections' own goroutines.
func (s *Server) openLots() {
	for range runtime.GOMAXPROCS(0) {
		p, err := socket.NewPoller(together)
		if err != nil {
			s.log.Warn("connections of those who are refused cannot be parked, and cost more", "err", err)
			return
		}
		l := &lot{s: s, poller: p}
		s.lots = append(s.lots, l)
		s.running.Go(l.run)
	}
}

// parked is how many connections stand in lots.
func (s *Server) parked() (n int) {
	s.mu.Lock()
	lots := s.lots
	s.mu.Unlock()
	for _, l := range lots {
		l.mu.Lock()
		n += len(l.conns) - len(l.free)
		l.mu.Unlock()
	}
	return n
}

// closeLots ends them; they close what stands there.
func (s *Server) closeLots() {
	for _, l := range s.lots {
		_ = l.poller.Close()
	}
}

// parks hands c over to a lot, if that is the place for it. Then it is no longer the
// caller's.
func (c *conn) parks() bool {
	s := c.s
	if c.https || c.r < c.w || c.refusals < max(c.parkAfter, firstParked) || s.draining.Load() || len(s.lots) == 0 {
		return false
	}
	return s.lots[int(c.slot)%len(s.lots)].take(c)
}

func (l *lot) take(c *conn) bool {
	c.r, c.w = 0, 0
	c.shrink()
	if !c.enter(phaseIdle, c.s.coarse()+ms(c.s.cfg.IdleTimeout)) {
		return false // it was ended, as its goroutine will find
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.ended || c.closed || l.closed {
		return false
	}
	loose, err := socket.Loosen(c.tcp.Load())
	if err != nil {
		return false
	}
	key := len(l.conns)
	if n := len(l.free); n > 0 {
		key, l.free = l.free[n-1], l.free[:n-1]
	} else {
		l.conns = append(l.conns, nil)
	}
	c.loose, c.parked, c.key = loose, true, key
	l.conns[key] = c
	if l.poller.Add(loose, key) != nil {
		l.clear(key)
		_ = c.bind() // or it is over, as its goroutine will find
		return false
	}
	l.s.count.parks.Add(1)
	return true
}

// bind ends being parked. It needs mu.
func (c *conn) bind() error {
	c.parked = false
	tcp, err := c.loose.Bind()
	if err != nil {
		return err
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = socketOptions("", "", raw) // package net has set its own
	}
	c.tcp.Store(tcp)
	switch {
	case c.closed:
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	case c.ended:
		_ = tcp.SetReadDeadline(time.Unix(1, 0))
	}
	return nil
}

// clear takes out who has a key. It needs mu.
func (l *lot) clear(key int) {
	l.conns[key] = nil
	l.free = append(l.free, key)
}

// run answers for those in the lot until that is closed.
func (l *lot) run() {
	var batch [together]*conn
	rested := time.Now() // others surely had a turn then
	for {
		// Where there always is something to do, the runtime looks for what others wait
		// for every 10 ms only.
		now := time.Now()
		yields := now.Sub(rested) > longest
		if yields {
			rested = now
		}
		keys, err := l.poller.Wait(yields)
		if err != nil {
			break
		}
		l.mu.Lock()
		for i, k := range keys {
			batch[i] = l.conns[k]
		}
		l.mu.Unlock()
		for i := range keys {
			if batch[i] != nil {
				l.turn(batch[i])
				batch[i] = nil
			}
		}
		runtime.Gosched()
	}
	l.mu.Lock()
	l.closed = true
	all := slices.Clone(l.conns)
	l.mu.Unlock()
	for _, c := range all {
		if c != nil {
			l.close(c)
		}
	}
}

// turn does for a connection what can be done without waiting.
func (l *lot) turn(c *conn) {
	n, err := c.loose.Read(c.buf)
	switch {
	case errors.Is(err, socket.ErrWait):
		return
	case n == 0, !c.enter(phaseBusy, 0): // the client's end, or ours
		l.close(c)
		return
	}
	c.r, c.w = 0, n
	c.inLot = true
	then := c.answerNow()
	c.inLot = false
	switch {
	case then == nextParks && c.enter(phaseIdle, c.s.coarse()+ms(c.s.cfg.IdleTimeout)):
	case then == nextParks, then == nextOver && len(c.rest) == 0 && c.later == faultNone && !c.lingers:
		l.close(c)
	default:
		l.bringBack(c, then)
	}
}

// next is what comes next for a connection that stands in a lot.
type next uint8

const (
	nextParks next = iota // it stays
	nextHead              // the rest of a head, or an answer that it does not take
	nextServe             // the request in c.x was let in
	nextOver              // nothing but its end, and what is left to be done
)

// answerNow answers the requests that have come, as long as they are refused.
func (c *conn) answerNow() next {
	for c.r < c.w {
		mayBeEmpty, from := true, c.r
		done, err := c.scanHead(&mayBeEmpty)
		if err != nil || !done {
			// Its own goroutine looks at it again from its beginning.
			c.release()
			c.r = from
			return nextHead
		}
		in, err := c.meetDoor()
		switch {
		case in:
			return nextServe
		case err != nil:
			return nextOver
		case len(c.rest) > 0:
			return nextHead
		}
	}
	c.r, c.w = 0, 0
	return nextParks
}

// sendNow sends what can be sent without waiting, and keeps the rest.
func (c *conn) sendNow(p []byte) (int, error) {
	n := 0
	if len(c.rest) == 0 {
		var err error
		if n, err = c.loose.Write(p); err != nil && !errors.Is(err, socket.ErrWait) {
			c.writeFailed.Store(true)
			return 0, err
		}
	}
	c.earn(n)
	c.rest = append(c.rest, p[n:]...)
	return len(p), nil
}

// close closes a connection that stands here.
func (l *lot) close(c *conn) {
	l.remove(c)
	c.quit() // its socket is still open then
	c.mu.Lock()
	c.parked = false
	c.mu.Unlock()
	_ = c.loose.Close()
}

// remove takes c out.
func (l *lot) remove(c *conn) {
	_ = l.poller.Remove(c.loose)
	l.mu.Lock()
	l.clear(c.key)
	l.mu.Unlock()
}

// bringBack gives c a goroutine of its own again.
func (l *lot) bringBack(c *conn, n next) {
	c.refusals, c.parkAfter = 0, min(max(c.parkAfter, firstParked)*nextParked, mostParked)
	l.remove(c)
	c.mu.Lock()
	err := c.bind()
	c.mu.Unlock()
	if err == nil {
		l.s.running.Go(func() { c.goOn(n) })
		return
	}
	// The client has broken off, or there is no descriptor left.
	if !errors.Is(err, syscall.ENOTCONN) {
		l.s.count.acceptFailed.Add(1)
	}
	if n == nextServe {
		c.x.outcome.Left = true
		c.x.record()
	}
	c.quit()
}

// goOn is the goroutine of a connection that has stood in a lot.
func (c *conn) goOn(n next) {
	parked := false
	defer c.leave(&parked)
	if rest := c.rest; len(rest) > 0 {
		c.rest = nil
		if _, err := c.Write(rest); err != nil {
			return
		}
	}
	switch f := c.later; {
	case f != faultNone:
		c.reject(f)
	case n == nextOver:
		if c.lingers {
			c.linger()
		}
	default:
		parked = c.serve1(n == nextServe)
	}
}
