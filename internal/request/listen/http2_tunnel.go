package listen

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"sync"
	"time"

	"seawall/internal/request/listen/h2"
)

var (
	errStreamOver = errors.New("listen: the stream is over")
	errNoAnswer   = errors.New("listen: the head of an answer was to be written first")
)

// take hands a stream over that was opened by an extended CONNECT. The first thing
// that is written to it must be the head of an answer in HTTP/1.1; the client gets
// what that means in HTTP/2 (RFC 8441, section 5).
func (a *answer2) take(x *exchange) (net.Conn, *bufio.ReadWriter, error) {
	a.left = -1
	t := &tunnel2{st: a.st, x: x, a: a}
	return t, bufio.NewReadWriter(bufio.NewReader(t), bufio.NewWriter(t)), nil
}

// tunnel2 is a stream as a connection.
type tunnel2 struct {
	st   *stream
	x    *exchange
	a    *answer2
	wmu  sync.Mutex
	head []byte // of the answer, until all of it is there
	open bool   // it was sent
}

func (t *tunnel2) Read(p []byte) (int, error) { return t.st.Read(p) }

func (t *tunnel2) Write(p []byte) (int, error) {
	t.wmu.Lock()
	defer t.wmu.Unlock()
	n := len(p)
	if !t.open {
		t.head = append(t.head, p...)
		i := bytes.Index(t.head, []byte("\r\n\r\n"))
		if i < 0 {
			if len(t.head) > 64<<10 {
				return 0, errNoAnswer
			}
			return n, nil
		}
		if err := t.begin(t.head[:i+4]); err != nil {
			return 0, err
		}
		p = t.head[i+4:]
	}
	for len(p) > 0 {
		k, _, err := t.a.data(p)
		if err != nil {
			return 0, err
		}
		p = p[k:]
		t.st.h.send()
	}
	return n, nil
}

// begin sends the head of the answer.
func (t *tunnel2) begin(head []byte) error {
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(head)))
	if line, err := r.ReadLine(); err != nil || len(line) < 12 || line[9:12] != "101" {
		return errNoAnswer
	}
	fields, err := r.ReadMIMEHeader()
	if err != nil && err != io.EOF {
		return errNoAnswer
	}
	fields.Del("Sec-Websocket-Accept")
	t.open = true
	t.a.headers(appendHeader(h2.AppendStatus(nil, http.StatusOK), http.Header(fields), h2.AppendField), false)
	t.st.h.send()
	return nil
}

// CloseWrite ends our side of the stream.
func (t *tunnel2) CloseWrite() error {
	st, h := t.st, t.st.h
	h.mu.Lock()
	if !t.a.over && !st.lost && !h.dead {
		t.a.over = true
		h.out = h2.AppendFrame(h.buffer(), h2.Frame{Type: h2.Data, Flags: h2.EndStream, Stream: st.id})
	}
	h.mu.Unlock()
	h.send()
	return nil
}

// Close ends the stream, in good order where both sides have ended theirs.
func (t *tunnel2) Close() error {
	st, h := t.st, t.st.h
	h.mu.Lock()
	if !st.lost && !(t.a.over && st.ended) {
		code := h2.Cancel
		if t.a.over {
			code = h2.NoError
		}
		h.out = h2.AppendReset(h.buffer(), st.id, code)
		h.remember(st.id)
	}
	st.lose()
	h.mu.Unlock()
	h.send()
	return nil
}

func (t *tunnel2) LocalAddr() net.Addr                { return t.st.h.c.LocalAddr() }
func (t *tunnel2) RemoteAddr() net.Addr               { return t.st.h.c.RemoteAddr() }
func (t *tunnel2) SetReadDeadline(at time.Time) error { return t.st.readBy(at) }

// SetWriteDeadline is left to the least rate.
func (t *tunnel2) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline bounds the reading only.
func (t *tunnel2) SetDeadline(at time.Time) error { return t.st.readBy(at) }
