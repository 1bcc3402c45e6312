package listen

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"seawall/internal/request/listen/h3"
)

// raw3 is a connection of HTTP/3 of which the test writes the bytes.
func (h *house) raw3(t testing.TB, a *authority) *quic.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	q, err := quic.DialAddr(ctx, h.secure(), &tls.Config{RootCAs: a.pool, ServerName: "example.org", NextProtos: []string{"h3"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.CloseWithError(0x100, "") })
	return q
}

// section3 is a HEADERS frame of names and values in turn.
func section3(list ...string) []byte {
	b := h3.AppendPrefix(nil)
	for i := 0; i < len(list); i += 2 {
		name, value := list[i], list[i+1]
		if name == strings.ToLower(name) {
			b = h3.AppendField(b, name, value)
			continue
		}
		b = append(b, 0x27, byte(len(name)-7)) // as it is
		b = append(append(b, name...), byte(len(value)))
		b = append(b, value...)
	}
	return h3.AppendFrame(nil, h3.Headers, b)
}

func get3(more ...string) []byte {
	return section3(append([]string{":method", "GET", ":scheme", "https", ":authority", "example.org", ":path", "/......."}, more...)...)
}

const (
	control3 = "\x00\x04\x00" // the control stream with empty SETTINGS
	streamOf = "stream"
	connOf   = "connection"
)

