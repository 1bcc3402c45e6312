package listen

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestOldestIdleMakesRoom(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConns = 16
	cfg.HeadTimeout = 400 * time.Millisecond // a fine tick: 50 ms
	h := start(t, cfg, testDoor{}, hello)
	get := func(c net.Conn, br *bufio.Reader, path, more string) {
		t.Helper()
		_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\n"+host+more+"\r\n")
		answer(t, br, "GET")
	}
	var brs []*bufio.Reader
	var cs []net.Conn
	for i := range 16 {
		c := h.dial(t)
		br := bufio.NewReader(c)
		switch i {
		case 0: // the oldest, but known
			get(c, br, "/", "Cookie: a\r\n")
		case 7: // refused last
			get(c, br, "/refuse", "")
		default:
			get(c, br, "/", "")
		}
		time.Sleep(4 * time.Millisecond)
		cs, brs = append(cs, c), append(brs, br)
	}
	time.Sleep(60 * time.Millisecond)
	for range 2 {
		c := h.dial(t)
		br := bufio.NewReader(c)
		get(c, br, "/", "")
		time.Sleep(60 * time.Millisecond)
	}
	closedNow(t, brs[7])
	eventually(t, "evictions", func() bool { return h.Stats().Evicted == 2 })
	get(cs[0], brs[0], "/", "")
	eventually(t, "the end of the evicted", func() bool { return h.Stats().Open <= 16 })
	if s := h.Stats(); s.OverAll != 0 {
		t.Errorf("%+v", s)
	}
}

// Who has only just come has not had the time to show anything, and does not make room
// before those who were let in and have been waiting for longer.
func TestWhoHasJustComeStays(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConns = 16
	cfg.HeadTimeout = 400 * time.Millisecond // a fine tick: 50 ms
	for name, begun := range map[string]string{"silent": "", "a head begun": "GET / HT"} {
		t.Run(name, func(t *testing.T) {
			h := start(t, cfg, testDoor{}, hello)
			ask := func() {
				_, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
				answer(t, br, "GET")
			}
			for range 16 {
				ask()
			}
			time.Sleep(60 * time.Millisecond)
			c, br := h.send(t, begun)
			for range 3 {
				time.Sleep(20 * time.Millisecond)
				ask()
			}
			_, _ = io.WriteString(c, strings.TrimPrefix("GET / HTTP/1.1\r\n"+host+"\r\n", begun))
			if r, _ := answer(t, br, "GET"); r.StatusCode != 200 {
				t.Errorf("answered %d", r.StatusCode)
			}
			if s := h.Stats(); s.Evicted < 3 {
				t.Errorf("only %d made room", s.Evicted)
			}
		})
	}
}

// Who was refused has had the time, and begins as many heads as it likes.
func TestWhoWasRefusedMakesRoomFirst(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConns = 16
	cfg.HeadTimeout = 400 * time.Millisecond
	h := start(t, cfg, testDoor{}, hello)
	ask := func(c net.Conn, br *bufio.Reader) {
		t.Helper()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n"+host+"\r\n")
		if r, _ := answer(t, br, "GET"); r.StatusCode != 200 {
			t.Errorf("answered %d", r.StatusCode)
		}
	}
	c, br := h.send(t, "")
	ask(c, br)
	for range 14 {
		ask(h.send(t, ""))
	}
	time.Sleep(60 * time.Millisecond)
	bad, badBr := h.send(t, "GET /refuse HTTP/1.1\r\n"+host+"\r\n")
	answer(t, badBr, "GET")
	_, _ = io.WriteString(bad, "G")
	time.Sleep(10 * time.Millisecond)
	ask(h.send(t, ""))
	eventually(t, "an eviction", func() bool { return h.Stats().Evicted > 0 })
	ask(c, br) // the oldest of those let in is there still
}

// Bodies that are sent as slowly as they may be, and answers that are not taken,
// leave half of all places to others, and make room where nothing else does.
func TestSlowMakeRoom(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"bodies":  "POST / HTTP/1.1\r\n" + host + "Content-Length: 1000\r\n\r\na",
		"answers": "GET /large HTTP/1.1\r\n" + host + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			cfg.MaxConns, cfg.Grace, cfg.IdleTimeout = 16, time.Minute, time.Minute
			h := start(t, cfg, testDoor{}, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/large" {
					_, _ = w.Write(make([]byte, 32<<20))
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				hello(w, r)
			})
			stays, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
			answer(t, br, "GET")
			for range 15 {
				h.send(t, raw)
			}
			eventually(t, "all to be waited for", func() bool { return len(h.slow(nil)) == 15 })
			for i := range 4 {
				c, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
				if r, _ := answer(t, br, "GET"); r.StatusCode != 200 {
					t.Errorf("newcomer %d: %d", i, r.StatusCode)
				}
				_ = c.Close()
				time.Sleep(2 * h.tick)
			}
			_, _ = io.WriteString(stays, "GET / HTTP/1.1\r\n"+host+"\r\n")
			if r, _ := answer(t, br, "GET"); r.StatusCode != 200 {
				t.Errorf("who waits for nothing but a request of its own: %d", r.StatusCode)
			}
			if s := h.Stats(); s.OverAll != 0 || s.Evicted == 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// turnedAway expects a new connection to be closed at once, which the dialler
