package packet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
)

// bare is a filter that does nothing at the client's end: on such a pair of
// interfaces what is sent back at once arrives only where a program waits.
func bare(t *testing.T) {
	t.Helper()
	cfg := filter.DefaultConfig()
	cfg.Malformed, cfg.Reflected, cfg.Fragments, cfg.ICMP, cfg.Block = filter.Off, filter.Off, filter.Off, filter.Off, filter.Off
	cfg.Budget, cfg.Initials, cfg.Connections = filter.Off, filter.Off, filter.Off
	asClient(t, func() {
		f, err := filter.New(cfg, filter.Guard{}, "")
		if err != nil {
			t.Fatalf("%+v", err)
		}
		t.Cleanup(f.Close)
		if _, err := f.Attach(peerLink); err != nil {
			t.Fatal(err)
		}
	})
}

func counted(t *testing.T, f *filter.Filter, r filter.Reason) uint64 {
	t.Helper()
	c, err := f.Counts()
	if err != nil {
		t.Fatal(err)
	}
	return c.Done[r].Packets
}

func tcpInfo(t *testing.T, c net.Conn) *unix.TCPInfo {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	if e := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return info
}

// receiver takes one connection after the other and tells how much each sent and
// how the kernel set it up.
func receiver(t *testing.T, addr string) <-chan string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b, _ := io.ReadAll(c)
			info := tcpInfo(t, c)
			got <- fmt.Sprintf("%d bytes, scaled %t, sack %t, timestamps %t", len(b), info.Options&4 != 0, info.Options&2 != 0, info.Options&1 != 0)
			_ = c.Close()
		}
	}()
	return got
}

// A client that was answered with a cookie is connected, sends its data, and has
// what it would have had without.
func TestCookies(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		bare(t)
		was, err := os.ReadFile("/proc/sys/net/ipv4/tcp_syncookies")
		if err != nil {
			t.Fatal(err)
		}
		f := made(t, "")
		defer f.Close()
		attach(t, f)
		data := bytes.Repeat([]byte("seawall "), 40_000)
		for _, host := range []string{ownAddr, "[2001:db8::1]"} {
			got := receiver(t, host+":80")
			for _, plain := range []bool{false, true} { // without timestamps
				for _, armed := range []bool{false, true} {
					name := fmt.Sprintf("%s, armed %t, plain %t", host, armed, plain)
					asClient(t, func() {
						mustSet(t, "net/ipv4/tcp_timestamps", map[bool]string{false: "1", true: "0"}[plain])
					})
					if err := f.Arm(armed); err != nil {
						t.Fatal(err)
					}
					before := counted(t, f, filter.StopCookie)
					asClient(t, func() {
						c, err := net.DialTimeout("tcp", host+":80", soon)
						if err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						defer c.Close()
						if _, err := c.Write(data); err != nil {
							t.Errorf("%s: %v", name, err)
						}
						if n := tcpInfo(t, c).Total_retrans; n > 0 && armed {
							t.Errorf("%s: %d segments sent again", name, n)
						}
					})
					want := fmt.Sprintf("%d bytes, scaled %t, sack %t, timestamps %t", len(data), !(plain && armed), !(plain && armed), !plain)
					if s := <-got; s != want {
						t.Errorf("%s: %s; want %s", name, s, want)
					}
					if n := counted(t, f, filter.StopCookie) - before; (n > 0) != armed {
						t.Errorf("%s: answered with %d cookies", name, n)
					}
				}
			}
		}
		if n := counted(t, f, filter.StopState); n > 0 {
			t.Errorf("%d segments of these connections were stopped", n)
		}
		if err := f.Arm(false); err != nil {
			t.Fatal(err)
		}
		if now, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_syncookies"); !bytes.Equal(now, was) {
			t.Errorf("tcp_syncookies was %q and is %q", was, now)
		}
	})
}

func mustSet(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
		t.Error(err)
	}
}

