package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// dialFrom connects from an address of loopback.
func (h *house) dialFrom(t testing.TB, from string) net.Conn {
	t.Helper()
	return dialFrom(t, h.addr, from)
}

func dialFrom(t testing.TB, addr, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

func (h *house) ban(prefix string, person bool) (int, []netip.Prefix) {
	return h.CloseClients([]Banned{{Prefix: netip.MustParsePrefix(prefix), Person: person}}, nil)
}

// reset says whether the other end ended a connection by a reset.
func reset(c net.Conn) bool {
	_, err := io.Copy(io.Discard, c)
	return errors.Is(err, syscall.ECONNRESET)
}

// Whatever a banned client's connection is doing, it ends at once and by a reset,
// and so does what is being done for it.
func TestCloseClients(t *testing.T) {
	const bad, good = "127.0.3.1", "127.0.3.2"
	writing, polling := make(chan struct{}), make(chan struct{})
	ended := make(chan string, 2)
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/write":
			close(writing)
			for block := make([]byte, 1<<20); ; {
				if _, err := w.Write(block); err != nil {
					ended <- "write"
					return
				}
			}
		case "/poll":
			close(polling)
			<-r.Context().Done()
			ended <- "poll"
		case "/hijack":
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		default:
			hello(w, r)
		}
	})
	const host = " HTTP/1.1\r\nHost: example.org\r\n"
	conns := map[string]net.Conn{}
	for name, sent := range map[string]string{
		"new":      "",
		"idle":     "GET /" + host + "\r\n",
		"head":     "GET /" + host,
		"body":     "POST /" + host + "Content-Length: 100\r\n\r\nx",
		"refused":  "GET /refuse" + host + "\r\n",
		"writing":  "GET /write" + host + "\r\n",
		"polling":  "GET /poll" + host + "\r\n",
		"hijacked": "GET /hijack" + host + "Connection: upgrade\r\nUpgrade: x\r\n\r\n",
	} {
		conns[name] = h.dialFrom(t, bad)
		if _, err := io.WriteString(conns[name], sent); err != nil {
			t.Fatal(err)
		}
		switch name {
		case "idle", "refused", "hijacked": // until it is answered
			if _, err := conns[name].Read(make([]byte, 8<<10)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	<-writing
	<-polling
	other := h.dialFrom(t, good)
	eventually(t, "all connections", func() bool { return h.Stats().Open == len(conns)+1 })
	if n, people := h.ban(bad+"/32", false); n != len(conns) || people != nil {
		t.Errorf("closed %d, found %v", n, people)
	}
	for name, c := range conns {
		if !reset(c) {
			t.Errorf("%s: it did not end by a reset", name)
		}
	}
	<-ended
	<-ended
	eventually(t, "one connection left", func() bool { return h.Stats().Open == 1 })
	if n, _ := h.ban(bad+"/32", false); n != 0 || h.Stats().Banned != uint64(len(conns)) {
		t.Errorf("then closed %d, counted %d", n, h.Stats().Banned)
	}
	if _, err := io.WriteString(other, "GET /"+host+"Connection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(other); err != nil || !strings.HasSuffix(string(b), "hello") {
		t.Errorf("somebody else got %q, %v", b, err)
	}
}

// Who is not closed: trusted proxies, also in the middle of saying whom they
// speak for; who is allowed; and who holds a clearance, unless a person says so.
func TestCloseClientsSpares(t *testing.T) {
	const proxy, cleared, plain, allowed = "127.0.4.1", "127.0.4.2", "127.0.4.3", "127.0.4.4"
	cfg := testConfig()
	cfg.ProxyProtocol = ProxyOptional
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(proxy + "/32")}
	h := start(t, cfg, testDoor{}, hello)
	const get = "GET / HTTP/1.1\r\nHost: example.org\r\n"
	open := map[string]net.Conn{}
	for _, c := range []struct {
		name, from, sent string
	}{
		{"a proxy in the middle of its header", proxy, "PR"},
		{"a proxy", proxy, "PROXY TCP4 198.51.100.7 192.0.2.1 1000 80\r\n" + get + "\r\n"},
		{"cleared", cleared, get + "Cookie: a=b\r\n\r\n"},
		{"cleared, and refused since", cleared, get + "Cookie: a=b\r\n\r\nGET /refuse HTTP/1.1\r\nHost: example.org\r\nCookie: a=b\r\n\r\n"},
		{"cleared, but no more", cleared, get + "Cookie: a=b\r\n\r\n" + get + "\r\n"},
		{"without a clearance", plain, get + "\r\n"},
		{"allowed", allowed, get + "\r\n"},
	} {
		open[c.name] = h.dialFrom(t, c.from)
		if _, err := io.WriteString(open[c.name], c.sent); err != nil {
			t.Fatal(err)
		}
	}
	h.watch.wait(t, 8)
	eventually(t, "all idle", func() bool {
		idle := 0
		h.each(func(c *conn) {
			if w := c.watch.Load() & 0xff; w == phaseIdle || w == phaseNew {
				idle++
			}
		})
		return idle == len(open)
	})
	spare := func(a netip.Addr) bool { return a == netip.MustParseAddr(allowed) }
	list := []Banned{{Prefix: netip.MustParsePrefix("127.0.4.0/24")}}
	n, people := h.CloseClients(list, spare)
	if n != 2 || fmt.Sprint(people) != "[127.0.4.0/24 127.0.4.0/24]" {
		t.Errorf("the machine's ban closed %d, found people in %v", n, people)
	}
	for _, name := range []string{"without a clearance", "cleared, but no more"} {
		if !reset(open[name]) {
			t.Errorf("%s: still open", name)
		}
	}
	list = append(list, Banned{Prefix: netip.MustParsePrefix(cleared + "/32"), Person: true}, Banned{Prefix: netip.MustParsePrefix(cleared + "/32")})
	if n, people = h.CloseClients(list, spare); n != 2 || people != nil {
		t.Errorf("a person's ban closed %d, found people in %v", n, people)
	}
	if n, _ := h.CloseClients([]Banned{{Prefix: netip.MustParsePrefix("127.0.0.0/8"), Person: true}, {}}, nil); n != 1 {
		t.Errorf("all but the proxies: closed %d", n)
	}
	eventually(t, "the proxies left", func() bool { return h.Stats().Open == 2 })
}

// Connections come, are served and go while they are closed from outside.
func TestCloseClientsMeanwhile(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConnsPerClient = 64
	h := start(t, cfg, testDoor{}, hello)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var served atomic.Int64
	for i := range 8 {
		from := fmt.Sprintf("127.0.5.%d", i%4+1)
		running.Go(func() {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
			for ctx.Err() == nil {
				c, err := d.Dial("tcp", h.addr)
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				for range 4 {
					if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); err != nil {
						break
					}
					if _, err := c.Read(make([]byte, 4096)); err != nil {
						break
					}
					served.Add(1)
				}
				_ = c.Close()
			}
		})
	}
	closed := 0
	eventually(t, "some served, some closed", func() bool {
		n, _ := h.ban("127.0.5.1/32", false)
		m, _ := h.ban("127.0.5.2/31", true)
		closed += n + m
		return served.Load() > 500 && closed > 100
	})
	cancel()
	running.Wait()
	eventually(t, "no connection", func() bool { return h.Stats().Open == 0 })
	if n := h.Stats().Banned; n != uint64(closed) {
		t.Errorf("closed %d, counted %d", closed, n)
	}
	for _, taken := range []*tally{h.clients, h.networks} {
		for _, row := range [][]atomic.Int32{taken.rows[0][:], taken.rows[1][:]} {
			for i := range row {
				if n := row[i].Load(); n != 0 {
					t.Fatalf("%d places are not given back", n)
				}
			}
		}
	}
}

