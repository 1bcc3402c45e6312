package listen

import (
	"encoding/binary"

	"seawall/internal/request/listen/h2"
)

// frame reads the payload of a frame whose header was read, and does what it says.
func (h *http2conn) frame(f h2.Frame) error {
	switch {
	case f.Length > h2.MaxFrame:
		return connError{h2.FrameSizeError}
	case h.block.stream != 0 && (f.Type != h2.Continuation || f.Stream != h.block.stream):
		return connError{h2.ProtocolError}
	}
	if f.Type == h2.Data {
		return h.data(f)
	}
	p, err := h.peek(f.Length, false)
	if err != nil {
		return err
	}
	h.c.r += f.Length
	switch f.Type {
	case h2.Headers:
		return h.headers(f, p)
	case h2.Continuation:
		return h.continuation(f, p)
	case h2.Settings:
		return h.settings(f, p)
	case h2.Ping:
		return h.ping(f, p)
	case h2.WindowUpdate:
		return h.windowUpdate(f, p)
	case h2.Reset:
		return h.reset(f, p)
	case h2.Priority:
		return h.priority(f, p)
	case h2.GoAway:
		switch {
		case f.Stream != 0:
			return connError{h2.ProtocolError}
		case f.Length < 8:
			return connError{h2.FrameSizeError}
		}
		return h.glitch(glitchFrame)
	case h2.PushPromise:
		return connError{h2.ProtocolError}
	}
	return h.glitch(glitchFrame) // of a kind we do not know: ignored
}

func (h *http2conn) settings(f h2.Frame, p []byte) error {
	switch {
	case f.Stream != 0:
		return connError{h2.ProtocolError}
	case f.Has(h2.Ack) && f.Length != 0, f.Length%h2.SettingSize != 0:
		return connError{h2.FrameSizeError}
	case f.Has(h2.Ack):
		return h.glitch(glitchAck)
	case f.Length > 32*h2.SettingSize:
		return connError{h2.EnhanceYourCalm}
	}
	h.opened.settings(p)
	for ; len(p) > 0; p = p[h2.SettingSize:] {
		name, v := h2.SettingAt(p)
		switch name {
		case h2.EnablePush:
			if v > 1 {
				return connError{h2.ProtocolError}
			}
		case h2.InitialWindowSize:
			if v > h2.MaxWindow {
				return connError{h2.FlowControlError}
			}
			if err := h.resize(int64(v)); err != nil {
				return err
			}
		case h2.MaxFrameSize: // we send no larger frames than all must take
			if v < h2.MaxFrame || v > 1<<24-1 {
				return connError{h2.ProtocolError}
			}
		case h2.EnableConnect:
			if v > 1 {
				return connError{h2.ProtocolError}
			}
		}
	}
	h.queue(h2.AppendSettingsAck)
	return h.glitch(glitchSettings)
}

// resize changes the windows of all streams (RFC 9113, section 6.9.2).
func (h *http2conn) resize(first int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	more := first - h.first
	h.first = first
	for _, st := range h.streams {
		was := st.window
		if st.window += more; st.window > h2.MaxWindow {
			return connError{h2.FlowControlError}
		}
		if was <= 0 && st.window > 0 {
			st.cond.Broadcast()
		}
	}
	return nil
}

func (h *http2conn) ping(f h2.Frame, p []byte) error {
	switch {
	case f.Stream != 0:
		return connError{h2.ProtocolError}
	case f.Length != 8:
		return connError{h2.FrameSizeError}
	case f.Has(h2.Ack):
		return h.glitch(glitchFrame)
	}
	h.mu.Lock()
	h.out = h2.AppendPingAck(h.buffer(), p)
	told := h.told
	h.told = false
	h.mu.Unlock()
	if told { // gRPC measures by pings how fast an answer comes
		return nil
	}
	return h.glitch(glitchPing)
}

func (h *http2conn) windowUpdate(f h2.Frame, p []byte) error {
	if f.Length != 4 {
		return connError{h2.FrameSizeError}
	}
	n := int64(binary.BigEndian.Uint32(p) & h2.MaxWindow)
	h.mu.Lock()
	st, idle := h.streams[f.Stream], f.Stream > h.last
	var err error
	switch {
	case f.Stream == 0 && n == 0:
		err = connError{h2.ProtocolError}
	case f.Stream == 0:
		err = h.widen(n)
	case idle:
		err = connError{h2.ProtocolError}
	case st == nil: // it is over
	case n == 0:
		err = streamError{f.Stream, h2.ProtocolError}
	default:
		was := st.window
		if st.window += n; st.window > h2.MaxWindow {
			err = streamError{f.Stream, h2.FlowControlError}
		}
		if was <= 0 && st.window > 0 {
			st.cond.Broadcast()
		}
	}
	h.opened.window(f.Stream, uint32(n), h.last == 0)
	h.mu.Unlock()
	if err == nil && n < 1<<10 {
		return h.glitch(glitchCrumb)
	}
	return err
}

