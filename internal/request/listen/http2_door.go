package listen

import (
	"seawall/internal/mitigation"
	"seawall/internal/request/listen/h2"
)

// meetDoor takes a request to the door: it is served on a goroutine of its own, or
// refused at once, together with its neighbours.
func (h *http2conn) meetDoor(b blockState) error {
	g, c := h.gather, h.c
	x := g.x
	x.fill(g.buf.body)
	if !h.opened.done {
		h.opened.add('O', g.order)
		h.opened.done = true
	}
	x.visit.OpeningHTTP2 = h.opened.hash
	x.decide()
	if c.weigh(x) {
		g.x = nil // the stream's
		h.open(b, x)
		return nil
	}
	if x.verdict.Action == mitigation.Drop && x.proof == "" {
		x.record()
		if c.trusted { // others come by the same connection
			return streamError{b.stream, h2.RefusedStream}
		}
		c.cut()
		return connError{h2.RefusedStream}
	}
	return h.refuse(b, x)
}

// refuse collects the door's answer. Where the client's window has no room for the
// body, it gets none.
func (h *http2conn) refuse(b blockState, x *exchange) error {
	s := h.s.scratch()
	defer h.s.scratches.Put(s)
	a := x.refusal(s.body[:0])
	block := h2.AppendFieldBytes(h2.AppendStatus(s.out[:0], a.Status), "Date", *h.s.date.Load())
	block = appendRefusal(block, h.c.alternative(), &a, h2.AppendField)
	s.out = block[:0]
	h.mu.Lock()
	n := len(a.Body)
	bare := x.visit.Method == "HEAD" || n == 0 || int64(n) > min(h.window, h.first) || n > h2.MaxFrame
	h.out = h2.AppendHeaders(h.buffer(), b.stream, block, bare)
	if !bare {
		h.window -= int64(n)
		h.out = h2.AppendFrame(h.out, h2.Frame{Length: n, Type: h2.Data, Flags: h2.EndStream, Stream: b.stream})
		h.out = append(h.out, a.Body...)
		x.outcome.BytesOut = int64(n)
	}
	if !b.ends {
		h.out = h2.AppendReset(h.out, b.stream, h2.NoError)
		h.remember(b.stream)
	}
	h.idleAt = h.s.coarse()
	full := len(h.out) > mostWaiting
	for len(h.out) > mostWaiting && h.sending && !h.dead {
		full = false
		h.room.Wait() // for a client that reads nothing of what it asks for
	}
	h.mu.Unlock()
	if cap(a.Body) > cap(s.body) && cap(a.Body) <= keepBuffer {
		s.body = a.Body[:0]
	}
	x.outcome.Status = a.Status
	x.record()
	if full {
		h.send() // or many refusals in one packet would take memory
	}
	if a.Close { // once those beside it are served
		h.goAway()
	}
	return nil
}

// open serves a request that was let in.
func (h *http2conn) open(b blockState, x *exchange) {
	st := newStream(h, b.stream, x)
	st.ended = b.ends
	h.mu.Lock()
	st.window = h.first
	h.streams[b.stream] = st
	h.s.streams.Add(1)
	h.mu.Unlock()
	h.s.running.Go(st.serve)
}

// close takes a stream that is over out of the connection. It needs mu.
func (h *http2conn) close(st *stream) {
	delete(h.streams, st.id)
	h.s.streams.Add(-1)
	if len(h.streams) > 0 {
		h.gone.Broadcast()
		return
	}
	h.idleAt = h.s.coarse()
	h.gone.Broadcast()
	c := h.c
	if word := c.watch.Load(); word&0xff == phaseOpen {
		idle := uint64(h.idleAt+ms(h.s.cfg.IdleTimeout))<<8 | phaseIdle
		if c.watch.CompareAndSwap(word, idle) && h.away {
			c.end(idle, nil) // there is nothing to wait for
		}
	}
}

// patience is until when we wait for the client, where all requests under way do; 0
// where one does not. The nearest end counts.
func (h *http2conn) patience() (until int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, st := range h.streams {
		end := max(st.readUntil, st.writeUntil)
		if st.behind {
			end = h.lowered
		}
		if end == 0 {
			return 0
		}
		if until == 0 || end < until {
			until = end
		}
	}
	return until
}

// tooSlow ends the streams whose clients have kept us waiting for too long.
func (h *http2conn) tooSlow(now int64) {
	h.mu.Lock()
	shut := h.lowered != 0 && now > h.lowered
	for _, st := range h.streams {
		switch {
		case st.lost:
		case shut && st.behind, st.writeUntil != 0 && now > st.writeUntil:
			h.s.count.timeouts[timeoutWrite].Add(1)
			st.lose()
			h.out = h2.AppendReset(h.buffer(), st.id, h2.Cancel)
			h.remember(st.id)
		case st.readUntil != 0 && now > st.readUntil && st.fault == faultNone:
			h.s.count.timeouts[timeoutBody].Add(1)
			st.fault = faultSlowBody
			st.cond.Broadcast()
		}
	}
	h.mu.Unlock()
}