const (
	envServer = "SEAWALL_TEST_SERVER" // where a process of its own holds connections
	half      = 5000                  // that each of two processes holds: one may not have files enough
)

// TestHoldsConnections is that process: it says when it holds them, and then how
// many of them ended by a reset.
func TestHoldsConnections(t *testing.T) {
	addr := os.Getenv(envServer)
	if addr == "" {
		return
	}
	conns := hold(t, addr, half)
	fmt.Println("holds")
	n := 0
	for _, c := range conns {
		if reset(c) {
			n++
		}
	}
	fmt.Println("reset", n)
}

// hold opens connections from ten clients that wait, some for an answer's end
// and some for a first request.
func hold(t testing.TB, addr string, n int) []net.Conn {
	t.Helper()
	var conns []net.Conn
	for i := range n {
		c := dialFrom(t, addr, fmt.Sprintf("127.0.6.%d", i%10+1))
		if i%2 == 0 {
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		conns = append(conns, c)
	}
	return conns
}

// holdMany has twice half of them open, and returns how many of them turn out to
// have ended by a reset.
func (h *house) holdMany(t testing.TB) (resets func() int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHoldsConnections$")
	cmd.Env = append(os.Environ(), envServer+"="+h.addr)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	own := hold(t, h.addr, half)
	if said, err := lines.ReadString('\n'); err != nil || said != "holds\n" {
		t.Fatalf("the other process says %q, %v", said, err)
	}
	eventually(t, "all connections", func() bool { return h.Stats().Open == 2*half })
	return func() (n int) {
		if _, err := fmt.Fscanf(lines, "reset %d\n", &n); err != nil {
			t.Error(err)
		}
		for _, c := range own {
			if reset(c) {
				n++
			}
			_ = c.Close()
		}
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait()
		return n
	}
}

func manyConns() Config {
	cfg := testConfig()
	cfg.MaxConns, cfg.MaxConnsPerClient, cfg.MaxConnsPerNetwork = 12_000, 12_000, 12_000
	cfg.HeadTimeout = time.Minute
	return cfg
}

var tenClients = []Banned{{Prefix: netip.MustParsePrefix("127.0.6.0/28")}}

// Ten thousand connections of banned clients are gone, the kernel's part too.
// How soon, BenchmarkCloseClients says.
func TestCloseTenThousand(t *testing.T) {
	h := start(t, manyConns(), testDoor{}, hello)
	resets := h.holdMany(t)
	if n, _ := h.CloseClients(tenClients, nil); n != 2*half {
		t.Errorf("closed %d", n)
	}
	eventually(t, "no connection", func() bool { return h.Stats().Open == 0 })
	if n := resets(); n != 2*half {
		t.Errorf("%d ended by a reset", n)
	}
}

// BenchmarkCloseClients closes 10,000 connections each time; gone-ms is until the
// last of them has given its place back.
func BenchmarkCloseClients(b *testing.B) {
	h := start(b, manyConns(), testDoor{}, hello)
	var gone time.Duration
	for range b.N {
		b.StopTimer()
		resets := h.holdMany(b)
		b.StartTimer()
		begin := time.Now()
		n, _ := h.CloseClients(tenClients, nil)
		for h.Stats().Open > 0 {
			time.Sleep(time.Millisecond)
		}
		gone += time.Since(begin)
		b.StopTimer()
		if n != 2*half || resets() != n {
			b.Fatalf("closed %d", n)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(gone.Milliseconds())/float64(b.N), "gone-ms")
}

// BenchmarkCloseClientsNone goes through 2,000 connections of others for a
// thousand bans.
func BenchmarkCloseClientsNone(b *testing.B) {
	h := start(b, manyConns(), testDoor{}, hello)
	hold(b, h.addr, 2000)
	eventually(b, "all connections", func() bool { return h.Stats().Open == 2000 })
	var list []Banned
	for i := range 1000 {
		list = append(list, Banned{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32)})
	}
	b.ReportAllocs()
	for b.Loop() {
		if n, _ := h.CloseClients(list, nil); n != 0 {
			b.Fatal(n)
		}
	}
}
