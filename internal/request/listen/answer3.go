package listen

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"seawall/internal/mitigation"
	"seawall/internal/request/listen/h3"
)

// sendAt is how many bytes of an answer are collected before they are sent.
const sendAt = 16 << 10

// answer3 carries an answer on a stream of HTTP/3.
type answer3 struct {
	st    *stream3
	left  int64    // bytes of the body still to come; -1 unknown
	names []string // of trailers that the room announces
	sized bool     // nothing follows but the body that was announced

	mu       sync.Mutex // guards the following: 100 (Continue) may come from another goroutine
	buf      []byte     // to be sent; nil none
	lost     error      // why no more can be sent
	doomed   bool       // nor need the stream be ended
	writeFor time.Duration
}

// refuse sends the door's answer, and returns how many bytes its body has.
func (a *answer3) refuse(s *scratch, date []byte, answer *mitigation.Answer, bare bool) (n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	block := h3.AppendFieldBytes(h3.AppendStatus(s.out[:0], answer.Status), "Date", date)
	s.out = appendRefusal(block, "", answer, h3.AppendField)
	a.buf = h3.AppendFrame(a.buffer(), h3.Headers, s.out)
	if n = int64(len(answer.Body)); bare {
		n = 0
	}
	if n > 0 {
		a.buf = h3.AppendFrame(a.buf, h3.Data, answer.Body)
	}
	if a.send() == nil {
		_ = a.st.quic.Close()
	}
	return n
}

// buffer returns buf, with memory. It needs mu.
func (a *answer3) buffer() []byte {
	if a.buf == nil {
		if b, ok := a.st.h.s.outs.Get().(*[]byte); ok {
			return (*b)[:0]
		}
		return make([]byte, 0, 8<<10)
	}
	return a.buf
}

// free gives the memory back.
func (a *answer3) free() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.buf; b != nil && cap(b) <= mostWaiting {
		a.st.h.s.outs.Put(&b)
	}
	a.buf = nil
}

// lose has nothing more sent, since the connection is about to end. A write that is
// under way ends with it.
func (a *answer3) lose(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost, a.doomed = why, true
}

// send sends what was collected. It needs mu.
func (a *answer3) send() error {
	if len(a.buf) == 0 {
		return nil
	}
	_, err := a.put(a.buf)
	a.buf = a.buf[:0]
	return err
}

// put sends p, held to the least rate. It needs mu.
func (a *answer3) put(p []byte) (written int, err error) {
	if a.lost != nil {
		return 0, a.lost
	}
	defer func() { a.lost = err }()
	const piece = 32 << 10
	st, cfg := a.st, &a.st.h.s.cfg
	for written < len(p) {
		begun := time.Now()
		st.mu.Lock()
		room := st.roomWrite
		st.mu.Unlock()
		at := begun.Add(max(a.writeFor, time.Millisecond))
		if !room.IsZero() && room.Before(at) {
			at = room
		}
		_ = st.quic.SetWriteDeadline(at)
		n, err := st.quic.Write(p[written:min(len(p), written+piece)])
		written += n
		a.writeFor = min(cfg.Grace, a.writeFor-time.Since(begun)+time.Duration(n)*time.Second/time.Duration(cfg.MinRate))
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded), !room.IsZero() && !time.Now().Before(room):
			return written, err
		case a.writeFor <= 0:
			st.h.s.count.timeouts[timeoutWrite].Add(1)
			if st.x != nil && st.x.req != nil {
				st.x.req.life.end()
			}
			return written, err
		}
	}
	return written, nil
}

func (a *answer3) interim(x *exchange, status int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.buf = h3.AppendFrame(a.buffer(), h3.Headers, x.appendFields(h3.AppendStatus(nil, status), h3.AppendField))
	return a.send()
}

// goOn asks for the body of a request that waits to be asked for it.
func (a *answer3) goOn() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.buf = h3.AppendFrame(a.buffer(), h3.Headers, h3.AppendStatus(nil, http.StatusContinue))
	_ = a.send()
}

func (a *answer3) begin(x *exchange, status int) {
	s := x.s.scratch()
	defer x.s.scratches.Put(s)
	block := h3.AppendStatus(s.out[:0], status)
	if !x.says("Date") {
		block = h3.AppendFieldBytes(block, "Date", *x.s.date.Load())
	}
	block = x.appendFields(block, h3.AppendField)
	if x.size >= 0 && status != http.StatusNoContent {
		var digits [20]byte
		block = h3.AppendFieldBytes(block, "Content-Length", strconv.AppendInt(digits[:0], x.size, 10))
	}
	if cap(block) <= keepBuffer {
		s.out = block[:0]
	}
	a.left = x.size
	a.names = x.trailers()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.buf = h3.AppendFrame(a.buffer(), h3.Headers, block)
	// One frame is enough for a body of a known length.
	if a.sized = a.left > 0 && !x.noBody; a.sized {
		a.buf = h3.AppendHeader(a.buf, h3.Data, int(a.left))
	}
}

func (a *answer3) write(x *exchange, p []byte) (int, error) {
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
	if len(p) == 0 {
		return 0, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.sized {
		a.buf = h3.AppendHeader(a.buffer(), h3.Data, len(p))
	}
	if len(a.buf)+len(p) < sendAt {
		a.buf = append(a.buffer(), p...)
		return len(p), nil
	}
	if err := a.send(); err != nil {
		return 0, err
	}
	return a.put(p)
}

func (a *answer3) flush(*exchange) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.send()
}

func (a *answer3) finish(x *exchange) error {
	if a.left > 0 && !x.noBody {
		return http.ErrContentLength
	}
	var block []byte
	for _, t := range trailerValues(x.header, a.names) {
		for _, v := range t.values {
			if isName(t.name) && !x.noBody {
				if block == nil {
					block = h3.AppendPrefix(nil)
				}
				block = h3.AppendFieldBytes(block, t.name, appendValue(nil, v))
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if block != nil {
		a.buf = h3.AppendFrame(a.buffer(), h3.Headers, block)
	}
	if err := a.send(); err != nil {
		return err
	}
	if a.lost != nil { // whether the room minded or not
		return a.lost
	}
	a.st.watched() // or our own end would look like the client's
	return a.st.quic.Close()
}

// abandon leaves it to the stream's end to reset it.
func (a *answer3) abandon(*exchange) {}

func (a *answer3) fault() fault { return a.st.faultNow() }

func (a *answer3) readBy(t time.Time) error { return a.st.readBy(t) }

// writeBy bounds the writes to come.
func (a *answer3) writeBy(t time.Time) error {
	a.st.mu.Lock()
	defer a.st.mu.Unlock()
	a.st.roomWrite = t
	return a.st.quic.SetWriteDeadline(t)
}

// take is not to be had: we do not say that we know extended CONNECT.
func (a *answer3) take(*exchange) (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errNoUpgrade
}

// tooLarge answers a request whose head is larger than we take.
func (st *stream3) tooLarge() {
	st.h.s.count.malformed[faultHeadSize].Add(1)
	a := &st.out
	a.mu.Lock()
	defer a.mu.Unlock()
	block := h3.AppendField(h3.AppendStatus(nil, http.StatusRequestHeaderFieldsTooLarge), "Content-Length", "0")
	a.buf = h3.AppendFrame(a.buffer(), h3.Headers, block)
	if a.send() == nil {
		_ = st.quic.Close()
	}
	st.quic.CancelRead(quic.StreamErrorCode(h3.NoError))
	st.h.glitch(glitchStream)
}
