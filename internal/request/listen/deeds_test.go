package listen

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"seawall/internal/traffic"
)

// flat is what became of connections, by name; what never was is left out.
func flat(l traffic.Links, told func(traffic.LinkEvent) int) map[string]int {
	h := &l.Handshakes
	out := map[string]int{
		"opened": int(l.Opened), "closed": int(l.Closed), "unused": int(l.Unused), "crowded": int(l.Crowded), "malformed": int(l.Malformed),
		"begun": int(h.Begun), "made": int(h.Made), "unused handshakes": int(h.Unused),
	}
	for w, n := range l.Slow {
		out["slow "+traffic.Wait(w).String()] = int(n)
	}
	for o, n := range l.Odd {
		out["odd "+traffic.Oddity(o).String()] = int(n)
	}
	for name, e := range map[string]traffic.LinkEvent{"turned": traffic.LinkTurned, "unmade": traffic.LinkUnmade, "unused": traffic.LinkUnused, "slow": traffic.LinkSlow, "odd": traffic.LinkOdd} {
		out["told "+name] = told(e)
	}
	for name, n := range out {
		if n == 0 {
			delete(out, name)
		}
	}
	return out
}

// deeds are what a client can do on a connection by HTTPS.
func deeds() map[string]func(t *testing.T, h *house, a *authority) {
	const head = " / HTTP/1.1\r\nHost: example.org\r\n"
	dial := func(t *testing.T, h *house) net.Conn {
		c, err := net.Dial("tcp", h.secure())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	says := func(text string) func(*testing.T, *house, *authority) {
		return func(t *testing.T, h *house, a *authority) {
			if _, err := io.WriteString(h.handshake(t, a, "example.org"), text); err != nil {
				t.Fatal(err)
			}
		}
	}
	// frames of HTTP/2, until the connection is closed over them.
	frames := func(next func(f *http2.Framer, id uint32) error) func(*testing.T, *house, *authority) {
		return func(t *testing.T, h *house, a *authority) {
			c := h.handshake(t, a, "example.org", func(cfg *tls.Config) { cfg.NextProtos = []string{"h2"} })
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = io.WriteString(c, http2.ClientPreface)
			f := http2.NewFramer(c, c)
			_ = f.WriteSettings()
			for id := uint32(1); id < 10_000; id += 2 {
				if next(f, id) != nil {
					return
				}
			}
		}
	}
	get := block(":method", "GET", ":scheme", "https", ":path", "/", ":authority", "example.org")
	return map[string]func(*testing.T, *house, *authority){
		"a visit": func(t *testing.T, h *house, a *authority) {
			c := h.handshake(t, a, "example.org")
			fetch(t, c, "GET"+head+"\r\n")
			c.Close()
		},
		"no byte":                       func(t *testing.T, h *house, _ *authority) { dial(t, h).Close() },
		"no byte until its time is up":  func(t *testing.T, h *house, _ *authority) { dial(t, h) },
		"noise in place of a handshake": func(t *testing.T, h *house, _ *authority) { _, _ = dial(t, h).Write(make([]byte, 100)) },
		"half a handshake": func(t *testing.T, h *house, _ *authority) {
			c := dial(t, h)
			_, _ = c.Write(firstWords(t))
			_, _ = c.Read(make([]byte, 1))
			c.Close()
		},
		"half a handshake until its time is up": func(t *testing.T, h *house, _ *authority) { _, _ = dial(t, h).Write(firstWords(t)) },
		"a handshake for nothing":               func(t *testing.T, h *house, a *authority) { h.handshake(t, a, "example.org").Close() },
		"a handshake held until its time is up": func(t *testing.T, h *house, a *authority) { h.handshake(t, a, "example.org") },
		"a head that does not end":              says("GET" + head + "X-A: "),
		"a body that does not come":             says("POST" + head + "Content-Length: 100\r\n\r\n"),
		"an answer that nobody takes":           says("GET" + head + "\r\n"),
		"a malformed request":                   says("GET" + head + "a b: c\r\n\r\n"),
		"requests reset at once": frames(func(f *http2.Framer, id uint32) error {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: get, EndHeaders: true, EndStream: true})
			return f.WriteRSTStream(id, http2.ErrCodeCancel)
		}),
		"pings":    frames(func(f *http2.Framer, _ uint32) error { return f.WritePing(false, [8]byte{}) }),
		"settings": frames(func(f *http2.Framer, _ uint32) error { return f.WriteSettings() }),
		"a field block without an end": frames(func(f *http2.Framer, id uint32) error {
			if id == 1 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: get})
			}
			return f.WriteContinuation(1, false, block("x-a", "b"))
		}),
	}
}

// TestDeeds: what clients do on connections is counted and told as is written down, which
// `bench accuracy` is held to as well.
func TestDeeds(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../traffic/testdata/deeds.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]int
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	list := deeds()
	for name, want := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, a := secureHouse(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "POST" {
					_, _ = r.Body.Read(make([]byte, 10))
					return
				}
				if name == "an answer that nobody takes" {
					_, _ = w.Write(make([]byte, 32<<20))
				}
			}, func(c *Config) {
				c.HeadTimeout, c.Grace = time.Second, time.Second
				if name == "one more than a client may have" {
					c.MaxConnsPerClient = 1
				}
			})
			if act := list[name]; act != nil {
				act(t, h, a)
			} else {
				h.dial(t)
				eventually(t, "the first", func() bool { return h.Links().Opened == 1 })
				before := h.Links()
				if c, err := net.Dial("tcp", h.secure()); err == nil { // the reset may be quicker
					defer c.Close()
				}
				eventually(t, "the second", func() bool { return h.Links().Crowded == 1 })
				if got := flat(h.Links().Since(before), func(e traffic.LinkEvent) int { return len(h.watch.linked(e)) }); !reflect.DeepEqual(got, want) {
					t.Errorf("%v, want %v", got, want)
				}
				return
			}
			eventually(t, "its end", func() bool { return h.Links().Closed == 1 })
			got := func() map[string]int {
				return flat(h.Links(), func(e traffic.LinkEvent) int { return len(h.watch.linked(e)) })
			}
			if !within(time.Second, func() bool { return reflect.DeepEqual(got(), want) }) {
				t.Errorf("%v, want %v", got(), want)
			}
		})
	}
}

func within(d time.Duration, so func() bool) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if so() {
			return true
		}
	}
	return so()
}
