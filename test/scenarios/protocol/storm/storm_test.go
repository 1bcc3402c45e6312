package storm

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func brief(t *testing.T, a Attack, to Target, factor float64) Sent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 800*time.Millisecond)
	defer cancel()
	sent, err := a.Run(ctx, to, factor)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d %s; %v", a.Name, sent.Units, a.Unit, sent)
	return sent
}

func TestOnlyLoopback(t *testing.T) {
	for _, to := range []Target{
		{Clear: netip.MustParseAddrPort("192.0.2.1:80")},
		{Clear: netip.MustParseAddrPort("127.0.0.1:80"), Secure: netip.MustParseAddrPort("[2001:db8::1]:443")},
		{QUIC: netip.MustParseAddrPort("0.0.0.0:443")},
	} {
		for _, a := range Attacks() {
			if _, err := a.Run(t.Context(), to, 1); !errors.Is(err, ErrNotLoopback) {
				t.Fatalf("%s attacks %v: %v", a.Name, to, err)
			}
		}
	}
	for n := range uint64(100000) {
		if a := source(n); !a.IsLoopback() || a.As4()[1] < 64 {
			t.Fatalf("connection %d comes from %v", n, a)
		}
	}
}

func TestNamesAreTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range Attacks() {
		if seen[a.Name] || a.Name == "" || a.What == "" || a.Unit == "" {
			t.Errorf("%+v", a)
		}
		seen[a.Name] = true
	}
}

// What each attack of HTTP/2 says that it sent is what arrives.
func TestFramesArrive(t *testing.T) {
	kinds := map[string]http2.FrameType{
		"rapid reset": http2.FrameRSTStream, "rapid reset unread": http2.FrameRSTStream, "reset bodies": http2.FrameRSTStream,
		"SETTINGS": http2.FrameSettings, "SETTINGS unread": http2.FrameSettings, "SETTINGS, full": http2.FrameSettings,
		"SETTINGS, table sizes": http2.FrameSettings, "PING": http2.FramePing, "PING unread": http2.FramePing,
		"PRIORITY": http2.FramePriority, "WINDOW_UPDATE": http2.FrameWindowUpdate, "RST_STREAM": http2.FrameRSTStream,
		"unknown frames": 0x40, "empty DATA": http2.FrameData, "padded DATA": http2.FrameData,
		"CONTINUATION": http2.FrameContinuation, "empty CONTINUATION": http2.FrameContinuation, "HTTP/2 slow heads": http2.FrameContinuation,
		"HTTP/2 slow bodies": http2.FrameData, "HTTP/2 slow readers": http2.FrameWindowUpdate,
		"HTTP/2 connections": http2.FrameSettings,
	}
	for _, a := range Attacks() {
		if a.Needs != HTTP2 {
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			r, to := record(t)
			sent := brief(t, a, to, 0.2)
			if sent.Units == 0 || sent.Conns == 0 {
				t.Fatalf("nothing was sent: %v", sent)
			}
			if a.Name == "half a preface" {
				return
			}
			kind, special := kinds[a.Name]
			if !special {
				kind = http2.FrameHeaders
			}
			units := int(sent.Units)
			if kind == 0x40 {
				units /= 100
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			// What was on its way when the attack ended is lost.
			if got := r.frames[kind]; got < units/2 || got == 0 {
				t.Errorf("%d %s were sent, and %v arrived", sent.Units, a.Unit, r.frames)
			}
			if a.Name == "provoked resets" && len(sent.Kinds) < 3 {
				t.Errorf("provoked by %v", sent.Kinds)
			}
		})
	}
}

// A bomb is small on the wire and large for who unfolds it.
func TestBombsUnfold(t *testing.T) {
	h := &session{}
	h.enc = hpack.NewEncoder(&h.head)
	first, second := h.block(repeated(4000, 3700)...), h.block(repeated(4000, 3700)...)
	size := 0
	d := hpack.NewDecoder(4096, func(f hpack.HeaderField) { size += len(f.Name) + len(f.Value) })
	if _, err := d.Write(append(first, second...)); err != nil {
		t.Fatal(err)
	}
	if len(second) > 4100 || size < 20<<20 {
		t.Errorf("%d and %d bytes unfold to %d", len(first), len(second), size)
	}
}

// The attacks on HTTP/1.1, TLS and WebSocket against an ordinary server.
func TestOrdinaryServer(t *testing.T) {
	for _, a := range Attacks() {
		if a.Needs == HTTP2 || a.Needs == HTTP3 {
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			s, to := serve(t)
			sent := brief(t, a, to, 0.1)
			if sent.Units == 0 || sent.Conns == 0 || sent.Failed > sent.Conns {
				t.Fatalf("nothing was sent: %v", sent)
			}
			reached := map[string]int64{
				"key updates": s.sunk.Load(), "tiny records": s.sunk.Load(), "websockets": s.requests.Load(),
				"slow bodies": s.sunk.Load(), "ranges": s.many.Load(), "pipelines unread": s.requests.Load(),
			}
			if n, asked := reached[a.Name]; asked && n == 0 {
				t.Error("the server saw nothing of it")
			}
		})
	}
}

// The key and packet of RFC 9001, appendix A.
func TestInitialPackets(t *testing.T) {
	to, _ := hex.DecodeString("8394c8f03e515708")
	secret := initialSecret(to)
	for label, want := range map[string]string{
		"quic key": "1f369613dd76d5467730efcbe3b1a22d", "quic iv": "fa044b2f42a3fd3b46fb255c", "quic hp": "9f50449e04a0e810283a1e9933adedd2",
	} {
		n := len(want) / 2
		if got := hex.EncodeToString(expandLabel(secret, label, n)); got != want {
			t.Errorf("%s is %s", label, got)
		}
	}
	if p := initial(to, nil, make([]byte, 300)); len(p) != initialSize || p[0]&0xf0 != 0xc0 {
		t.Errorf("%d bytes, %x", len(p), p[0])
	}
}

// A corpus that misses what it is about would pass against anything.
func TestCorpora(t *testing.T) {
	seen := map[string]bool{}
	for _, one := range Smuggling("site", "/sink", "/hidden") {
		if seen[one.Raw] {
			t.Errorf("twice: %s", one.Name)
		}
		seen[one.Raw] = true
	}
	if len(seen) < 150 {
		t.Errorf("%d messages", len(seen))
	}
	if n := len(SmugglingHTTP2("site", "/sink", "/hidden")); n < 60 {
		t.Errorf("%d heads of HTTP/2", n)
	}
}
