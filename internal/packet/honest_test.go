package packet

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
)

// A flood of pings must not starve what connections need: path MTU discovery,
// and multicast listener discovery, on which neighbour discovery stands where
// switches snoop.
func TestPingsStarveNothing(t *testing.T) {
	f := load(t, nil)
	ping4, ping6 := v4(craft.Frame{Proto: craft.ICMP, Kind: 8}).Bytes(), v6(craft.Frame{Proto: craft.ICMPv6, Kind: 128}).Bytes()
	needed := v4(craft.Frame{Proto: craft.ICMP, Kind: 3}).Bytes()
	needed[tcp4+1] = 4
	for name, frame := range map[string][]byte{
		"fragmentation needed": needed,
		"packet too big":       v6(craft.Frame{Proto: craft.ICMPv6, Kind: 2}).Bytes(),
		"MLD query":            v6(craft.Frame{Proto: craft.ICMPv6, Kind: 130}).Bytes(),
		"MLDv2 report":         v6(craft.Frame{Proto: craft.ICMPv6, Kind: 143}).Bytes(),
	} {
		for range 20000 { // both processors' budgets
			_, _ = f.Try(ping4)
			_, _ = f.Try(ping6)
		}
		if passed := many(t, f, frame, 10); passed < 10 {
			t.Errorf("%s: %d of 10 pass during a flood of pings", name, passed)
		}
	}
}

// Neighbour discovery that came through a router (hop limit below 255) is
// discarded by the kernel, and must not be a way past the budget.
func TestNeighboursFromAfar(t *testing.T) {
	f := load(t, nil)
	if passed := many(t, f, v6(craft.Frame{Proto: craft.ICMPv6, Kind: 135, TTL: 60}).Bytes(), 20000); passed > 10000 {
		t.Errorf("%d of 20000 from afar pass", passed)
	}
}

// A TCP port that is protected says nothing of UDP: this host's own questions
// may go out from it, since nobody holds it.
func TestOwnQuestions(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		// One port to choose from shows in one try what 28,000 show now and then.
		const port = 40123
		_ = os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40123 40124"), 0)
		greeter(t, ownAddr+":"+strconv.Itoa(port))
		cfg := DefaultConfig()
		cfg.Interfaces, cfg.UDPPorts, cfg.Pins = []string{ownLink}, []uint16{port}, bpffs(t)
		p := New(cfg, slog.New(slog.DiscardHandler))
		p.Start([]uint16{port})
		var server net.PacketConn
		asClient(t, func() { server, _ = net.ListenPacket("udp", peerAddr+":53") })
		defer server.Close()
		go func() {
			for b := make([]byte, 100); ; {
				n, from, err := server.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = server.WriteTo(b[:n], from)
			}
		}()
		for range 8 {
			c, err := net.Dial("udp", peerAddr+":53")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write([]byte("question"))
			_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond))
			if _, err := c.Read(make([]byte, 100)); err != nil {
				t.Errorf("no answer at %v: %v", c.LocalAddr(), err)
			}
			_ = c.Close()
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What shows that it is for another port is not judged.
func TestOtherPorts(t *testing.T) {
	f := load(t, nil)
	for name, frame := range map[string][]byte{
		"ssh behind three priority tags": v4(craft.Frame{DPort: 22, Tags: []uint16{0, 0, 0}}).Bytes(),
		"ssh with odd flags":             v6(craft.Frame{DPort: 22, Flags: craft.SYN | craft.RST}).Bytes(),
	} {
		if done, _, ok := result(t, f, frame); !ok {
			t.Errorf("%s: stopped, %v", name, done)
		}
	}
}

// PPPoE: ppp0 has no Ethernet header, and the error says to name the interface
// below, where the filter does not look into PPPoE.
func TestPPPoE(t *testing.T) {
	f := load(t, nil)
	block(t, f, netip.PrefixFrom(client4, 32), true)
	ip := v4(craft.Frame{}).Bytes()[14:]
	b := ether(0x8864, nil, append([]byte{0x11, 0, 0, 1, 0, byte(len(ip) + 2), 0, 0x21}, ip...))
	if _, _, ok := result(t, f, b); ok {
		t.Error("a blocked source passes inside PPPoE")
	}
}

// BIG TCP between namespaces: what arrives at a port that is not protected must
// be as it was.
func TestBigTCP(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		for _, n := range []string{"gso_max_size", "gro_max_size"} {
			run(t, "ip", "link", "set", "lo", n, "150000")
		}
		l, err := net.Listen("tcp", "[::1]:22")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, c); _, _ = c.Write([]byte("x")); _ = c.Close() }()
			}
		}()
		send := func() string {
			c, err := net.Dial("tcp", "[::1]:22")
			if err != nil {
				return err.Error()
			}
			defer c.Close()
			raw, _ := c.(*net.TCPConn).SyscallConn()
			_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20) })
			begin := time.Now()
			_ = c.SetDeadline(time.Now().Add(3 * time.Second))
			n, err := c.Write(make([]byte, 64<<20))
			_ = c.(*net.TCPConn).CloseWrite()
			if err == nil {
				_, err = c.Read(make([]byte, 1))
			}
			return fmt.Sprintf("%d MiB in %v, %v", n>>20, time.Since(begin).Round(time.Millisecond), err)
		}
		t.Log("bare:", send())
		for _, m := range []filter.Mode{filter.Off, filter.Enforce} {
			cfg := filter.DefaultConfig()
			cfg.Malformed = m
			g := guard()
			g.Loopback = true
			f, err := filter.New(cfg, g, "")
			if err != nil {
				t.Fatal(err)
			}
			how, err := f.Attach("lo")
			if err != nil {
				t.Fatal(err)
			}
			t.Log(how, "malformed", m, send())
			n, _ := f.Counts()
			t.Log("length:", n.Done[filter.StopLength])
			if n.Done[filter.StopLength].Packets > 0 {
				t.Error("own packets stopped as malformed")
			}
			f.Close()
		}
	})
}
