package listen

import (
	"net/netip"

	"seawall/internal/traffic"
)

// lagMost is how long the honest keep us waiting in the middle of a request, as a
// rule, in coarse milliseconds; less where the times that they have are short. Who
// has said nothing yet has only as long as fresh.
const lagMost = 700

// Links returns what became of connections since the start, but for who they were:
// the Watcher is told of that.
func (s *Server) Links() traffic.Links {
	n := &s.count
	l := traffic.Links{
		Counted: true,
		Opened:  n.accepted.Load(), Closed: n.closed.Load(), Unused: n.unused.Load(),
		Full: n.overAll.Load(), Crowded: n.overClient.Load() + n.overNetwork.Load(), Evicted: n.evicted.Load(),
		Open: s.conns.open(), Most: s.cfg.MaxConns,
		Handshakes: traffic.Handshakes{Begun: n.begun.Load(), Made: n.handshakes.Load(), Unused: n.idleShakes.Load(), Retried: n.retries.Load()},
	}
	if s.greeter != nil {
		l.Handshakes.Waiting = s.greeter.gate.inLine()
	}
	for why := range n.hellos {
		k := n.hellos[why].Load()
		if why == helloBanned || why == helloDescribed {
			l.Handshakes.Banned += k
		} else {
			l.Handshakes.Turned += k
		}
	}
	for w := range l.Lagging {
		l.Lagging[w] = int(s.lagging[w].Load())
	}
	// Who waits for us to compute is not slow.
	l.Lagging[traffic.WaitShake] = max(0, l.Lagging[traffic.WaitShake]-l.Handshakes.Waiting)
	l.Slow = [traffic.Waits]uint64{
		traffic.WaitSilent: n.timeouts[timeoutNew].Load(), traffic.WaitHead: n.timeouts[timeoutHead].Load(),
		traffic.WaitBody: n.timeouts[timeoutBody].Load(), traffic.WaitTake: n.timeouts[timeoutWrite].Load(),
	}
	for o := range l.Odd {
		l.Odd[o] = n.odd[o].Load()
	}
	for f := faultNone + 1; f < faults; f++ {
		if f.garbles() {
			l.Malformed += n.malformed[f].Load()
		}
	}
	return l
}

// garbles says whether the fault is that a message is no HTTP, and not that it is
// slow, or more than is wanted.
func (f fault) garbles() bool {
	switch f {
	case faultSlowHead, faultSlowBody, faultBusy, faultTooLarge, faultExpect:
		return false
	}
	return true
}

// garbled notes that a connection ends over a fault.
func (c *conn) garbled(f fault) {
	if f.garbles() && !c.strange.Swap(true) {
		c.tell(traffic.LinkOdd)
	}
}

// odd notes that the connection is closed for abuse of the protocol.
func (c *conn) odd(o traffic.Oddity) {
	if !c.strange.Swap(true) {
		c.s.count.odd[o].Add(1)
		c.tell(traffic.LinkOdd)
	}
}

// begin notes that a ClientHello was read.
func (c *conn) begin() {
	c.s.count.begun.Add(1)
	c.shakes.Store(true)
	if from := c.client(); from.IsValid() {
		c.s.watch.Linked(from, c.ja4, traffic.LinkBegun)
	}
}

// unmade notes that the handshake came to nothing after that.
func (c *conn) unmade() {
	if !c.strange.Swap(true) {
		c.tell(traffic.LinkUnmade)
	}
}

// tell tells what the connection did, where there is somebody to tell it of: a
// trusted proxy that does not say whom it speaks for stands for many.
func (c *conn) tell(e traffic.LinkEvent) {
	if from := c.client(); from.IsValid() {
		c.s.watch.Linked(from, "", e)
	}
}

// client is an address in the prefix that the connection is counted for.
func (c *conn) client() netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counted()
}

// counted is client for who holds mu.
func (c *conn) counted() netip.Addr {
	if c.h3 != nil && !c.trusted {
		return c.peer // its arrival holds the places
	}
	return c.held.client.Addr()
}

// ending notes that the connection is being closed. It needs mu.
func (c *conn) ending() {
	c.s.count.closed.Add(1)
	if c.spoke.Load() || c.worth.Load() != 0 || c.unwanted.Load() || c.strange.Load() {
		return
	}
	if c.shakes.Load() {
		c.s.count.idleShakes.Add(1)
	} else {
		c.s.count.unused.Add(1)
	}
	if from := c.counted(); from.IsValid() {
		c.s.watch.Linked(from, "", traffic.LinkUnused)
	}
}

// census counts who keeps us waiting longer than the honest do: connections, and
// where several requests are under way on one, requests. It is the sweeper's.
type census [traffic.Waits]int64

// add counts a connection, and tells of it the first time that it keeps us waiting in
// the middle of a request: browsers open connections beforehand.
func (n *census) add(c *conn, now int64) {
	if n.look(c, now) && !c.lagged {
		c.lagged = true
		c.tell(traffic.LinkSlow)
	}
}

// look says whether a request keeps us waiting.
func (n *census) look(c *conn, now int64) bool {
	grace := ms(c.s.cfg.Grace)
	if until := c.writing.Load(); until != 0 && long(now, until, grace) {
		n[traffic.WaitTake]++
		return true
	}
	word := c.watch.Load()
	until := int64(word >> 8)
	switch word & 0xff {
	case phaseNew:
		if now-c.accepted > min(fresh, ms(c.s.cfg.HeadTimeout)/4) {
			if c.shakes.Load() {
				n[traffic.WaitShake]++
			} else {
				n[traffic.WaitSilent]++
			}
		}
		return false
	case phaseHead:
		if long(now, until, ms(c.s.cfg.HeadTimeout)) || c.endless(now) {
			n[traffic.WaitHead]++
			return true
		}
	case phaseBody:
		if long(now, until, grace) {
			n[traffic.WaitBody]++
			return true
		}
	}
	if h := c.h2.Load(); h != nil {
		return n.streams(h, now, grace)
	}
	return false
}

// long says whether a time of the length of that ends at until has run for longer
// than the honest take.
func long(now, until, of int64) bool { return until-now < of-min(lagMost, of/4) }

// endless says whether the first head of a connection of HTTP/2 does not end: each
// frame of it has a time of its own.
func (c *conn) endless(now int64) bool {
	return c.h2.Load() != nil && c.worth.Load() == 0 && !c.unwanted.Load() && now-c.accepted > fresh+lagMost
}

// streams counts requests of HTTP/2, and says whether there are such.
func (n *census) streams(h *http2conn, now, grace int64) (some bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	shut := h.lowered != 0 && long(now, h.lowered, grace)
	for _, st := range h.streams {
		switch {
		case shut && st.behind, st.writeUntil != 0 && long(now, st.writeUntil, grace):
			n[traffic.WaitTake]++
		case st.readUntil != 0 && long(now, st.readUntil, grace):
			n[traffic.WaitBody]++
		default:
			continue
		}
		some = true
	}
	return some
}

func (s *Server) counted(n *census) {
	for w := range n {
		s.lagging[w].Store(n[w])
	}
}

// inLine is how many strangers wait.
func (g *gate) inLine() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}
