package listen

import (
	"errors"
	"io"
	"sync"

	"golang.org/x/net/http2/hpack"

	"seawall/internal/request/listen/h2"
	"seawall/internal/traffic"
)

// What a client may have open and under way on one connection of HTTP/2. Bytes.
const (
	mostStreams  = 100
	streamWindow = h2.FirstWindow // of a body that no room has read yet
	connWindow   = 3 * streamWindow
	mostWaiting  = 64 << 10  // answers wait while so much is to be sent
	mostControl  = 256 << 10 // and this is the end: nobody reads what is answered
	codingTable  = 4 << 10   // of the client's field blocks
)

// http2conn is a connection that speaks HTTP/2. The connection's own goroutine reads
// the frames and asks the door; each request that is let in has a goroutine. What
// is to be sent is collected in out; whoever has something to send and finds nobody
// sending sends what all have collected, until nothing is left.
type http2conn struct {
	c *conn
	s *Server

	// The reader's own.
	dec      *hpack.Decoder
	gather   *gather // the field block being read; nil none
	block    blockState
	glitches glitches
	opened   opening
	began    int64 // when the frame being read did, coarse ms; 0 none

	mu        sync.Mutex // guards the following
	streams   map[uint32]*stream
	last      uint32   // the highest stream that was served, or refused
	closed    []uint32 // the last streams that we ended, a ring: what is under way for them is no fault
	nclosed   int
	window    int64 // what the client lets us send on all streams
	first     int64 // and on a new one
	credit    int64 // what we let the client send
	owed      int   // bytes read, for which no credit was given back yet
	unread    int64 // bytes of bodies that no room has read
	waiters   int   // answers that wait for the window of all streams
	lowered   int64 // until when that is to open, coarse ms; 0 nobody waits
	windowFor int64 // what is left of our patience with it, ms
	out       []byte
	spare     []byte
	sending   bool
	dead      bool      // nothing more is sent
	away      bool      // GOAWAY was sent
	room      sync.Cond // out has room, or all is over
	gone      sync.Cond // a stream is over
	idleAt    int64     // when the last one ended, coarse ms
	told      bool      // a piece of an answer was sent since the last ping
}

// blockState is what is known of a field block whose end has not come yet.
type blockState struct {
	stream uint32 // 0: none
	bytes  int
	frames int
	ends   bool    // the stream, on the client's side
	on     *stream // it is the trailers of that one
	refuse h2.Code // why no stream comes of it; NoError: one does
	ignore bool    // nothing comes of it at all
}

// Faults that end a connection or a stream.
type (
	connError   struct{ code h2.Code }
	streamError struct {
		stream uint32
		code   h2.Code
	}
)

func (e connError) Error() string   { return "listen: HTTP/2 connection error" }
func (e streamError) Error() string { return "listen: HTTP/2 stream error" }

// serve2 serves a connection that speaks HTTP/2, until it is over.
func (c *conn) serve2() {
	h := &http2conn{
		c: c, s: c.s, streams: map[uint32]*stream{},
		window: h2.FirstWindow, first: h2.FirstWindow, credit: h2.FirstWindow, idleAt: c.s.coarse(), windowFor: ms(c.s.cfg.Grace),
	}
	h.room.L, h.gone.L = &h.mu, &h.mu
	h.dec = hpack.NewDecoder(codingTable, h.emit)
	h.dec.SetMaxStringLength(c.s.cfg.MaxHead)
	_, _ = c.remote(), c.tlsState() // asked for once, before the streams do
	c.h2.Store(h)
	code := h2.NoError
	err := h.run()
	var ce connError
	if errors.As(err, &ce) {
		code = ce.code
		c.s.count.connErrors.Add(1)
		if !c.strange.Load() {
			c.odd(traffic.OddBroken)
		}
	}
	h.end(code, err)
}

