package packet

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
)

var (
	bad4, own4 = netip.MustParseAddr(peerAddr), netip.MustParseAddr(ownAddr)
	bad6, own6 = netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::1")
)

// udp6 is a datagram to port 443 with its checksum, without headers before it.
func udp6(text string) []byte {
	return craft.Frame{Source: bad6, Dest: own6, Proto: craft.UDP, SPort: 40000, DPort: 443, Payload: []byte(text)}.Bytes()[54:]
}

func udp4(text string) []byte {
	return craft.Frame{Source: bad4, Dest: own4, Proto: craft.UDP, SPort: 40000, DPort: 443, Payload: []byte(text)}.Bytes()[34:]
}

func ether(kind uint16, tags []uint16, body []byte) []byte {
	b := make([]byte, 12)
	b[6] = 2
	for i := 0; i+1 < len(tags); i += 2 {
		b = binary.BigEndian.AppendUint16(b, tags[i])
		b = binary.BigEndian.AppendUint16(b, tags[i+1])
	}
	return append(binary.BigEndian.AppendUint16(b, kind), body...)
}

func ip6(next byte, payload ...[]byte) []byte {
	var body []byte
	for _, p := range payload {
		body = append(body, p...)
	}
	h := make([]byte, 40)
	h[0], h[6], h[7] = 0x60, next, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(body)))
	s, d := bad6.As16(), own6.As16()
	copy(h[8:], s[:])
	copy(h[24:], d[:])
	return append(h, body...)
}

func ipv4raw(proto byte, id, off uint16, options, body []byte) []byte {
	h := make([]byte, 20, 20+len(options)+len(body))
	h[0] = 0x40 | byte(5+len(options)/4)
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(options)+len(body)))
	binary.BigEndian.PutUint16(h[4:], id)
	binary.BigEndian.PutUint16(h[6:], off)
	h[8], h[9] = 64, proto
	s, d := bad4.As4(), own4.As4()
	copy(h[12:], s[:])
	copy(h[16:], d[:])
	h = append(h, options...)
	binary.BigEndian.PutUint16(h[10:], craft.Checksum(0, h))
	return append(h, body...)
}

func opt(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }

// long is a header of destination options of 2,048 bytes that Linux bears: seven
// unknown options that may be skipped.
func long(next byte) []byte {
	b := make([]byte, 2048)
	b[0], b[1] = next, 255
	for at := 2; at < len(b); {
		n := min(255+2, len(b)-at)
		if r := len(b) - at - n; r == 1 {
			n--
		}
		b[at], b[at+1] = 0x1e, byte(n-2)
		at += n
	}
	return b
}

func frag(next byte, off int, more bool, id uint32) []byte {
	f := make([]byte, 8)
	f[0] = next
	w := uint16(off)
	if more {
		w |= 1
	}
	binary.BigEndian.PutUint16(f[2:], w)
	binary.BigEndian.PutUint32(f[4:], id)
	return f
}

type evasion struct {
	name   string
	frames [][]byte
}

