package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// conn2 is a connection of HTTP/2 as a browser uses it for WebSockets: one that
// does no more than it has to, so that what comes is seen as it comes.
type conn2 struct {
	t   *testing.T
	c   *tls.Conn
	enc *hpack.Encoder
	blk bytes.Buffer

	wmu sync.Mutex
	fr  *http2.Framer

	mu      sync.Mutex // guards the following, and streams'
	cond    sync.Cond
	connect bool  // the other side takes extended CONNECT
	window  int64 // of the connection
	first   int64
	next    uint32
	streams map[uint32]*stream2
	over    error
}

// stream2 is one request, and what came for it.
type stream2 struct {
	h      *conn2
	id     uint32
	status string
	fields http.Header
	in     bytes.Buffer
	window int64
	ended  bool           // END_STREAM came
	reset  *http2.ErrCode // RST_STREAM came
}

func dial2(t *testing.T, w *wall) *conn2 {
	t.Helper()
	c, err := tls.Dial("tcp", w.secure, &tls.Config{InsecureSkipVerify: true, ServerName: "example.org", NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	h := &conn2{t: t, c: c, fr: http2.NewFramer(c, bufio.NewReader(c)), window: 65535, first: 65535, next: 1, streams: map[uint32]*stream2{}}
	h.cond.L = &h.mu
	h.enc = hpack.NewEncoder(&h.blk)
	h.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, _ = io.WriteString(c, http2.ClientPreface)
	_ = h.fr.WriteSettings()
	go h.read()
	h.wait("the settings", func() bool { return h.connect })
	return h
}

// wait waits for what the reader brings.
func (h *conn2) wait(what string, ok func() bool) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for !ok() {
		if h.over != nil {
			h.t.Fatalf("waiting for %s: %v", what, h.over)
		}
		h.cond.Wait()
	}
}

func (h *conn2) read() {
	for {
		f, err := h.fr.ReadFrame()
		h.mu.Lock()
		if err != nil {
			h.over = err
			h.cond.Broadcast()
			h.mu.Unlock()
			return
		}
		st := h.streams[f.Header().StreamID]
		h.took(f, st)
		h.cond.Broadcast()
		h.mu.Unlock()
		h.reply(f, st)
	}
}

// took notes what a frame says. It needs mu.
func (h *conn2) took(f http2.Frame, st *stream2) {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if v, ok := f.Value(http2.SettingEnableConnectProtocol); ok {
			h.connect = v == 1
		}
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			h.first = int64(v)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			h.window += int64(f.Increment)
		} else if st != nil {
			st.window += int64(f.Increment)
		}
	case *http2.MetaHeadersFrame:
		st.fields, st.ended = http.Header{}, f.StreamEnded()
		for _, hf := range f.Fields {
			st.fields.Add(hf.Name, hf.Value)
		}
		st.status = f.PseudoValue("status")
	case *http2.DataFrame:
		st.in.Write(f.Data())
		st.ended = f.StreamEnded()
	case *http2.RSTStreamFrame:
		st.reset = &f.ErrCode
	case *http2.GoAwayFrame:
		h.over = fmt.Errorf("goaway: %v", f.ErrCode)
	}
}

// reply answers what must be answered.
func (h *conn2) reply(f http2.Frame, st *stream2) {
	h.wmu.Lock()
	defer h.wmu.Unlock()
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			_ = h.fr.WriteSettingsAck()
		}
	case *http2.PingFrame:
		_ = h.fr.WritePing(true, f.Data)
	case *http2.DataFrame:
		if n := f.Length; n > 0 {
			_ = h.fr.WriteWindowUpdate(0, n)
			_ = h.fr.WriteWindowUpdate(st.id, n)
		}
	}
}

// ask begins a request. Pseudo-header fields come first in fields.
func (h *conn2) ask(ends bool, fields ...string) *stream2 {
	h.wmu.Lock()
	defer h.wmu.Unlock()
	h.mu.Lock()
	st := &stream2{h: h, id: h.next, window: h.first}
	h.streams[st.id] = st
	h.next += 2
	h.mu.Unlock()
	h.blk.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = h.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if err := h.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: st.id, BlockFragment: h.blk.Bytes(), EndHeaders: true, EndStream: ends}); err != nil {
		h.t.Fatal(err)
	}
	return st
}

// open opens a WebSocket, and says how that was answered.
func (h *conn2) open(path string, more ...string) *stream2 {
	h.t.Helper()
	st := h.ask(false, append([]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", path, ":authority", "example.org", "sec-websocket-version", "13"}, more...)...)
	h.wait("an answer", func() bool { return st.status != "" || st.reset != nil })
	return st
}

func (st *stream2) Read(p []byte) (int, error) {
	h := st.h
	h.mu.Lock()
	defer h.mu.Unlock()
	for st.in.Len() == 0 {
		switch {
		case st.reset != nil:
			return 0, fmt.Errorf("reset: %v", *st.reset)
		case st.ended:
			return 0, io.EOF
		case h.over != nil:
			return 0, h.over
		}
		h.cond.Wait()
	}
	return st.in.Read(p)
}

func (st *stream2) Write(p []byte) (int, error) {
	h := st.h
	for from := 0; from < len(p); {
		h.mu.Lock()
		for (h.window <= 0 || st.window <= 0) && h.over == nil && st.reset == nil {
			h.cond.Wait()
		}
		n := int(min(int64(len(p)-from), h.window, st.window, 16<<10))
		h.window -= int64(n)
		st.window -= int64(n)
		over := h.over != nil || st.reset != nil
		h.mu.Unlock()
		if over {
			return from, errors.New("it is over")
		}
		h.wmu.Lock()
		err := h.fr.WriteData(st.id, false, p[from:from+n])
		h.wmu.Unlock()
		if err != nil {
			return from, err
		}
		from += n
	}
	return len(p), nil
}

// end sends END_STREAM, or resets the stream.
func (st *stream2) end(reset bool) {
	st.h.wmu.Lock()
	defer st.h.wmu.Unlock()
	if reset {
		_ = st.h.fr.WriteRSTStream(st.id, http2.ErrCodeCancel)
		return
	}
	_ = st.h.fr.WriteData(st.id, true, nil)
}