// Whoever breaks the rules of HTTP/3 loses the stream or the connection, with the
// code that the standard names.
func TestHTTP3Malformed(t *testing.T) {
	h, a := quicHouse(t, hello)
	get := string(get3())
	frame := func(kind uint64, p string) string { return string(h3.AppendFrame(nil, kind, []byte(p))) }
	post := string(section3(":method", "POST", ":scheme", "https", ":authority", "example.org", ":path", "/.......", "content-length", "5"))
	for _, c := range []struct {
		name  string
		uni   []string // what unidirectional streams carry
		bidi  string   // what a request stream carries, and its end
		ends  string
		code  h3.Code
		wants int // an answer instead
	}{
		{"fine", []string{control3}, get, "", 0, 200},
		{"frames that we do not know", []string{control3 + frame(0x21, "x")}, frame(0x40, "grease") + get + frame(0x5f, ""), "", 0, 200},
		{"streams that we do not know", []string{"\x21grease", control3}, get, "", 0, 200},
		{"those of QPACK", []string{control3, "\x02\x20", "\x03\x45"}, get, "", 0, 200},
		{"no settings", []string{"\x00\x07\x01\x00"}, "", connOf, h3.MissingSettings, 0},
		{"settings twice", []string{control3 + "\x04\x00"}, "", connOf, h3.FrameUnexpected, 0},
		{"a setting twice", []string{"\x00\x04\x04\x06\x01\x06\x01"}, "", connOf, h3.SettingsError, 0},
		{"a setting of HTTP/2", []string{"\x00\x04\x02\x04\x01"}, "", connOf, h3.SettingsError, 0},
		{"settings that end early", []string{"\x00\x04\x01\x06"}, "", connOf, h3.FrameError, 0},
		{"a large control frame", []string{control3 + "\x21\x7f\xff"}, "", connOf, h3.ExcessiveLoad, 0},
		{"HEADERS on the control stream", []string{control3 + get}, "", connOf, h3.FrameUnexpected, 0},
		{"a PING of HTTP/2", []string{control3 + "\x06\x00"}, "", connOf, h3.FrameUnexpected, 0},
		{"a GOAWAY that ends early", []string{control3 + "\x07\x00"}, "", connOf, h3.FrameError, 0},
		{"CANCEL_PUSH", []string{control3 + "\x03\x01\x00"}, "", connOf, h3.IDError, 0},
		{"two control streams", []string{control3, control3}, "", connOf, h3.StreamCreationError, 0},
		{"a push stream", []string{"\x01\x00"}, "", connOf, h3.StreamCreationError, 0},
		{"the control stream ends", []string{control3 + "end"}, "", connOf, h3.ClosedCriticalStream, 0},
		{"an insertion into our table", []string{"\x02\x3f\xe1\x1f"}, "", connOf, h3.EncoderStreamError, 0},
		{"an acknowledgement of nothing", []string{"\x03\x80"}, "", connOf, h3.DecoderStreamError, 0},
		{"DATA first", nil, frame(h3.Data, "x") + get, connOf, h3.FrameUnexpected, 0},
		{"SETTINGS on a request stream", nil, "\x04\x00", connOf, h3.FrameUnexpected, 0},
		{"a PING on a request stream", nil, "\x06\x00", connOf, h3.FrameUnexpected, 0},
		{"PUSH_PROMISE", nil, "\x05\x01\x00", connOf, h3.FrameUnexpected, 0},
		{"a frame ends early", nil, get[:len(get)-1], connOf, h3.FrameError, 0},
		{"a table that is not there", nil, frame(h3.Headers, "\x00\x00\x80"), connOf, h3.DecompressionFailed, 0},
		{"a block that waits", nil, frame(h3.Headers, "\x02\x00\xd1"), connOf, h3.DecompressionFailed, 0},
		{"nothing at all", nil, "", streamOf, h3.RequestIncomplete, 0},
		{"no head", nil, "\x21\x00", streamOf, h3.RequestIncomplete, 0},
		{"a pseudo-header field twice", nil, string(get3(":method", "GET")), streamOf, h3.MessageError, 0},
		{"a pseudo-header field late", nil, string(section3(":method", "GET", ":scheme", "https", "x-field", "1", ":authority", "example.org", ":path", "/")), streamOf, h3.MessageError, 0},
		{"no path", nil, string(section3(":method", "GET", ":scheme", "https", ":authority", "example.org")), streamOf, h3.MessageError, 0},
		{"connection", nil, string(get3("connection", "close")), streamOf, h3.MessageError, 0},
		{"upper case", nil, string(get3("X-Fields", "1")), streamOf, h3.MessageError, 0},
		{"a line end in a value", nil, string(get3("x-field", "a\r\nb")), streamOf, h3.MessageError, 0},
		{"transfer-encoding", nil, string(get3("transfer-encoding", "chunked")), streamOf, h3.MessageError, 0},
		{"another host", nil, string(get3("host", "example.com")), streamOf, h3.MessageError, 0},
		{"extended CONNECT", nil, string(section3(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "example.org", ":path", "/")), streamOf, h3.MessageError, 0},
		{"a body that is too short", nil, post + frame(h3.Data, "1234"), streamOf, h3.MessageError, 0},
		{"a body that is too long", nil, post + frame(h3.Data, "123456"), streamOf, h3.MessageError, 0},
		{"a body in pieces", nil, post + frame(h3.Data, "12") + frame(h3.Data, "345"), "", 0, 200},
		{"trailers", nil, post + frame(h3.Data, "12345") + string(section3("x-trailer", "1")), "", 0, 200},
		{"DATA behind trailers", nil, post + frame(h3.Data, "12345") + string(section3("x-trailer", "1")) + frame(h3.Data, "6"), connOf, h3.FrameUnexpected, 0},
		{"trailers that frame", nil, post + frame(h3.Data, "12345") + string(section3("content-length", "5")), streamOf, h3.MessageError, 0},
		{"SETTINGS in a body", nil, post + frame(h3.Settings, ""), connOf, h3.FrameUnexpected, 0},
		{"a large head", nil, string(get3("x-field", strings.Repeat("x", 3000), "x-other", strings.Repeat("x", 3000))), "", 0, 200},
		{"a head that is too large", nil, string(get3("x-field", strings.Repeat("x", 16<<10))), "", 0, 431},
		{"a head with too many fields", nil, string(get3(strings.Split(strings.Repeat("x-field 1 ", 200), " ")[:400]...)), "", 0, 431},
		{"too much that we do not know", nil, frame(0x21, strings.Repeat("x", 70<<10)), streamOf, h3.ExcessiveLoad, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q := h.raw3(t, a)
			for _, text := range c.uni {
				s, err := q.OpenUniStream()
				if err != nil {
					t.Fatal(err)
				}
				text, ends := strings.CutSuffix(text, "end")
				_, _ = io.WriteString(s, text)
				if ends {
					_ = s.Close()
				}
			}
			got, status := "", 0
			var code h3.Code
			if c.bidi != "" || c.ends != connOf {
				s, err := q.OpenStream()
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					_, _ = io.WriteString(s, c.bidi)
					_ = s.Close()
				}()
				_ = s.SetReadDeadline(time.Now().Add(20 * time.Second))
				b, err := io.ReadAll(s)
				got, status, code = fate(b, err)
			} else {
				select {
				case <-q.Context().Done():
				case <-time.After(20 * time.Second):
				}
				got, _, code = fate(nil, context.Cause(q.Context()))
			}
			if got != c.ends || code != c.code || status != c.wants {
				t.Errorf("%s ended with %#x, status %d; want %s, %#x, %d", got, code, status, c.ends, c.code, c.wants)
			}
		})
	}
}