// run reads frames until the connection is over.
func (h *http2conn) run() error {
	if err := h.preface(); err != nil {
		return err
	}
	for {
		h.began = 0
		b, err := h.peek(h2.HeaderSize, true)
		if err != nil {
			return err
		}
		f := h2.Parse(b)
		h.c.r += h2.HeaderSize
		if h.began == 0 {
			h.began = h.s.coarse()
		}
		err = h.frame(f)
		var se streamError
		if errors.As(err, &se) {
			err = h.failStream(se)
		}
		if err != nil {
			return err
		}
	}
}

// preface reads what a connection begins with, and says how we want it.
func (h *http2conn) preface() error {
	h.queue(func(b []byte) []byte {
		b = h2.AppendSettings(b,
			uint32(h2.MaxConcurrentStreams), mostStreams,
			uint32(h2.MaxHeaderListSize), uint32(h.s.cfg.MaxHead),
			uint32(h2.EnableConnect), 1,
			uint32(h2.NoPriorities), 1)
		return h2.AppendWindowUpdate(b, 0, connWindow-h2.FirstWindow)
	})
	h.credit = connWindow
	b, err := h.peek(len(h2.Preface), false)
	if err != nil {
		return err
	}
	if string(b) != h2.Preface {
		return connError{h2.ProtocolError}
	}
	h.c.r += len(h2.Preface)
	if b, err = h.peek(h2.HeaderSize, false); err != nil {
		return err
	}
	if f := h2.Parse(b); f.Type != h2.Settings || f.Has(h2.Ack) {
		return connError{h2.ProtocolError}
	}
	return nil
}

// peek returns the next n bytes; between is true where a frame may begin and the
// client may take its time.
func (h *http2conn) peek(n int, between bool) ([]byte, error) {
	c := h.c
	if n > h.s.cfg.MaxHead+smallBuffer {
		return nil, connError{h2.EnhanceYourCalm}
	}
	for c.w-c.r < n {
		if err := h.fill(between && c.w == c.r); err != nil {
			return nil, err
		}
	}
	return c.buf[c.r : c.r+n], nil
}

// fill reads more, after having sent what is to be sent.
func (h *http2conn) fill(between bool) error {
	h.send()
	c := h.c
	c.room()
	now := h.s.coarse()
	phase, until := phaseOpen, int64(0)
	switch {
	case !between, h.block.stream != 0:
		if h.began == 0 {
			h.began = now
		}
		phase, until = phaseHead, h.inTime(h.began+ms(h.s.cfg.HeadTimeout))
		if h.block.stream != 0 {
			c.spoke.Store(true)
		}
	case h.last == 0: // the reader's own goroutine alone changes it
		phase, until = phaseNew, c.accepted+ms(h.s.cfg.HeadTimeout)
	}
	if phase == phaseOpen {
		if !h.rest() {
			return io.EOF
		}
	} else if !c.go2(phase, until) {
		return io.EOF
	}
	n, err := c.read(c.buf[c.w:])
	c.w += n
	if !c.go2(phaseBusy, 0) {
		return io.EOF
	}
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.EOF
	}
	return err
}

// inTime holds a frame that has begun to the time for the first one, or to that of an
// idle connection, where no request is under way: pieces of frames without end are
// not to keep it open.
func (h *http2conn) inTime(until int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case len(h.streams) > 0:
		return until
	case h.last == 0:
		return min(until, h.c.accepted+ms(h.s.cfg.HeadTimeout))
	}
	return min(until, h.idleAt+ms(h.s.cfg.IdleTimeout)+ms(h.s.cfg.HeadTimeout))
}

// rest says that the reader waits for the next frame: for ever while requests are
// being served, else as long as a connection may be idle.
func (h *http2conn) rest() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.streams) > 0 {
		return h.c.go2(phaseOpen, 0)
	}
	if h.away || h.s.draining.Load() {
		return false
	}
	return h.c.go2(phaseIdle, h.idleAt+ms(h.s.cfg.IdleTimeout))
}

