package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"seawall/internal/kit/clock"
)

// errStalled says that the origin took no more of a body.
var errStalled = fmt.Errorf("the origin takes no more of the request: %w", os.ErrDeadlineExceeded)

// isGRPC says whether a request is a call of gRPC. What browsers may send
// (application/grpc-web) is an ordinary request.
func isGRPC(h http.Header) bool {
	for _, v := range h["Content-Type"] {
		if rest, ok := strings.CutPrefix(v, "application/grpc"); ok && (rest == "" || rest[0] == '+' || rest[0] == ';') {
			return true
		}
	}
	return false
}

// tryHTTP2 is try for an origin that is spoken to in HTTP/2.
func (x *exchange) tryHTTP2(b *backend) (again bool, err error) {
	ctx, cancel := context.WithCancel(x.ctx)
	defer cancel()
	said := interims{x: x}
	var first atomic.Int64 // clock.Instant of the answer's first byte
	s := x.newSending(cancel)
	x.sending.Store(s)
	defer s.end()
	// The transport does not look at ctx while it reads the body.
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	trace := &httptrace.ClientTrace{
		GotFirstResponseByte: func() { first.Store(int64(x.p.clk.Now())) },
		Got1xxResponse:       said.take,
		WroteRequest:         func(httptrace.WroteRequestInfo) { s.wrote() },
	}
	out := x.requestHTTP2(httptrace.WithClientTrace(ctx, trace), b, s)
	if out.Body != nil && !x.body.complete {
		x.lasts(cutHTTP2{x})
	}
	sent := x.p.clk.Now()
	x.asked = sent
	res, err := b.h2.transport.RoundTrip(out)
	said.end()
	x.outcome.Reached = x.outcome.Reached || !errors.Is(err, errDial)
	if at := clock.Instant(first.Load()); at > 0 {
		x.outcome.OriginTime = max(at.Sub(x.body.sentAt(sent)), 1)
	}
	if err != nil {
		if x.outcome.OriginTime == 0 && x.body.ended() {
			x.outcome.OriginTime = x.p.clk.Now().Sub(x.body.sentAt(sent))
		}
		s.end() // so that it can be told whose fault it was
		switch {
		case s.stalled.Load():
			err = errStalled
		case errors.Is(err, errDial):
			again = !x.body.touched.Load()
		default:
			again = safe(x.method) && x.body.length == 0 && !timedOut(err)
		}
		return again, err
	}
	defer res.Body.Close()
	x.asked = 0
	h := head{status: res.StatusCode, fields: fieldsOf(res.Header)}
	if err := h.frame(x.method, 1); err != nil {
		return false, err
	}
	if h.status < 500 {
		x.slot.Observe(x.class(), sent, x.outcome.OriginTime)
	}
	x.lasts(cutHTTP2{x})
	x.answerHTTP2(res, h, s)
	x.slot.Release()
	if !x.body.ended() && x.major == 1 {
		_ = x.rc().Flush()
		cancel()
		s.end()
		x.linger()
	}
	return false, nil
}

// cutHTTP2 ends an exchange in HTTP/2 where it is closed.
type cutHTTP2 struct{ x *exchange }

func (c cutHTTP2) Close() error {
	c.x.sending.Load().cancel()
	return nil
}

// requestHTTP2 is what the origin is asked.
func (x *exchange) requestHTTP2(ctx context.Context, b *backend, s *sending) *http.Request {
	r, host := x.r, x.hostFor(b)
	out := &http.Request{
		Method: r.Method, URL: b.h2.url(x.target, host), Host: host,
		Header: x.fieldsHTTP2(), ContentLength: x.body.length,
	}
	if x.body.length != 0 {
		out.Body, out.Trailer = s, s.trailer
		if x.body.complete { // so that it can be sent once more where it was not taken
			whole := x.body.pending
			out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(whole)), nil }
		}
	} else {
		s.mu.Lock()
		s.finish(io.EOF)
		s.mu.Unlock()
	}
	return out.WithContext(ctx)
}

// fieldsHTTP2 is what writeHead writes, without what HTTP/2 says otherwise.
func (x *exchange) fieldsHTTP2() http.Header {
	var forwarded bytes.Buffer
	bw := bufio.NewWriter(&forwarded)
	x.writeForwarded(bw)
	_ = bw.Flush()
	out := http.Header{}
	if f, err := parseFields(nil, forwarded.String()); err == nil { // else a host that is none
		f.addTo(out)
	}
	for k, vv := range x.r.Header {
		if !ours(k) {
			out[k] = vv
		}
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = nil // net/http would send its own
	}
	if x.trailers {
		out["Te"] = []string{"trailers"}
	}
	if x.expects {
		out["Expect"] = []string{"100-continue"}
	}
	return out
}

// interims passes 1xx answers on. They come on the goroutine that reads for all
// requests on a connection, which must not wait for a client.
type interims struct {
	x    *exchange
	mu   sync.Mutex
	over bool
	ch   chan head // nil until there is one
	done chan struct{}
}

func (i *interims) take(status int, said textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case status == http.StatusSwitchingProtocols:
		return nonsense("it changes the protocol unasked")
	case i.over, status == http.StatusContinue:
		return nil
	case i.ch == nil:
		i.ch, i.done = make(chan head, maxInterim), make(chan struct{})
		go func() {
			defer close(i.done)
			for h := range i.ch {
				i.x.interim(h)
			}
		}()
	}
	select {
	case i.ch <- head{status: status, fields: fieldsOf(http.Header(said))}:
		return nil
	default:
		return nonsense("it sends more than %d interim answers at once", maxInterim)
	}
}

// end waits until all were passed on.
func (i *interims) end() {
	i.mu.Lock()
	i.over = true
	i.mu.Unlock()
	if i.ch != nil {
		close(i.ch)
		<-i.done
	}
}

// answerHTTP2 is answer for what came in HTTP/2.
func (x *exchange) answerHTTP2(res *http.Response, h head, s *sending) {
	if res.Body == http.NoBody && h.framing == framedClose {
		// Its fields are all there is, and must be seen to be: trailers of a call
		// that failed come so.
		h.framing, h.length = framedNone, 0
	}
	var names []string
	if h.framing != framedNone {
		for k := range res.Trailer {
			names = append(names, k)
		}
	}
	if len(names) > 0 {
		h.fields = append(h.fields, [2]string{"Trailer", strings.Join(names, ", ")})
		if x.major == 1 { // has no place for trailers behind a known length
			h.framing, h.length = framedClose, -1
		}
	}
	x.beginAnswer(h)
	if h.framing == framedNone {
		return
	}
	if h.framing != framedLength {
		x.flush()
	}
	if err := x.copyHTTP2(res.Body, s); err != nil {
		x.outcome.Failed = err != errClientGone && x.ctx.Err() == nil && !x.cut.Load() && !s.quiet.Load()
		x.abort(h.framing)
	}
	x.endAnswer(fieldsOf(res.Trailer))
}

// copyHTTP2 copies an answer's body, each piece as it comes.
func (x *exchange) copyHTTP2(body io.Reader, s *sending) error {
	buf := x.p.large.Get().(*[]byte)
	defer x.p.large.Put(buf)
	for {
		n, err := body.Read(*buf)
		s.heard()
		if n > 0 {
			x.reader.begin(x)
			_, werr := x.w.Write((*buf)[:n])
			if werr == nil {
				werr = x.rc().Flush()
			}
			x.reader.end(x)
			if werr != nil {
				return errClientGone
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