// fate says what became of a request: an answer's status, or what was ended and why.
func fate(b []byte, err error) (what string, status int, code h3.Code) {
	var se *quic.StreamError
	var ce *quic.ApplicationError
	switch {
	case errors.As(err, &se):
		return streamOf, 0, h3.Code(se.ErrorCode)
	case errors.As(err, &ce):
		return connOf, 0, h3.Code(ce.ErrorCode)
	case err != nil:
		return err.Error(), 0, 0
	}
	_, length, n := h3.Header(b)
	if n == 0 || int(length) > len(b)-n || length < 3 {
		return "an empty stream", 0, 0
	}
	switch p := b[n+2:]; {
	case p[0] == 0xc0|25:
		return "", 200, 0
	default:
		_, _ = fmt.Sscan(string(p[3:6]), &status)
		return "", status, 0
	}
}

// Oddities without end cost the connection, and heads that never end their streams,
// the oldest first where they are large.
func TestHTTP3Odd(t *testing.T) {
	h, a := quicHouse(t, hello, func(c *Config) { c.HeadTimeout = 2 * time.Second; c.MaxConns = 16 })
	q := h.raw3(t, a)
	for q.Context().Err() == nil { // requests that are taken back
		s, err := q.OpenStreamSync(t.Context())
		if err != nil {
			break
		}
		_, _ = s.Write(get3()[:20])
		s.CancelWrite(0x10c)
		s.CancelRead(0x10c)
	}
	<-q.Context().Done()
	if _, _, code := fate(nil, context.Cause(q.Context())); code != h3.ExcessiveLoad || h.Stats().Glitched != 1 {
		t.Errorf("who takes back all its requests is told %#x", code)
	}
	q = h.raw3(t, a)
	large := get3("x-field", strings.Repeat("x", 3000))
	var list []*quic.Stream
	for range 20 {
		s, err := q.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Write(large[:len(large)-1])
		list = append(list, s)
	}
	codes := map[h3.Code]int{}
	for i, s := range list {
		_, err := io.ReadAll(s)
		got, _, code := fate(nil, err)
		if codes[code]++; got != streamOf {
			t.Errorf("stream %d: %s", i, got)
		}
	}
	if codes[h3.RequestCancelled] != 4 || codes[h3.RequestRejected] != 16 {
		t.Errorf("large heads that never end: %v", codes)
	}
}

// initials are first packets of QUIC as anybody can send them: well formed, with a
// ClientHello of its own each, enciphered with the keys that everybody knows. Here
// they are taken from connections that a client tries to make.
func initials(t testing.TB, n int) (list [][]byte) {
	t.Helper()
	sink, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	buf := make([]byte, 2000)
	for len(list) < n {
		one, stop := context.WithCancel(ctx)
		go func() {
			_, _ = quic.DialAddr(one, sink.LocalAddr().String(), &tls.Config{ServerName: "example.org", NextProtos: []string{"h3"}, CurvePreferences: []tls.CurveID{tls.X25519}}, nil)
		}()
		k, _, err := sink.ReadFrom(buf)
		stop()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, append([]byte(nil), buf[:k]...))
	}
	return list
}

