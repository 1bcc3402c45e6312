package listen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"

	"seawall/internal/mitigation"
	"seawall/internal/request/listen/h3"
	"seawall/internal/traffic"
)

// stream3 is one request on a connection of HTTP/3. Its goroutine reads the head,
// asks the door and runs the rooms.
type stream3 struct {
	h    *http3
	quic *quic.Stream
	x    *exchange // from when its head is there

	// The reader's own.
	buf     []byte // buf[r:w] was read from the stream and not handed on
	r, w    int
	eof     bool  // the client sends no more
	left    int64 // bytes of the DATA frame being read, still to come
	got     int64 // of the body, in all
	skipped int64 // in frames that we do not know
	trailed bool  // the trailers have come
	readFor time.Duration
	small   [smallBuffer]byte

	mu        sync.Mutex // guards the following
	fault     fault      // of the body
	code      h3.Code    // why the stream is to be reset for that; 0: it is not
	late      bool       // no more is to be read
	roomRead  time.Time  // the room's own deadlines
	roomWrite time.Time
	until     time.Time // when the read that is under way takes too long

	watched func() bool // stops the watch for a client that leaves
	out     answer3
}

func newStream3(h *http3, q *quic.Stream) *stream3 {
	st := &stream3{h: h, quic: q, readFor: h.s.cfg.Grace}
	st.buf = st.small[:]
	st.out = answer3{st: st, writeFor: h.s.cfg.Grace}
	return st
}

// run serves the request, from its first byte to its end.
func (st *stream3) run() {
	h := st.h
	defer func() {
		st.out.free()
		st.quic.ReleaseStreamCredit()
		h.end()
	}()
	b, err := st.readHead()
	if err == nil {
		err = st.request(b)
	}
	if err != nil {
		st.failed(err)
	}
}

// failed ends a stream that no request came of.
func (st *stream3) failed(err error) {
	h := st.h
	var f fault3
	switch {
	case h.quic.Context().Err() != nil:
		return
	case errors.As(err, &f) && f.whole:
		h.fail(f.code)
		return
	case errors.As(err, &f):
	case errors.Is(err, errTooLarge):
		st.tooLarge()
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		h.s.count.timeouts[timeoutHead].Add(1)
		f.code = h3.RequestRejected
	default: // taken back by the client, or given up by us
		f.code = h3.RequestCancelled
		h.glitch(glitchReset)
		reject(st.quic, f.code)
		return
	}
	reject(st.quic, f.code)
	h.glitch(glitchStream)
}

// readHead reads until the field section of a head is there, and returns it.
func (st *stream3) readHead() ([]byte, error) {
	_ = st.quic.SetReadDeadline(time.Now().Add(st.h.s.cfg.HeadTimeout))
	for {
		kind, length, err := st.frame()
		switch {
		case err == io.EOF:
			return nil, fault3{code: h3.RequestIncomplete}
		case err != nil:
			return nil, err
		case kind == h3.Data:
			return nil, fault3{h3.FrameUnexpected, true}
		case kind != h3.Headers:
			if err := st.skip(length); err != nil {
				return nil, err
			}
			continue
		}
		return st.section(length)
	}
}

// frame reads the beginning of the next frame; io.EOF where there is none. Frames
// that may not be on such a stream end the connection.
func (st *stream3) frame() (kind, length uint64, err error) {
	for {
		var size int
		if kind, length, size = h3.Header(st.buf[st.r:st.w]); size > 0 {
			st.r += size
			break
		}
		switch err := st.fill(16); {
		case err == io.EOF && st.w > st.r:
			return 0, 0, fault3{h3.FrameError, true}
		case err != nil:
			return 0, 0, err
		}
	}
	switch {
	case h3.FromHTTP2(kind):
	case kind == h3.CancelPush, kind == h3.Settings, kind == h3.PushPromise, kind == h3.GoAway, kind == h3.MaxPushID:
	default:
		return kind, length, nil
	}
	return 0, 0, fault3{h3.FrameUnexpected, true}
}

// fill reads more into buf, which is to have room for n bytes from r on.
func (st *stream3) fill(n int) error {
	if st.eof {
		return io.EOF
	}
	if st.r == st.w {
		st.r, st.w = 0, 0
	}
	if st.r+n > len(st.buf) {
		st.w = copy(st.buf, st.buf[st.r:st.w])
		st.r = 0
	}
	k, err := st.read(st.buf[st.w:])
	st.w += k
	if k > 0 {
		return nil
	}
	return err
}

// section reads a field section of so many bytes. What it returns is good until the
// next reading.
func (st *stream3) section(length uint64) ([]byte, error) {
	n := int(min(length, 1<<20))
	if n > st.h.s.cfg.MaxHead {
		return nil, errTooLarge
	}
	if n <= smallBuffer {
		for st.w-st.r < n {
			if err := st.fill(n); err != nil {
				return nil, early(err)
			}
		}
		st.r += n
		return st.buf[st.r-n : st.r], nil
	}
	large := &st.h.s.quic.heads
	at := large.enter(st)
	defer large.leave(at)
	b := make([]byte, n)
	for have := st.hand(b); have < n; {
		k, err := st.read(b[have:])
		if have += k; k == 0 && err != nil {
			return nil, early(err)
		}
	}
	return b, nil
}