// may notice before it has connected.
func (h *house) turnedAway(t *testing.T) {
	t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	closedNow(t, bufio.NewReader(c))
}

// TestBegunHeadsMakeRoom: one byte of a head keeps no place from others.
func TestBegunHeadsMakeRoom(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConns = 16
	h := start(t, cfg, testDoor{}, hello)
	for range 16 {
		h.send(t, "G")
	}
	eventually(t, "all heads to begin", func() bool {
		n := 0
		h.each(func(c *conn) {
			if c.watch.Load()&0xff == phaseHead {
				n++
			}
		})
		return n == 16
	})
	_, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
	if r, _ := answer(t, br, "GET"); r.StatusCode != 200 {
		t.Errorf("answered %d", r.StatusCode)
	}
}

func TestBusyConnectionsAreNotEvicted(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConns = 16
	release := make(chan struct{})
	h := start(t, cfg, testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		<-release
		hello(w, r)
	})
	var brs []*bufio.Reader
	for range 16 {
		_, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
		brs = append(brs, br)
	}
	eventually(t, "all to be served", func() bool {
		n := 0
		h.each(func(c *conn) {
			if c.watch.Load()&0xff == phaseBusy && c.worth.Load() > 0 {
				n++
			}
		})
		return n == 16
	})
	h.turnedAway(t)
	if s := h.Stats(); s.OverAll != 1 || s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
	close(release)
	for _, br := range brs {
		answer(t, br, "GET")
	}
}

func TestConnectionsPerClient(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConnsPerClient = 3
	h := start(t, cfg, testDoor{}, hello)
	var cs []net.Conn
	for range 3 {
		c, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
		answer(t, br, "GET")
		cs = append(cs, c)
	}
	h.turnedAway(t)
	if n := h.Stats().OverClient; n != 1 {
		t.Errorf("%d over the limit", n)
	}
	_ = cs[0].Close()
	eventually(t, "a place", func() bool { return h.Stats().Open == 2 })
	_, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
	answer(t, br, "GET")
}

func TestTallyNeverCountsTooFew(t *testing.T) {
	y := newTally()
	p := netip.MustParsePrefix("192.0.2.1/32")
	for i := range 20_000 {
		y.take(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), 1<<30)
	}
	for i := range 5 {
		if ok := y.take(p, 3); ok && i >= 3 {
			t.Errorf("take %d was granted", i+1)
		}
	}
}

func proxyV2(command byte, family byte, addresses ...byte) string {
	b := []byte("\r\n\r\n\x00\r\nQUIT\n")
	b = append(b, 0x20|command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(addresses)))
	return string(append(b, addresses...))
}

func TestProxyProtocol(t *testing.T) {
	const get = "GET / HTTP/1.1\r\n" + host + "\r\n"
	v4 := []byte{203, 0, 113, 7, 192, 0, 2, 1, 0x10, 0, 0, 80}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	elsewhere := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	const me = "127.0.0.1"
	for _, c := range []struct {
		name    string
		mode    ProxyMode
		trusted []netip.Prefix
		header  string
		client  string // "": the connection is closed without an answer; "400": malformed
	}{
		{"v1", ProxyOptional, loopback, "PROXY TCP4 203.0.113.7 192.0.2.1 1000 80\r\n", "203.0.113.7"},
		{"v1 IPv6", ProxyRequired, loopback, "PROXY TCP6 2001:db8::7 2001:db8::1 1000 80\r\n", "2001:db8::7"},
		{"v1 unknown", ProxyRequired, loopback, "PROXY UNKNOWN\r\n", me},
		{"v1 bad address", ProxyOptional, loopback, "PROXY TCP4 203.0.113.777 192.0.2.1 1000 80\r\n", ""},
		{"v1 endless", ProxyOptional, loopback, "PROXY TCP4 " + strings.Repeat("1", 200), ""},
		{"v2", ProxyOptional, loopback, proxyV2(1, 0x11, v4...), "203.0.113.7"},
		{"v2 required", ProxyRequired, loopback, proxyV2(1, 0x11, v4...), "203.0.113.7"},
		{"v2 mapped", ProxyOptional, loopback, proxyV2(1, 0x21, append(append(append([]byte{
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9}, make([]byte, 16)...), 1, 1), 1, 1)...), "203.0.113.9"},
		{"v2 local", ProxyRequired, loopback, proxyV2(0, 0x00), me},
		{"v2 local with addresses", ProxyRequired, loopback, proxyV2(0, 0x11, v4...), me},
		{"v2 short", ProxyRequired, loopback, proxyV2(1, 0x11, v4[:5]...), ""},
		{"v2 bad command", ProxyRequired, loopback, proxyV2(7, 0x11, v4...), ""},
		{"none, optional", ProxyOptional, loopback, "", me},
		{"none, required", ProxyRequired, loopback, "", ""},
		{"stranger, none", ProxyOptional, elsewhere, "", me},
		{"stranger, v1", ProxyOptional, elsewhere, "PROXY TCP4 203.0.113.7 192.0.2.1 1000 80\r\n", "400"},
		{"stranger, v2", ProxyOptional, elsewhere, proxyV2(1, 0x11, v4...), "400"},
		{"stranger, required", ProxyRequired, elsewhere, "PROXY TCP4 203.0.113.7 192.0.2.1 1000 80\r\n", ""},
		{"off", ProxyOff, loopback, "PROXY TCP4 203.0.113.7 192.0.2.1 1000 80\r\n", "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.ProxyProtocol, cfg.TrustedProxies = c.mode, c.trusted
			h := start(t, cfg, testDoor{}, hello)
			conn, err := net.Dial("tcp", h.addr)
			if err != nil {
				if c.client != "" {
					t.Fatal(err)
				}
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(conn, c.header+get)
			br := bufio.NewReader(conn)
			r, err := http.ReadResponse(br, nil)
			switch {
			case c.client == "":
				if err == nil {
					t.Fatalf("answered %d", r.StatusCode)
				}
			case c.client == "400":
				if err != nil || r.StatusCode != 400 {
					t.Fatalf("got %v %v", r, err)
				}
			default:
				if err != nil || r.StatusCode != 200 {
					t.Fatalf("got %v %v", r, err)
				}
				v := h.watch.wait(t, 1)[0].visit
				if v.Client.String() != c.client || v.Peer.String() != me {
					t.Errorf("client %v peer %v", v.Client, v.Peer)
				}
			}
		})
	}
}

