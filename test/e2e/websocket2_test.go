package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Kinds of frames of RFC 6455.
const (
	wsText   = 1
	wsBinary = 2
	wsClose  = 8
	wsPing   = 9
	wsPong   = 10
)

// wsFrame appends a masked frame of RFC 6455.
func wsFrame(final bool, kind byte, payload []byte) []byte {
	b := []byte{kind, 0x80}
	if final {
		b[0] |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b[1] |= byte(n)
	case n < 1<<16:
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] |= 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:])
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// wsRead reads a message, or a control frame.
func wsRead(r io.Reader) (kind byte, payload []byte, err error) {
	for {
		var head [8]byte
		if _, err = io.ReadFull(r, head[:2]); err != nil {
			return 0, nil, err
		}
		n := uint64(head[1])
		final := head[0]&0x80 != 0
		if k := head[0] & 15; k != 0 {
			kind = k
		}
		switch n {
		case 126:
			_, err = io.ReadFull(r, head[:2])
			n = uint64(binary.BigEndian.Uint16(head[:]))
		case 127:
			_, err = io.ReadFull(r, head[:8])
			n = binary.BigEndian.Uint64(head[:])
		}
		if err != nil {
			return 0, nil, err
		}
		piece := make([]byte, n)
		if _, err = io.ReadFull(r, piece); err != nil {
			return 0, nil, err
		}
		if payload = append(payload, piece...); final {
			return kind, payload, nil
		}
	}
}

// sockets is a site of WebSockets.
type sockets struct {
	url  string
	gone chan error // how a connection ended, as the site sees it
}

func newSockets(t *testing.T) *sockets {
	t.Helper()
	o := &sockets{gone: make(chan error, 16)}
	m := http.NewServeMux()
	m.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(8 << 20)
		for {
			kind, msg, err := c.Read(context.Background())
			if err != nil {
				o.gone <- err
				return
			}
			if err := c.Write(context.Background(), kind, msg); err != nil {
				o.gone <- err
				return
			}
		}
	})
	// Breaks off after the first bytes, or closes its side only.
	m.HandleFunc("/break", func(w http.ResponseWriter, r *http.Request) { o.raw(w, func(c *net.TCPConn) { _ = c.SetLinger(0) }) })
	m.HandleFunc("/half", func(w http.ResponseWriter, r *http.Request) {
		o.raw(w, func(c *net.TCPConn) {
			_ = c.CloseWrite()
			b, err := io.ReadAll(c)
			o.gone <- fmt.Errorf("%s, %v", b, err)
		})
	})
	m.HandleFunc("/no", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "not you", http.StatusForbidden) })
	m.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "a page") })
	s := httptest.NewServer(m)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	o.url = s.URL
	return o
}

// raw changes the protocol, reads five bytes and hands the connection over.
func (o *sockets) raw(w http.ResponseWriter, then func(*net.TCPConn)) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer nc.Close()
	_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
	_, _ = io.ReadFull(rw, make([]byte, 5))
	then(nc.(*net.TCPConn))
}

// told waits until the site has seen the end of a connection.
func (o *sockets) told(t *testing.T) error {
	t.Helper()
	select {
	case err := <-o.gone:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("the site was not told of the end")
		return nil
	}
}

func socketHouse(t *testing.T) (*sockets, *wall) {
	t.Helper()
	o := newSockets(t)
	file, key := certify(t, t.TempDir(), "example.org")
	return o, start(t, config{"listen": config{
		"tls":   config{"addresses": []string{"127.0.0.1:0"}, "certificates": []config{{"file": file, "key": key}}},
		"grace": "1s", "max_body": 100_000,
	}}, o.url)
}