// What belongs to no connection is stopped; what does, or was asked for by this
// host, passes.
func TestOutOfState(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		f := made(t, "")
		defer f.Close()
		attach(t, f)
		greeter(t, ownAddr+":80")
		greeter(t, "[2001:db8::1]:80")
		own, peer := netip.MustParseAddr(ownAddr), netip.MustParseAddr(peerAddr)

		// A connection, a connection asked for by the host from the protected port,
		// and a UDP socket that asked somebody.
		var port uint16
		asClient(t, func() {
			c, err := net.Dial("tcp", ownAddr+":80")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			port = c.LocalAddr().(*net.TCPAddr).AddrPort().Port()
			dns, err := net.ListenPacket("udp", peerAddr+":53")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = dns.Close() })
		})
		asks, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IP(own.AsSlice()), Port: 443}, &net.UDPAddr{IP: net.IP(peer.AsSlice()), Port: 53})
		if err != nil {
			t.Fatal(err)
		}
		defer asks.Close()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IP(own.AsSlice()), Port: 443}}
		ctx, cancel := context.WithCancel(t.Context())
		var dialing sync.WaitGroup
		defer dialing.Wait()
		defer cancel()
		dialing.Go(func() {
			// Nobody is there, so that it stays about to be.
			if c, err := dialer.DialContext(ctx, "tcp", "198.18.0.77:25"); err == nil {
				_ = c.Close()
			}
		})
		for !strings.Contains(sockets(t), ":01BB") {
			time.Sleep(time.Millisecond)
		}

		from := func(a string, sport, dport uint16, flags byte) craft.Frame {
			s, d := netip.MustParseAddr(a), own
			if s.Is6() {
				d = netip.MustParseAddr("2001:db8::1")
			}
			return craft.Frame{Source: s, Dest: d, SPort: sport, DPort: dport, Flags: flags}
		}
		udp := func(a string, sport uint16, n int) craft.Frame {
			fr := from(a, sport, 443, 0)
			fr.Proto, fr.Payload = craft.UDP, make([]byte, n)
			return fr
		}
		for _, c := range []struct {
			name  string
			frame craft.Frame
			want  filter.Reason
		}{
			{"an ACK of nothing", from(peerAddr, 4000, 80, craft.ACK), filter.StopState},
			{"data of nothing", from("2001:db8::9", 4000, 80, craft.ACK|craft.PSH), filter.StopState},
			{"a RST of nothing", from(peerAddr, 4000, 80, craft.RST), filter.StopState},
			{"a FIN of nothing", from("2001:db8::9", 4000, 80, craft.FIN|craft.ACK), filter.StopState},
			{"the connection's own", from(peerAddr, port, 80, craft.ACK), filter.PassOurs},
			{"its RST", from(peerAddr, port, 80, craft.RST|craft.ACK), filter.PassOurs},
			{"a SYN", from(peerAddr, 4000, 80, craft.SYN), filter.PassOurs},
			{"an ACK to a port where nobody listens", from(peerAddr, 4000, 443, craft.ACK), filter.PassOurs},
			{"a SYN-ACK never asked for", from(peerAddr, 25, 443, craft.SYN|craft.ACK), filter.StopSynAck},
			{"a SYN-ACK asked for", from("198.18.0.77", 25, 443, craft.SYN|craft.ACK), filter.PassOurs},
			{"an answer of DNS asked for", udp(peerAddr, 53, 100), filter.PassOurs},
			{"an answer of DNS by another", udp("198.18.0.3", 53, 100), filter.StopReflected},
			{"UDP to nobody", udp("198.18.0.3", 4000, 100), filter.StopUnheard},
		} {
			before := counted(t, f, c.want)
			passes, err := f.Try(c.frame.Bytes())
			if err != nil || passes != (c.want < filter.StopLength) || counted(t, f, c.want) == before {
				t.Errorf("%s: passes %t, %v; want %s", c.name, passes, err, c.want)
			}
		}
		_ = asks.Close()
	})
}