// hand hands on what was read already.
func (st *stream3) hand(b []byte) int {
	n := copy(b, st.buf[st.r:st.w])
	st.r += n
	return n
}

// early is what the end of a stream means in the middle of a frame.
func early(err error) error {
	if err == io.EOF {
		return fault3{h3.FrameError, true}
	}
	return err
}

var errTooLarge = errors.New("listen: a field section larger than we take")

// skip reads a frame of a kind that we do not know.
func (st *stream3) skip(length uint64) error {
	const most = 64 << 10 // of such frames, on one stream
	if length > most || st.skipped+int64(length) > most || !st.h.glitch(glitchCrumb) {
		return fault3{code: h3.ExcessiveLoad}
	}
	st.skipped += int64(length)
	for left := int(length); left > 0; {
		if st.r == st.w {
			if err := st.fill(1); err != nil {
				return early(err)
			}
		}
		n := min(left, st.w-st.r)
		st.r += n
		left -= n
	}
	return nil
}

// decode hands the fields of a section to g.
func (st *stream3) decode(g *gather, b []byte) error {
	for next := qpack.NewDecoder().Decode(b); ; {
		f, err := next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fault3{h3.DecompressionFailed, true}
		}
		g.judge(&st.h.s.cfg, f.Name, f.Value)
	}
}

// request makes a request of the field section b, and has it answered.
func (st *stream3) request(b []byte) error {
	h := st.h
	g := h.s.newGather(h.c, '3', false)
	defer h.s.freeGather(g)
	if err := st.decode(g, b); err != nil {
		return err
	}
	if g.over {
		return errTooLarge
	}
	ends, err := st.bodiless(g)
	if err != nil {
		return err
	}
	if g.fault || !g.finish(ends) || g.x.head.upgrades {
		h.s.count.malformed[faultFields].Add(1)
		return fault3{code: h3.MessageError}
	}
	x := g.x
	x.head.version = traffic.HTTP3
	x.fill(g.buf.body)
	x.visit.Peer = h.peer()
	x.visit.Client = x.visit.Peer
	g.x = nil // the stream's
	st.x = x
	defer h.s.freeExchange(x)
	return st.meetDoor()
}

// bodiless says whether the head is all of the request. That is waited for where a
// body would be unusual and no length says that there is one: a HEADERS frame does
// not say it, and whoever serves the request is to know.
func (st *stream3) bodiless(g *gather) (bool, error) {
	switch string(g.pseudo[pseudoMethod].of(g.buf.body)) {
	case "GET", "HEAD", "OPTIONS", "DELETE":
	default:
		return false, nil
	}
	if g.fault || g.x.head.lengths > 0 {
		return false, nil
	}
	for st.r == st.w {
		err := st.fill(1)
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// meetDoor takes the request to the door, and serves or refuses it.
func (st *stream3) meetDoor() error {
	h, x := st.h, st.x
	c := h.c
	x.decide()
	if c.weigh(x) {
		st.serve()
		return nil
	}
	if x.verdict.Action == mitigation.Drop && x.proof == "" {
		x.record()
		h.quit(h3.RequestRejected)
		return nil
	}
	s := h.s.scratch()
	defer h.s.scratches.Put(s)
	a := x.refusal(s.body[:0])
	x.outcome.BytesOut = st.out.refuse(s, *h.s.date.Load(), &a, x.visit.Method == "HEAD")
	if cap(a.Body) > cap(s.body) && cap(a.Body) <= keepBuffer {
		s.body = a.Body[:0]
	}
	x.outcome.Status = a.Status
	x.record()
	st.quic.CancelRead(quic.StreamErrorCode(h3.NoError))
	if a.Close {
		h.goAway()
	}
	return nil
}

// serve runs the rooms for the request.
func (st *stream3) serve() {
	h, x := st.h, st.x
	x.out = &st.out
	if err := x.standard(); err != nil {
		h.s.count.disagreed.Add(1)
		x.outcome.Status = http.StatusBadRequest
		x.record()
		reject(st.quic, h3.MessageError)
		return
	}
	x.req.reads(st, st.wake)
	st.watched = context.AfterFunc(st.quic.Context(), x.req.life.end)
	whole := x.serve()
	st.watched()
	st.mu.Lock()
	code := st.code
	st.mu.Unlock()
	st.out.mu.Lock()
	doomed := st.out.doomed
	st.out.mu.Unlock()
	switch {
	case doomed:
	case code != 0:
		h.glitch(glitchStream)
		reject(st.quic, code)
	case !whole:
		reject(st.quic, h3.InternalError)
		if x.outcome.Left {
			h.glitch(glitchReset)
		}
	case !st.eof: // nobody wants the rest of the body
		st.quic.CancelRead(quic.StreamErrorCode(h3.NoError))
	}
}
