package proxy

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// sending is a request's body on its way to an origin in HTTP/2. The transport
// reads it, on a goroutine of its own. It does what upload.run does in HTTP/1.1,
// and keeps the upload's state for what both have in common.
type sending struct {
	x       *exchange
	trailer http.Header // filled in at the body's end; nil for none
	cancel  context.CancelFunc
	stays   func()      // tells listen not to hurry the client; nil where it cannot be told
	stalled atomic.Bool // the origin took no more
	quiet   atomic.Bool // nothing was said for too long

	mu      sync.Mutex
	stall   *time.Timer // while the origin takes a piece
	idle    *time.Timer // of a long call; nil until it is one
	reading bool
	over    bool // nothing more is to be read
	done    bool // the upload's done is closed
}

// newSending begins to send what there is of a body; cancel ends the exchange.
func (x *exchange) newSending(cancel context.CancelFunc) *sending {
	s := &sending{x: x, cancel: cancel}
	x.body.done = make(chan struct{})
	if x.grpc {
		s.stays = stays(x.w)
	}
	if x.body.length < 0 {
		s.trailer = make(http.Header, len(x.r.Trailer))
		s.addTrailers() // of a body that is still to come, the names
	}
	s.stall = time.AfterFunc(time.Hour, func() {
		s.stalled.Store(true)
		cancel()
	})
	s.stall.Stop()
	return s
}

// Read reads what was read ahead, then from the client.
func (s *sending) Read(p []byte) (int, error) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return 0, errStopped
	}
	s.reading = true
	s.stall.Stop()
	s.mu.Unlock()

	u := &s.x.body
	u.touched.Store(true)
	var n int
	var err error
	switch {
	case len(u.pending) > 0:
		n = copy(p, u.pending)
		u.pending = u.pending[n:]
		if u.complete && len(u.pending) == 0 {
			err = io.EOF
		}
	case u.complete:
		err = io.EOF
	default:
		u.sender.begin(s.x)
		n, err = s.x.r.Body.Read(p)
		u.sender.end(s.x)
	}
	if err == io.EOF && s.trailer != nil {
		s.addTrailers()
	}
	u.mu.Lock()
	u.sent = s.x.p.clk.Now()
	u.mu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	s.active()
	if !s.over {
		s.stall.Reset(s.x.p.cfg.AnswerTimeout)
	}
	if s.over && err != io.EOF {
		err = errStopped
	}
	if err != nil {
		s.finish(err)
	}
	return n, err
}

func (s *sending) addTrailers() {
	for k, vv := range s.x.r.Trailer {
		if !ours(k) {
			s.trailer[k] = vv
		}
	}
}

// finish lets those go on who wait for the body to be read. It needs mu.
func (s *sending) finish(err error) {
	if s.done {
		return
	}
	s.done, s.over = true, true
	if err != io.EOF {
		s.x.body.failure = err
	}
	close(s.x.body.done)
}

// Close ends the reading; the transport may call it at any time.
func (s *sending) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
	case !s.reading:
		s.finish(errStopped)
	default:
		s.over = true
		if s.x.rc().SetReadDeadline(past) != nil {
			go s.x.r.Body.Close()
		}
	}
	s.stall.Stop()
	return nil
}

// end ends the reading and waits for its end, and for that of whatever may still
// tell listen something.
func (s *sending) end() {
	_ = s.Close()
	<-s.x.body.done
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stays = nil
	s.stall.Stop()
	if s.idle != nil {
		s.idle.Stop()
	}
}

// wrote says that the origin has taken everything.
func (s *sending) wrote() {
	s.mu.Lock()
	s.stall.Stop()
	s.mu.Unlock()
}

// lasts says that the exchange counts as a stream. A call may then be silent, as an
// upgraded connection may.
func (s *sending) lasts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stays == nil || s.idle != nil {
		return
	}
	s.stays()
	s.idle = time.AfterFunc(s.x.p.cfg.UpgradeIdle, func() {
		s.quiet.Store(true)
		s.cancel()
	})
}

// active notes that something was said. It needs mu.
func (s *sending) active() {
	if s.idle != nil {
		s.idle.Reset(s.x.p.cfg.UpgradeIdle)
	}
}

// heard notes that the origin said something.
func (s *sending) heard() {
	s.mu.Lock()
	s.active()
	s.mu.Unlock()
}

// stays looks for the way to tell listen that a request's client may be silent for
// long.
func stays(w http.ResponseWriter) func() {
	for w != nil {
		if t, ok := w.(interface{ Stays() }); ok {
			return t.Stays
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
	return nil
}