// A flood of first packets from many ports, none of which is ever heard of again,
// leaves visitors served and takes no more than a bounded part of memory.
func TestInitialFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("a flood of two seconds")
	}
	h, a := quicHouse(t, hello)
	visitor := h.client3(t, a)
	if r, err := visitor.Get("https://example.org/"); body(t, r, err) != "hello" {
		t.Fatal("no answer")
	}
	list := initials(t, 600)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	stop := make(chan struct{})
	var flood sync.WaitGroup
	var sent [8]int
	to := net.UDPAddrFromAddrPort(h.Addrs()[1].(*net.TCPAddr).AddrPort())
	for i := range sent {
		flood.Go(func() {
			for {
				c, err := net.DialUDP("udp", nil, to)
				if err != nil {
					return
				}
				for range 20 {
					select {
					case <-stop:
						_ = c.Close()
						return
					default:
					}
					p := list[(sent[i]*8+i)%len(list)]
					if sent[i]*8 >= len(list) { // the same hello in another connection: what does not decipher is kept for a while as well
						p = append([]byte(nil), p...)
						_, _ = rand.Read(p[6:14])
					}
					_, _ = c.Write(p)
					sent[i]++
					time.Sleep(time.Millisecond)
				}
				_ = c.Close()
			}
		})
	}
	var slowest time.Duration
	newcomers := 0
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		begun := time.Now()
		if r, err := visitor.Get("https://example.org/"); body(t, r, err) != "hello" {
			t.Error("the visitor is not served")
		}
		slowest = max(slowest, time.Since(begun))
		if r, err := h.client3(t, a).Get("https://example.org/"); body(t, r, err) == "hello" {
			newcomers++
		}
		time.Sleep(20 * time.Millisecond)
	}
	unproven, arriving := h.quic.unproven.Load(), h.quic.arriving.Load()
	runtime.ReadMemStats(&after)
	close(stop)
	flood.Wait()
	total := 0
	for _, n := range sent {
		total += n
	}
	t.Logf("%d first packets, %d told to come again, %d handshakes under way with addresses not proven (%d in all), slowest answer %v, %d newcomers served, %d KiB of heap more",
		total, h.Stats().Retries, unproven, arriving, slowest, newcomers, (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>10)
	if unproven > h.quic.mostUnproven {
		t.Error("there are more than that")
	}
	if h.Stats().Retries == 0 {
		t.Error("nobody is told to come again")
	}
	if newcomers == 0 {
		t.Error("no newcomer is served")
	}
	if more := int64(after.HeapAlloc) - int64(before.HeapAlloc); more > 128<<20 {
		t.Errorf("%d bytes of heap more", more)
	}
}

// Whatever a client sends on its streams, nothing is served that is no request, and
// nothing breaks.
func FuzzHTTP3(f *testing.F) {
	f.Add([]byte(control3), get3())
	f.Add([]byte("\x02\x20"), append(section3(":method", "POST", ":scheme", "https", ":authority", "example.org", ":path", "/......."), 0, 1, 'x'))
	f.Add(binary.BigEndian.AppendUint64(nil, 1), []byte{1, 0x80, 0, 0, 1})
	h, a := quicHouse(f, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "" || r.URL.Path == "" {
			panic("a request without host or path")
		}
		hello(w, r)
	}, func(c *Config) {
		c.HeadTimeout, c.Grace = 100*time.Millisecond, 100*time.Millisecond
		c.TLS.Handshakes.Rate, c.TLS.Handshakes.Burst = 1e6, 1e6
	})
	f.Fuzz(func(t *testing.T, uni, bidi []byte) {
		q := h.raw3(t, a)
		if s, err := q.OpenUniStream(); err == nil {
			_, _ = s.Write(uni)
		}
		if s, err := q.OpenStream(); err == nil {
			_, _ = s.Write(bidi)
			_ = s.Close()
			_ = s.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.ReadAll(s); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("neither an answer nor an end")
			}
		}
		_ = q.CloseWithError(0x100, "")
		if n := h.Stats().Panics; n != 0 {
			t.Fatalf("%d panics", n)
		}
	})
}