// WebSockets over HTTP/2 (RFC 8441), from a client that takes no shortcut to a site
// that knows HTTP/1.1.
func TestWebSocketHTTP2(t *testing.T) {
	t.Parallel()
	o, w := socketHouse(t)
	h := dial2(t, w)
	t.Run("echo", func(t *testing.T) { echo2(t, h, o) })
	t.Run("refused", func(t *testing.T) {
		st := h.open("/no")
		if b, _ := io.ReadAll(st); st.status != "403" || string(b) != "not you\n" {
			t.Errorf("%s %q", st.status, b)
		}
	})
	t.Run("the client resets", func(t *testing.T) {
		st := h.open("/echo")
		_, _ = st.Write(wsFrame(true, wsText, []byte("x")))
		_, _, _ = wsRead(st)
		st.end(true)
		if err := o.told(t); websocket.CloseStatus(err) != -1 {
			t.Errorf("the site sees %v", err)
		}
	})
	t.Run("the site breaks off", func(t *testing.T) {
		st := h.open("/break")
		_, _ = st.Write([]byte("12345"))
		if b, err := io.ReadAll(st); err == nil || !strings.Contains(err.Error(), "reset: CANCEL") {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("the site closes its side", func(t *testing.T) {
		st := h.open("/half")
		_, _ = st.Write([]byte("12345"))
		if b, err := io.ReadAll(st); err != nil || len(b) > 0 {
			t.Errorf("%q, %v", b, err)
		}
		_, _ = st.Write([]byte("and more"))
		st.end(false)
		if err := o.told(t); err.Error() != "and more, <nil>" {
			t.Errorf("the site got %v", err)
		}
	})
	t.Run("the connection breaks off", func(t *testing.T) {
		other := dial2(t, w)
		st := other.open("/echo")
		_, _ = st.Write(wsFrame(true, wsText, []byte("x")))
		_, _, _ = wsRead(st)
		other.c.NetConn().Close()
		_ = o.told(t)
	})
	t.Run("others are served", func(t *testing.T) {
		st := h.ask(true, ":method", "GET", ":scheme", "https", ":path", "/page", ":authority", "example.org")
		if b, err := io.ReadAll(st); string(b) != "a page" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	})
	if s := w.log.String(); strings.Contains(s, "panic") {
		t.Error(s)
	}
}

// echo2 sends messages of all sizes, some in pieces, with a silence that no form
// would be granted, and more than a form may hold.
func echo2(t *testing.T, h *conn2, o *sockets) {
	st := h.open("/echo", "sec-websocket-protocol", "chat", "sec-websocket-key", "a client may send one that says nothing")
	if st.status != "200" || st.fields.Get("sec-websocket-protocol") != "chat" || st.fields.Get("sec-websocket-accept") != "" || st.fields.Get("connection")+st.fields.Get("upgrade") != "" {
		t.Fatalf("%s, %v", st.status, st.fields)
	}
	for i, n := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20, 4 << 20, 7} {
		if i == 4 {
			time.Sleep(2500 * time.Millisecond)
		}
		msg := make([]byte, n)
		_, _ = rand.Read(msg)
		go func() {
			_, _ = st.Write(wsFrame(false, wsBinary, msg[:n/2]))
			_, _ = st.Write(wsFrame(true, wsPing, []byte("ping")))
			_, _ = st.Write(wsFrame(true, 0, msg[n/2:]))
		}()
		if kind, got, err := wsRead(st); kind != wsPong || string(got) != "ping" || err != nil {
			t.Fatalf("%d bytes: %d %q, %v", n, kind, got, err)
		}
		if kind, got, err := wsRead(st); kind != wsBinary || !bytes.Equal(got, msg) || err != nil {
			t.Fatalf("%d bytes: %d, %d bytes, %v", n, kind, len(got), err)
		}
	}
	bye := binary.BigEndian.AppendUint16(nil, uint16(websocket.StatusNormalClosure))
	_, _ = st.Write(wsFrame(true, wsClose, bye))
	if kind, got, err := wsRead(st); kind != wsClose || !bytes.Equal(got, bye) || err != nil {
		t.Errorf("close: %d %x, %v", kind, got, err)
	}
	if err := o.told(t); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the site sees %v", err)
	}
	st.end(false)
	if b, err := io.ReadAll(st); err != nil || len(b) > 0 {
		t.Errorf("at the end: %q, %v", b, err)
	}
}

// The same site by HTTP/1.1, where the client offers nothing else.
func TestWebSocketHTTPS(t *testing.T) {
	t.Parallel()
	o, w := socketHouse(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	c, _, err := websocket.Dial(ctx, "wss://"+w.secure+"/echo", &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(2 << 20)
	for _, n := range []int{0, 7, 1 << 20} {
		msg := make([]byte, n)
		if err := c.Write(ctx, websocket.MessageBinary, msg); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("%d bytes: %d, %v", n, len(got), err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	if err := o.told(t); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the site sees %v", err)
	}
}