func evasions() []evasion {
	u4, u6 := udp4("evade-me-evade-me-evade-me-evade"), udp6("evade-me-evade-me-evade-me-evade")
	e4, e6 := func(tags ...uint16) []byte { return ether(0x800, tags, ipv4raw(17, 7, 0, nil, u4)) },
		func(next byte, parts ...[]byte) []byte { return ether(0x86dd, nil, ip6(next, parts...)) }
	nine := func() []byte {
		var parts [][]byte
		for range 8 {
			parts = append(parts, opt(60))
		}
		return e6(60, append(parts, opt(17), u6)...)
	}
	big := udp6(string(make([]byte, 2000)))
	snap := append([]byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, ipv4raw(17, 7, 0, nil, u4)...)
	ah := []byte{17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	mapped := ip6(17, u6)
	copy(mapped[8:], []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 198, 18, 0, 2})
	zero := ip6(17, u6)
	binary.BigEndian.PutUint16(zero[4:], 0)
	return []evasion{
		{"plain 4", [][]byte{e4()}},
		{"plain 6", [][]byte{e6(17, u6)}},
		{"priority tag", [][]byte{e4(0x8100, 0)}},
		{"priority S-tag", [][]byte{e4(0x88a8, 0)}},
		{"two priority tags", [][]byte{e4(0x8100, 0, 0x8100, 0)}},
		{"three priority tags", [][]byte{e4(0x8100, 0, 0x8100, 0, 0x8100, 0)}},
		{"tag 0x9100", [][]byte{e4(0x9100, 0)}},
		{"SNAP", [][]byte{ether(uint16(len(snap)), nil, snap)}},
		{"options 4", [][]byte{ether(0x800, nil, ipv4raw(17, 7, 0, []byte{1, 1, 1, 0}, u4))}},
		{"loose source route", [][]byte{ether(0x800, nil, ipv4raw(17, 7, 0, []byte{131, 7, 8, 198, 18, 0, 1, 0}, u4))}},
		{"padding behind 4", [][]byte{append(e4(), make([]byte, 40)...)}},
		{"HBH", [][]byte{e6(0, opt(17), u6)}},
		{"DST", [][]byte{e6(60, opt(17), u6)}},
		{"HBH DST DST", [][]byte{e6(0, opt(60), opt(60), opt(17), u6)}},
		{"eight DST", [][]byte{e6(60, opt(60), opt(60), opt(60), opt(60), opt(60), opt(60), opt(60), opt(17), u6)}},
		{"nine DST", [][]byte{nine()}},
		{"routing 2, none left", [][]byte{e6(43, []byte{17, 0, 253, 0, 0, 0, 0, 0}, u6)}},
		{"routing 4, none left", [][]byte{e6(43, []byte{17, 0, 4, 0, 0, 0, 0, 0}, u6)}},
		{"AH", [][]byte{e6(51, ah, u6)}},
		{"mobility", [][]byte{e6(135, opt(17), u6)}},
		{"HIP", [][]byte{e6(139, opt(17), u6)}},
		{"shim6", [][]byte{e6(140, opt(17), u6)}},
		{"no next", [][]byte{e6(59, u6)}},
		{"payload length 0", [][]byte{ether(0x86dd, nil, zero)}},
		{"mapped", [][]byte{ether(0x86dd, nil, mapped)}},
		{"6 in 4", [][]byte{ether(0x800, nil, ipv4raw(41, 7, 0, nil, ip6(17, u6)))}},
		{"4 in 4", [][]byte{ether(0x800, nil, ipv4raw(4, 7, 0, nil, ipv4raw(17, 8, 0, nil, u4)))}},
		{"atomic", [][]byte{e6(44, frag(17, 0, false, 1), u6)}},
		{"atomic in atomic", [][]byte{e6(44, frag(44, 0, false, 1), frag(17, 0, false, 2), u6)}},
		{"atomic, then DST", [][]byte{e6(44, frag(60, 0, false, 1), opt(17), u6)}},
		{"two fragments 4", [][]byte{ether(0x800, nil, ipv4raw(17, 11, 0x2000, nil, u4[:8])), ether(0x800, nil, ipv4raw(17, 11, 1, nil, u4[8:]))}},
		{"two fragments 4, last first", [][]byte{ether(0x800, nil, ipv4raw(17, 12, 1, nil, u4[8:])), ether(0x800, nil, ipv4raw(17, 12, 0x2000, nil, u4[:8]))}},
		{"first of 7 bytes 4", [][]byte{ether(0x800, nil, ipv4raw(17, 13, 0x2000, nil, u4[:3])), ether(0x800, nil, ipv4raw(17, 13, 1, nil, u4[8:])), ether(0x800, nil, ipv4raw(17, 13, 0x2000, nil, u4[:8]))}},
		{"two fragments 6", [][]byte{e6(44, frag(17, 0, true, 21), u6[:16]), e6(44, frag(17, 16, false, 21), u6[16:])}},
		{"ports in the second fragment 6", [][]byte{e6(44, frag(60, 0, true, 22), opt(17)), e6(44, frag(60, 8, false, 22), u6)}},
		{"ports in the second fragment 6, last first", [][]byte{e6(44, frag(60, 8, false, 23), u6), e6(44, frag(60, 0, true, 23), opt(17))}},
		{"first fragment claims no-next, later UDP", [][]byte{e6(44, frag(17, 16, false, 24), u6[16:]), e6(44, frag(17, 0, true, 24), u6[:16])}},
		{"later says UDP, first DST+ports", [][]byte{e6(44, frag(60, 0, true, 25), opt(17), u6[:8]), e6(44, frag(60, 16, false, 25), u6[8:])}},
		{"fragment in a fragment 6", [][]byte{e6(44, frag(44, 0, true, 26), frag(17, 0, false, 27), u6[:16]), e6(44, frag(44, 24, false, 26), u6[16:])}},
		{"overlap 6: other port, then this", [][]byte{e6(44, frag(17, 0, true, 28), append([]byte{0x9c, 0x40, 0, 22}, u6[4:16]...)), e6(44, frag(17, 0, true, 28), u6[:16]), e6(44, frag(17, 16, false, 28), u6[16:])}},
		{"overlap 4: other port, then this", [][]byte{ether(0x800, nil, ipv4raw(17, 29, 0x2000, nil, append([]byte{0x9c, 0x40, 0, 22}, u4[4:8]...))), ether(0x800, nil, ipv4raw(17, 29, 0x2000, nil, u4[:8])), ether(0x800, nil, ipv4raw(17, 29, 1, nil, u4[8:]))}},
		{"long DST twice", [][]byte{e6(60, long(60), long(17), u6)}},
		{"fragments, ports beyond the first buffer", [][]byte{
			e6(44, frag(60, 0, true, 30), long(60), long(17), big[:1000]), e6(44, frag(60, 4096+1000, false, 30), big[1000:])}},
		{"DST, fragment, ports beyond the first buffer", [][]byte{
			e6(60, long(60), long(44), frag(17, 0, true, 31), big[:1000]), e6(60, long(60), long(44), frag(17, 1000, false, 31), big[1000:])}},
	}
}