// Where somebody listens for UDP, a flow that began with an Initial goes on
// through a flood of datagrams that belong to none.
func TestUnknownDatagrams(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		cfg := filter.DefaultConfig()
		cfg.UDPRate, cfg.Budget = 80, filter.Off
		f, err := filter.New(cfg, guard(), "")
		if err != nil {
			t.Fatalf("%+v", err)
		}
		defer f.Close()
		server, err := net.ListenPacket("udp", ownAddr+":443")
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		frame := func(sport uint16, payload []byte) []byte {
			return craft.Frame{
				Source: netip.MustParseAddr(peerAddr), Dest: netip.MustParseAddr(ownAddr),
				Proto: craft.UDP, SPort: sport, DPort: 443, Payload: payload,
			}.Bytes()
		}
		runtime.LockOSThread() // what is known is known to a processor
		defer runtime.UnlockOSThread()
		var all unix.CPUSet
		if err := unix.SchedGetaffinity(0, &all); err != nil {
			t.Fatal(err)
		}
		one := unix.CPUSet{}
		one.Set(0)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			t.Skip("a test on one processor: ", err)
		}
		defer func() { _ = unix.SchedSetaffinity(0, &all) }()
		if many(t, f, frame(5000, quic(1, 0xc0, 1200)), 1) != 1 {
			t.Fatal("an Initial is stopped")
		}
		short := quic(0, 0x41, 60)
		if n := many(t, f, frame(5001, short), 3000); n < 10 || n > 2000 {
			t.Errorf("%d of 3000 datagrams of no flow pass", n)
		}
		if n := many(t, f, frame(5000, short), 1000); n != 1000 {
			t.Errorf("%d of 1000 of the flow that began pass", n)
		}
		if counted(t, f, filter.StopUDP) == 0 {
			t.Error("not counted")
		}
	})
}

// Reflected floods come to any port. When they are many, what no socket waits
// for is stopped, but on a machine that forwards packets to others.
func TestStrays(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		mustSet(t, "net/ipv4/ip_forward", "0")
		mustSet(t, "net/ipv6/conf/all/forwarding", "0")
		f := made(t, "")
		defer f.Close()
		resolver, err := net.ListenPacket("udp", ownAddr+":40053") // connected to nobody
		if err != nil {
			t.Fatal(err)
		}
		defer resolver.Close()
		frame := func(proto byte, sport, dport uint16) []byte {
			return craft.Frame{
				Source: netip.MustParseAddr(peerAddr), Dest: netip.MustParseAddr(ownAddr),
				Proto: proto, SPort: sport, DPort: dport, Flags: craft.SYN | craft.ACK, Payload: make([]byte, 500),
			}.Bytes()
		}
		synack, dns := frame(craft.TCP, 443, 40001), frame(craft.UDP, 53, 40002)
		waited, chat := frame(craft.UDP, 53, 40053), frame(craft.UDP, 5001, 40002)
		stopped := func(b []byte) int {
			// One run, so that all of it is in one or two windows of time.
			before, _ := f.Counts()
			if _, _, err := f.TryOften(b, 20_000); err != nil {
				t.Fatal(err)
			}
			after, _ := f.Counts()
			n := 0
			for r := filter.StopLength; r < filter.Reasons; r++ {
				n += int(after.Done[r].Packets - before.Done[r].Packets)
			}
			return n
		}
		for name, c := range map[string]struct {
			frame []byte
			flood bool
		}{"SYN-ACKs": {synack, true}, "DNS answers": {dns, true}, "DNS answers that a socket waits for": {waited, false}, "other UDP": {chat, false}} {
			if n := stopped(c.frame); c.flood != (n > 10_000) || !c.flood && n > 0 {
				t.Errorf("%s: %d of 20,000 are stopped", name, n)
			}
		}
		time.Sleep(50 * time.Millisecond)
		if ok, err := f.Try(synack); !ok || err != nil {
			t.Errorf("a single one is stopped, %v", err)
		}
		mustSet(t, "net/ipv4/ip_forward", "1")
		if err := f.Adapt(); err != nil {
			t.Fatal(err)
		}
		if n := stopped(synack); n > 0 {
			t.Errorf("on a machine that forwards, %d are stopped", n)
		}
	})
}

func sockets(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