// go2 is enter for a connection whose phase others may change as well: from
// phaseOpen to phaseIdle, when the last request was answered.
func (c *conn) go2(phase uint64, until int64) bool {
	next := uint64(until)<<8 | phase
	for {
		word := c.watch.Load()
		if word&0xff == phaseEnded {
			return false
		}
		if c.watch.CompareAndSwap(word, next) {
			c.mark = next
			return true
		}
	}
}

// end ends the connection: says so to the client where that makes sense, and waits
// for the requests that were under way.
func (h *http2conn) end(code h2.Code, err error) {
	c := h.c
	h.mu.Lock()
	if !h.away || code != h2.NoError {
		h.away = true
		h.out = h2.AppendGoAway(h.out, h.last, code)
	}
	left := err != nil && code == h2.NoError // the client has, or must
	for _, st := range h.streams {
		st.lose()
	}
	h.mu.Unlock()
	if c.rude.Load() {
		left, err = true, nil // without a word
	} else {
		h.send()
		h.sent()
	}
	c.go2(phaseBusy, 0)
	if !left || errors.Is(err, io.EOF) {
		c.linger()
	}
	h.mu.Lock()
	h.dead = true
	h.room.Broadcast()
	for _, st := range h.streams {
		st.lose()
	}
	h.mu.Unlock()
	_ = c.shut() // the place is kept until the requests have ended
	h.mu.Lock()
	for len(h.streams) > 0 {
		h.gone.Wait()
	}
	h.mu.Unlock()
	if h.gather != nil {
		h.freeGather()
	}
}

// goAway tells the client that what it has not begun it had better ask for
// elsewhere.
func (h *http2conn) goAway() {
	h.mu.Lock()
	again := h.away || h.dead
	if !again {
		h.away = true
		h.out = h2.AppendGoAway(h.out, h.last, h2.NoError)
	}
	h.mu.Unlock()
	if !again {
		h.s.running.Go(h.send)
	}
}

// queue adds frames to what is to be sent. The reader calls it: it does not wait.
func (h *http2conn) queue(frames func([]byte) []byte) {
	h.mu.Lock()
	h.out = frames(h.buffer())
	h.mu.Unlock()
}

// buffer returns out, with memory. It needs mu.
func (h *http2conn) buffer() []byte {
	if h.out == nil {
		if b, ok := h.s.outs.Get().(*[]byte); ok {
			h.out = (*b)[:0]
		} else {
			h.out = make([]byte, 0, 8<<10)
		}
	}
	return h.out
}

// send sends what was collected, unless somebody else is at it.
func (h *http2conn) send() {
	h.mu.Lock()
	h.sendAll()
	h.mu.Unlock()
}

// sendAll is send for who holds mu, and lets go of it meanwhile.
func (h *http2conn) sendAll() {
	if h.sending || h.dead {
		return
	}
	h.sending = true
	for len(h.out) > 0 && !h.dead {
		b := h.out
		h.out, h.spare = h.spare, nil
		h.mu.Unlock()
		_, err := h.c.Write(b)
		h.mu.Lock()
		h.keep(b)
		if err != nil {
			h.dead = true
			for _, st := range h.streams {
				st.lose()
			}
		}
		h.room.Broadcast()
	}
	h.sending = false
	h.room.Broadcast()
	if len(h.out) == 0 { // an idle connection holds no buffers
		h.giveBack(h.out)
		h.giveBack(h.spare)
		h.out, h.spare = nil, nil
	}
}

// sent waits for whoever sends, at the end.
func (h *http2conn) sent() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.sending && !h.dead {
		h.room.Wait()
	}
}

// keep takes a buffer back for the next round.
func (h *http2conn) keep(b []byte) {
	if h.spare == nil && cap(b) <= mostWaiting {
		h.spare = b[:0]
	}
}

func (h *http2conn) giveBack(b []byte) {
	if b != nil && cap(b) <= mostWaiting {
		h.s.outs.Put(&b)
	}
}