func TestProxyHeaderMustArrive(t *testing.T) {
	cfg := hasty()
	cfg.ProxyProtocol, cfg.TrustedProxies = ProxyOptional, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	h := start(t, cfg, testDoor{}, hello)
	_, br := h.send(t, "PROXY"[:1])
	closedNow(t, br)
}

func TestClientsBehindAProxyAreCounted(t *testing.T) {
	cfg := testConfig()
	cfg.ProxyProtocol, cfg.TrustedProxies = ProxyRequired, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	cfg.MaxConnsPerClient = 2
	h := start(t, cfg, testDoor{}, hello)
	open := func(client int) error {
		_, br := h.send(t, fmt.Sprintf("PROXY TCP4 203.0.113.%d 192.0.2.1 1000 80\r\nGET / HTTP/1.1\r\n%s\r\n", client, host))
		_, err := http.ReadResponse(br, nil)
		return err
	}
	for i := range 6 {
		if err := open(i / 2); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	if open(1) == nil {
		t.Error("a third connection of one client was served")
	}
}

func TestDrain(t *testing.T) {
	release, began := make(chan struct{}), make(chan struct{})
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(began)
			<-release
		}
		hello(w, r)
	})
	_, idle := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
	answer(t, idle, "GET")
	_, silent := h.send(t, "")
	_, busy := h.send(t, "GET /slow HTTP/1.1\r\n"+host+"\r\n")
	<-began
	done := make(chan error, 1)
	go func() { done <- h.Drain(context.Background()) }()
	closedNow(t, idle)
	closedNow(t, silent)
	if _, err := net.Dial("tcp", h.addr); err == nil {
		t.Error("still accepts")
	}
	select {
	case err := <-done:
		t.Fatalf("drained with a request under way: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if r, body := answer(t, busy, "GET"); body != "hello" || !r.Close {
		t.Errorf("got %q, closes %v", body, r.Close)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDrainEndsWithItsContext(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, _ *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_, _ = io.Copy(io.Discard, nc)
			_ = nc.Close()
		}
	})
	_, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"Connection: upgrade\r\nUpgrade: x\r\n\r\n")
	if r, err := http.ReadResponse(br, nil); err != nil || r.StatusCode != 101 {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := h.Drain(ctx); err != context.DeadlineExceeded {
		t.Errorf("Drain says %v", err)
	}
	closedNow(t, br)
}

func TestMemoryPerIdleConnection(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, hello)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 300
	for range n {
		_, br := h.send(t, "GET / HTTP/1.1\r\n"+host+"\r\n")
		answer(t, br, "GET")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse)
	t.Logf("%d bytes per idle connection, of both ends", used/n)
	if used/n > 64<<10 {
		t.Errorf("%d bytes per idle connection", used/n)
	}
}

// Large heads that arrive slowly are given up for those that arrive fast.
func TestSlowLargeHeadsAreGivenUp(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, hello)
	h.mostLarge = 16
	big := "GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("a", 4000)
	for range 16 {
		h.send(t, big)
	}
	eventually(t, "the slow heads", func() bool { return h.large.Load() == 16 })
	for range 20 {
		_, br := h.send(t, big+"\r\n\r\n")
		if r, _ := answer(t, br, "GET"); r.StatusCode != 200 {
			t.Errorf("answered %d", r.StatusCode)
		}
	}
	if n := h.Stats().Timeouts["head"]; n == 0 || n > 16 {
		t.Errorf("%d heads given up", n)
	}
	eventually(t, "all buffers but those of slow heads", func() bool { return h.large.Load() <= 16 })
}