// arrivals listens at port 443 of both families and tells how many datagrams
// came.
func arrivals(t *testing.T) func() int {
	t.Helper()
	free := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 0) })
	}}
	c, err := free.ListenPacket(context.Background(), "udp", "[::]:443")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	got := make(chan struct{}, 1000)
	go func() {
		for b := make([]byte, 70000); ; {
			if _, _, err := c.ReadFrom(b); err != nil {
				return
			}
			got <- struct{}{}
		}
	}()
	return func() (n int) {
		for {
			select {
			case <-got:
				n++
			case <-time.After(25 * time.Millisecond):
				return n
			}
		}
	}
}

func send(t *testing.T, frames [][]byte) {
	t.Helper()
	at, err := net.InterfaceByName(ownLink)
	if err != nil {
		t.Fatal(err)
	}
	asClient(t, func() {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd)
		own, _ := net.InterfaceByName(peerLink)
		for _, f := range frames {
			copy(f, at.HardwareAddr)
			copy(f[6:], own.HardwareAddr)
			if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: own.Index}); err != nil {
				t.Errorf("send %d bytes: %v", len(f), err)
			}
		}
	})
}

func evade(t *testing.T, change func(*filter.Config), person bool, lease time.Duration) {
	run(t, "ip", "link", "set", ownLink, "mtu", "9000")
	run(t, "ip", "-n", os.Getenv(envPeer), "link", "set", peerLink, "mtu", "9000")
	for _, s := range []string{"all", ownLink} {
		_ = os.WriteFile("/proc/sys/net/ipv4/conf/"+s+"/rp_filter", []byte("0"), 0)
		_ = os.WriteFile("/proc/sys/net/ipv4/conf/"+s+"/accept_source_route", []byte("1"), 0)
	}
	count := arrivals(t)
	bare := map[string]int{}
	for _, e := range evasions() {
		send(t, e.frames)
		bare[e.name] = count()
	}
	cfg := filter.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	f, err := filter.New(cfg, guard(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	attach(t, f)
	for _, p := range peers {
		block(t, f, p, person)
	}
	if err := f.Renew(lease); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	for _, e := range evasions() {
		// Fragments of before must not complete those of now.
		send(t, e.frames)
		n := count()
		t.Logf("%-50s without %d, blocked %d", e.name, bare[e.name], n)
		if n > 0 {
			t.Errorf("%s: a blocked source reaches the socket", e.name)
		}
	}
}

func TestEvasions(t *testing.T) {
	t.Parallel()
	inNamespace(t, func(t *testing.T) { evade(t, nil, false, time.Minute) })
}

// As documented: people's bans hold when the lease is over.
func TestEvasionsLeaseOver(t *testing.T) {
	t.Parallel()
	inNamespace(t, func(t *testing.T) { evade(t, nil, true, 0) })
}

// A dry run of malformed must not switch off the block list.
func TestEvasionsMalformedDry(t *testing.T) {
	t.Parallel()
	inNamespace(t, func(t *testing.T) {
		evade(t, func(c *filter.Config) { c.Malformed = filter.DryRun }, true, time.Minute)
	})
}

// Nor one of fragments.
func TestEvasionsFragmentsDry(t *testing.T) {
	t.Parallel()
	inNamespace(t, func(t *testing.T) { evade(t, func(c *filter.Config) { c.Fragments = filter.Off }, true, time.Minute) })
}

// In generic mode, on the loopback interface: the same as native.
func TestEvasionsGeneric(t *testing.T) {
	t.Parallel()
	inNamespace(t, func(t *testing.T) {
		for _, n := range []string{"all", "lo"} {
			_ = os.WriteFile("/proc/sys/net/ipv4/conf/"+n+"/rp_filter", []byte("0"), 0)
			_ = os.WriteFile("/proc/sys/net/ipv4/conf/"+n+"/accept_source_route", []byte("1"), 0)
		}
		count := arrivals(t)
		bare := map[string]int{}
		for _, e := range evasions() {
			loop(t, e.frames)
			bare[e.name] = count()
		}
		g := guard()
		g.Loopback = true
		f, err := filter.New(filter.DefaultConfig(), g, "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if how, err := f.Attach("lo"); err != nil || how != filter.Generic {
			t.Fatal(how, err)
		}
		for _, p := range peers {
			block(t, f, p, true)
		}
		for _, e := range evasions() {
			loop(t, e.frames)
			if n := count(); n > 0 {
				t.Errorf("%s: a blocked source reaches the socket", e.name)
			}
			t.Logf("%-50s without %d", e.name, bare[e.name])
		}
	})
}

func loop(t *testing.T, frames [][]byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, f := range frames {
		copy(f, make([]byte, 12))
		if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: 1}); err != nil {
			t.Error(err)
		}
	}
}
