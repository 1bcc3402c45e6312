package listen

import (
	"container/list"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"seawall/internal/request/listen/h3"
)

// Read reads the body, for the room.
func (st *stream3) Read(p []byte) (int, error) {
	x := st.x
	if x.head.expects && x.req.said.CompareAndSwap(0, 1) {
		st.out.goOn()
	}
	n, err := st.body(p)
	var f fault3
	switch {
	case err == nil || err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded):
	case errors.As(err, &f) && f.whole:
		st.h.fail(f.code)
		st.out.lose(f)
		err = io.ErrUnexpectedEOF
	case errors.As(err, &f):
		err = st.bad(faultTrailers, f.code)
	case errors.Is(err, errTooLarge):
		err = st.bad(faultTrailers, h3.MessageError)
	case st.faultNow() == faultNone: // the client has taken the request back
		x.req.life.end()
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// body reads from the DATA frames of the stream, and at their end the trailers.
func (st *stream3) body(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if f := st.faultNow(); f != faultNone {
		return 0, f
	}
	for st.left == 0 {
		kind, length, err := st.frame()
		switch {
		case err == io.EOF:
			return 0, st.whole()
		case err != nil:
			return 0, err
		case st.trailed && (kind == h3.Data || kind == h3.Headers):
			return 0, fault3{h3.FrameUnexpected, true}
		case kind == h3.Data:
			if length == 0 && !st.h.glitch(glitchFrame) {
				return 0, io.ErrUnexpectedEOF
			}
			st.left = int64(min(length, 1<<62))
		case kind == h3.Headers:
			err = st.trailers(length)
		default:
			err = st.skip(length)
		}
		if err != nil {
			return 0, err
		}
	}
	p = p[:min(int64(len(p)), st.left)]
	n := st.hand(p)
	if n == 0 {
		var err error
		if n, err = st.read(p); n == 0 && err != nil {
			return 0, early(err)
		}
	}
	st.left -= int64(n)
	st.got += int64(n)
	most, announced := st.h.s.cfg.MaxBody, st.x.head.length
	switch {
	case most > 0 && st.got > most:
		return 0, st.bad(faultTooLarge, 0)
	case announced >= 0 && st.got > announced:
		return 0, st.bad(faultLength, h3.MessageError)
	}
	return n, nil
}

// whole is the end of the body.
func (st *stream3) whole() error {
	if n := st.x.head.length; n >= 0 && st.got != n {
		return st.bad(faultLength, h3.MessageError)
	}
	return io.EOF
}

func (st *stream3) trailers(length uint64) error {
	b, err := st.section(length)
	if err != nil {
		return err
	}
	g := st.h.s.newGather(st.h.c, '3', true)
	defer st.h.s.freeGather(g)
	if err := st.decode(g, b); err != nil {
		return err
	}
	if g.fault || g.over {
		return fault3{code: h3.MessageError}
	}
	st.trailed = true
	if g.trails != nil {
		st.x.req.http.Trailer = g.trails
	}
	return nil
}

// bad notes what is wrong with the body, and why the stream is to be reset for that,
// if it is.
func (st *stream3) bad(f fault, code h3.Code) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.fault == faultNone {
		st.fault, st.code = f, code
		if f != faultSlowBody {
			st.h.s.count.malformed[f].Add(1)
		}
	}
	return st.fault
}

func (st *stream3) faultNow() fault {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.fault
}

// read reads from the stream itself: the head as long as that may take, the body
// within the client's budget.
func (st *stream3) read(p []byte) (int, error) {
	if st.eof {
		return 0, io.EOF
	}
	if st.x == nil {
		n, err := st.quic.Read(p)
		st.eof = err == io.EOF
		return n, err
	}
	begun := time.Now()
	st.mu.Lock()
	st.until = begun.Add(max(st.readFor, time.Millisecond))
	st.bound()
	st.mu.Unlock()
	n, err := st.quic.Read(p)
	st.eof = err == io.EOF
	cfg := &st.h.s.cfg
	st.readFor = min(cfg.Grace, st.readFor-time.Since(begun)+time.Duration(n)*time.Second/time.Duration(cfg.MinRate))
	if n > 0 && !st.eof {
		return n, nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !st.roomIsLate() {
		st.h.s.count.timeouts[timeoutBody].Add(1)
		return n, st.bad(faultSlowBody, 0)
	}
	return n, err
}

// bound sets the deadline of a read: the client's, or the room's where that is
// earlier. It needs mu.
func (st *stream3) bound() {
	at := st.until
	switch {
	case st.late:
		at = time.Unix(1, 0)
	case !st.roomRead.IsZero() && st.roomRead.Before(at):
		at = st.roomRead
	}
	_ = st.quic.SetReadDeadline(at)
}

func (st *stream3) roomIsLate() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.late || !st.roomRead.IsZero() && !time.Now().Before(st.roomRead)
}

// wake has a read that is under way return, and all later ones.
func (st *stream3) wake() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.late = true
	st.bound()
}

// readBy bounds the reading of the body; the zero time unbinds it.
func (st *stream3) readBy(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.roomRead, st.late = t, false
	st.bound()
	return nil
}

// largeHeads holds the streams whose field sections are large and have not come
// yet. When there are too many, the one that has been coming for longest is given
// up: honest ones are there within a moment. Safe for concurrent use.
type largeHeads struct {
	most int
	mu   sync.Mutex
	list list.List // of *stream3
}

func (l *largeHeads) enter(st *stream3) *list.Element {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list.Len() >= l.most {
		oldest := l.list.Remove(l.list.Front()).(*stream3)
		oldest.quic.CancelRead(quic.StreamErrorCode(h3.ExcessiveLoad))
	}
	return l.list.PushBack(st)
}

func (l *largeHeads) leave(e *list.Element) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list.Remove(e) // nothing where it was given up
}
