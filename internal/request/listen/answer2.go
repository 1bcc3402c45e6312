package listen

import (
	"net/http"
	"strconv"
	"time"

	"seawall/internal/request/listen/h2"
)

// answer2 carries an answer on a stream of HTTP/2.
type answer2 struct {
	st    *stream
	left  int64    // bytes of the body still to come; -1 unknown
	names []string // of trailers that the room announces
	over  bool     // END_STREAM was sent
}

func (a *answer2) interim(x *exchange, status int) error {
	block := x.appendFields(h2.AppendStatus(nil, status), h2.AppendField)
	a.headers(block, false)
	a.st.h.send()
	return nil
}

func (a *answer2) begin(x *exchange, status int) {
	s := x.s.scratch()
	defer x.s.scratches.Put(s)
	block := h2.AppendStatus(s.out[:0], status)
	if !x.says("Date") {
		block = h2.AppendFieldBytes(block, "Date", *x.s.date.Load())
	}
	block = x.appendFields(block, h2.AppendField)
	if x.size >= 0 && status != http.StatusNoContent {
		var digits [20]byte
		block = h2.AppendFieldBytes(block, "Content-Length", strconv.AppendInt(digits[:0], x.size, 10))
	}
	if cap(block) <= keepBuffer {
		s.out = block[:0]
	}
	a.left = x.size
	a.names = x.trailers()
	a.over = x.noBody || a.left == 0 && len(a.names) == 0
	a.headers(block, a.over)
	if hasElement(x.header["Connection"], "close") {
		a.st.h.goAway()
	}
}

// headers collects a field block.
func (a *answer2) headers(block []byte, over bool) {
	h := a.st.h
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.out) > mostWaiting && h.sending && !h.dead && !a.st.lost {
		h.room.Wait()
	}
	if h.dead || a.st.lost {
		return
	}
	h.out = h2.AppendHeaders(h.buffer(), a.st.id, block, over)
}

func (a *answer2) write(x *exchange, p []byte) (int, error) {
	if x.noBody {
		if x.visit.Method == "HEAD" {
			return len(p), nil
		}
		return 0, http.ErrBodyNotAllowed
	}
	if a.left >= 0 {
		if int64(len(p)) > a.left {
			return 0, http.ErrContentLength
		}
		a.left -= int64(len(p))
	}
	written := 0
	for written < len(p) {
		n, full, err := a.data(p[written:])
		if err != nil {
			return written, err
		}
		if written += n; full {
			a.send()
		}
	}
	return written, nil
}

// data collects as much of p as the windows and the room for what is to be sent
// allow. full says that it had better be sent now.
func (a *answer2) data(p []byte) (n int, full bool, err error) {
	st, h := a.st, a.st.h
	h.mu.Lock()
	defer h.mu.Unlock()
	for !h.dead && !st.lost {
		switch {
		case len(h.out) > mostWaiting && !h.sending:
			return 0, true, nil
		case len(h.out) > mostWaiting:
			h.room.Wait()
			continue
		case h.window <= 0 && st.window > 0:
			if len(h.out) > 0 && !h.sending {
				return 0, true, nil // what the client waits for may be among it
			}
			h.awaitWindow(st)
			continue
		case st.window <= 0:
			if len(h.out) > 0 && !h.sending {
				return 0, true, nil
			}
			begun := h.s.coarse()
			st.writeUntil = begun + max(1, ms(st.writeFor))
			st.cond.Wait()
			st.writeUntil = 0
			st.writeFor -= time.Duration(h.s.coarse()-begun) * time.Millisecond
			continue
		}
		n = int(min(int64(len(p)), h.window, st.window, h2.MaxFrame))
		h.told = true
		h.window -= int64(n)
		st.window -= int64(n)
		st.writeFor = min(h.s.cfg.Grace, st.writeFor+time.Duration(n)*time.Second/time.Duration(h.s.cfg.MinRate))
		f := h2.Frame{Length: n, Type: h2.Data, Stream: st.id}
		if a.left == 0 && n == len(p) && len(a.names) == 0 {
			f.Flags, a.over = h2.EndStream, true
		}
		h.out = append(h2.AppendFrame(h.buffer(), f), p[:n]...)
		return n, len(h.out) > 16<<10, nil
	}
	return 0, false, errStreamOver
}

// send is the connection's.
func (a *answer2) send() {
	st, h := a.st, a.st.h
	h.mu.Lock()
	st.sends = true
	h.sendAll()
	st.sends = false
	h.mu.Unlock()
}

func (a *answer2) flush(*exchange) error {
	a.send()
	return nil
}

func (a *answer2) finish(x *exchange) error {
	st, h := a.st, a.st.h
	if a.left > 0 && !x.noBody {
		return http.ErrContentLength
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead || st.lost {
		return errStreamOver
	}
	if a.over {
		return nil
	}
	a.over = true
	list := trailerValues(x.header, a.names)
	if len(list) == 0 {
		h.out = h2.AppendFrame(h.buffer(), h2.Frame{Type: h2.Data, Flags: h2.EndStream, Stream: st.id})
		return nil
	}
	var block []byte
	for _, t := range list {
		for _, v := range t.values {
			if isName(t.name) {
				block = h2.AppendFieldBytes(block, t.name, appendValue(nil, v))
			}
		}
	}
	h.out = h2.AppendHeaders(h.buffer(), st.id, block, true)
	return nil
}

// abandon leaves it to the stream's end to reset it.
func (a *answer2) abandon(*exchange) {}

func (a *answer2) fault() fault {
	a.st.h.mu.Lock()
	defer a.st.h.mu.Unlock()
	return a.st.fault
}

func (a *answer2) readBy(t time.Time) error { return a.st.readBy(t) }

// stays has the least rate no longer hold for the request's body.
func (a *answer2) stays() {
	a.st.h.mu.Lock()
	a.st.stays, a.st.readUntil = true, 0
	a.st.h.mu.Unlock()
}

// writeBy gives the stream up where t has passed, from whatever goroutine. Another
// bound is not to be had on a stream; the least rate holds there.
func (a *answer2) writeBy(t time.Time) error {
	if t.IsZero() || time.Until(t) > 0 {
		return http.ErrNotSupported
	}
	st, h := a.st, a.st.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead || st.lost {
		return nil
	}
	st.lose()
	h.out = h2.AppendReset(h.buffer(), st.id, h2.Cancel)
	h.remember(st.id)
	if st.sends { // what all streams have waits for the client to take anything
		h.c.interrupt()
		_ = h.c.tcp.Load().SetWriteDeadline(t)
	}
	h.room.Broadcast()
	return nil
}