// widen opens the window of all streams by n, which wakes those that wait for it and
// gives the client more time for the rest. It needs mu.
func (h *http2conn) widen(n int64) error {
	was := h.window
	if h.window += n; h.window > h2.MaxWindow {
		return connError{h2.FlowControlError}
	}
	if h.lowered != 0 {
		h.lowered = min(h.lowered+n*1000/int64(h.s.cfg.MinRate), h.s.coarse()+ms(h.s.cfg.Grace))
	}
	if was > 0 || h.window <= 0 {
		return nil
	}
	for _, st := range h.streams {
		if st.window > 0 {
			st.cond.Broadcast()
		}
	}
	return nil
}

// awaitWindow waits for the window of all streams to open. The client owes the least
// rate on all of them together: how that is shared is up to us. It needs mu.
func (h *http2conn) awaitWindow(st *stream) {
	if h.waiters++; h.waiters == 1 {
		h.lowered = h.s.coarse() + max(1, h.windowFor)
	}
	st.behind = true
	st.cond.Wait()
	st.behind = false
	if h.waiters--; h.waiters == 0 {
		h.windowFor, h.lowered = h.lowered-h.s.coarse(), 0
	}
}

func (h *http2conn) reset(f h2.Frame, p []byte) error {
	if f.Length != 4 {
		return connError{h2.FrameSizeError}
	}
	h.mu.Lock()
	st, idle := h.streams[f.Stream], f.Stream == 0 || f.Stream > h.last
	if st != nil {
		st.taken = true
		st.lose()
	}
	h.mu.Unlock()
	if idle {
		return connError{h2.ProtocolError}
	}
	return h.glitch(glitchReset)
}

// priority reads what RFC 9113 has done away with; its form counts still.
func (h *http2conn) priority(f h2.Frame, p []byte) error {
	switch {
	case f.Stream == 0:
		return connError{h2.ProtocolError}
	case f.Length != h2.PrioritySize:
		return streamError{f.Stream, h2.FrameSizeError}
	case binary.BigEndian.Uint32(p)&h2.MaxWindow == f.Stream:
		return streamError{f.Stream, h2.ProtocolError}
	}
	h.opened.priority(f.Stream, p)
	return h.glitch(glitchCrumb)
}

// data takes a piece of a body, as it comes.
func (h *http2conn) data(f h2.Frame) error {
	if f.Stream == 0 {
		return connError{h2.ProtocolError}
	}
	left, pad := f.Length, 0
	if f.Has(h2.Padded) {
		p, err := h.peek(min(1, left), false)
		if err != nil {
			return err
		}
		if left == 0 || int(p[0]) > left-1 {
			return connError{h2.ProtocolError}
		}
		pad = int(p[0])
		h.c.r++
		left--
	}
	h.mu.Lock()
	st := h.streams[f.Stream]
	idle, ours := f.Stream > h.last, h.endedByUs(f.Stream)
	h.credit -= int64(f.Length)
	var err error
	switch {
	case idle:
		err = connError{h2.ProtocolError}
	case h.credit < 0:
		err = connError{h2.FlowControlError}
	case st == nil && !ours:
		err = connError{h2.StreamClosed}
	case st != nil && (st.taken || st.ended && !st.lost):
		err = streamError{f.Stream, h2.StreamClosed}
	case st != nil:
		if st.credit -= int64(f.Length); st.credit < 0 {
			err = streamError{f.Stream, h2.FlowControlError}
		}
	}
	h.giveCredit(f.Length - (left - pad)) // padding is read at once
	if err != nil {
		st = nil
	} else if st != nil {
		st.owed += f.Length - (left - pad)
	}
	h.mu.Unlock()
	if _, fatal := err.(connError); fatal {
		return err
	}
	wrong, e := h.payload(st, left-pad, pad)
	switch {
	case e != nil:
		return e
	case wrong != nil:
		return wrong
	}
	if st != nil && f.Has(h2.EndStream) {
		err = st.endBody()
	}
	if err == nil && f.Length == 0 && !f.Has(h2.EndStream) {
		return h.glitch(glitchFrame)
	}
	return err
}

// payload hands size bytes to st, where there is one, and skips the padding. wrong
// is the stream's fault, err the connection's.
func (h *http2conn) payload(st *stream, size, pad int) (wrong, err error) {
	c := h.c
	for left := size + pad; left > 0; {
		if c.r == c.w {
			h.began = h.s.coarse() // slow, but not standing still
			if err := h.fill(false); err != nil {
				return nil, err
			}
		}
		b := c.buf[c.r:min(c.w, c.r+left)]
		c.r += len(b)
		left -= len(b)
		b = b[:min(len(b), max(0, size))]
		size -= len(b)
		if wrong == nil {
			wrong = h.take(st, b)
		} else {
			_ = h.take(nil, b)
		}
	}
	return wrong, nil
}
