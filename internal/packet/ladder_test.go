package packet

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
)

var (
	client4 = netip.MustParseAddr("198.18.0.7")
	server4 = netip.MustParseAddr("198.19.0.1")
	client6 = netip.MustParseAddr("2001:db8:1:2::7")
	server6 = netip.MustParseAddr("2001:db8:ffff::1")
)

// guard protects TCP 443 and 80, and UDP 443.
func guard() filter.Guard { return filter.Guard{TCP: []uint16{80, 443}, UDP: []uint16{443}} }

// load loads a filter, or skips the test where that cannot be done.
func load(t testing.TB, change func(*filter.Config)) *filter.Filter {
	t.Helper()
	cfg := filter.DefaultConfig()
	cfg.Connections = filter.Off // it asks for the sockets of this machine
	if change != nil {
		change(&cfg)
	}
	f, err := filter.New(cfg, guard(), "")
	if errors.Is(err, filter.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(f.Close)
	return f
}

// v4 and v6 are frames of an ordinary client, to be changed.
func v4(f craft.Frame) craft.Frame {
	f.Source, f.Dest = client4, server4
	return ported(f)
}

func v6(f craft.Frame) craft.Frame {
	f.Source, f.Dest = client6, server6
	return ported(f)
}

func ported(f craft.Frame) craft.Frame {
	if f.SPort == 0 {
		f.SPort = 40000
	}
	if f.DPort == 0 {
		f.DPort = 443
	}
	if f.Proto == 0 && f.Flags == 0 {
		f.Flags = craft.ACK
	}
	return f
}

// patched changes bytes of a frame.
func patched(b []byte, at int, with ...byte) []byte {
	copy(b[at:], with)
	return b
}

const (
	ip4    = craft.EthernetLen // where headers begin without tags and options
	tcp4   = ip4 + 20
	tcp6   = ip4 + 40
	flags4 = tcp4 + 13
)

// atomicFragment is an IPv6 packet that says it is a fragment and is all of it.
func atomicFragment() []byte {
	b := v6(craft.Frame{More: true, Payload: make([]byte, 16)}).Bytes()
	return patched(b, tcp6+3, 0) // no more to come
}

type picture struct {
	name  string
	frame []byte
	want  filter.Reason
}

// ordinary is what must pass.
func ordinary() []picture {
	data := make([]byte, 1200)
	return []picture{
		{"ACK", v4(craft.Frame{Payload: data}).Bytes(), filter.PassOurs},
		{"ACK over IPv6", v6(craft.Frame{Payload: data}).Bytes(), filter.PassOurs},
		{"SYN with options", v4(craft.Frame{Flags: craft.SYN, TCPOptions: []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7}}).Bytes(), filter.PassOurs},
		{"SYN with data (fast open)", v4(craft.Frame{Flags: craft.SYN, Payload: data}).Bytes(), filter.PassOurs},
		{"FIN-ACK", v4(craft.Frame{Flags: craft.FIN | craft.ACK}).Bytes(), filter.PassOurs},
		{"FIN-PSH-ACK", v6(craft.Frame{Flags: craft.FIN | craft.PSH | craft.ACK, Payload: data}).Bytes(), filter.PassOurs},
		{"RST", v4(craft.Frame{Flags: craft.RST}).Bytes(), filter.PassOurs},
		{"RST-ACK", v6(craft.Frame{Flags: craft.RST | craft.ACK}).Bytes(), filter.PassOurs},
		{"a padded frame", append(v4(craft.Frame{}).Bytes(), make([]byte, 6)...), filter.PassOurs},
		{"one tag", v4(craft.Frame{Tags: []uint16{7}}).Bytes(), filter.PassOurs},
		{"two tags", v6(craft.Frame{Tags: []uint16{7, 8}}).Bytes(), filter.PassOurs},
		{"IPv4 options", v4(craft.Frame{Options: []byte{148, 4, 0, 0}}).Bytes(), filter.PassOurs},
		{"IPv6 extension headers", v6(craft.Frame{Extensions: []byte{craft.HopByHop, craft.Destinations}}).Bytes(), filter.PassOurs},
		{"a whole packet with a fragment header", atomicFragment(), filter.PassOurs},
		{"QUIC", v4(craft.Frame{Proto: craft.UDP, Payload: data}).Bytes(), filter.PassOurs},
		{"to sshd", v4(craft.Frame{DPort: 22}).Bytes(), filter.PassOther},
		{"odd flags to another port", v4(craft.Frame{DPort: 22, Flags: craft.SYN | craft.FIN}).Bytes(), filter.PassOther},
		{"a DNS answer", v4(craft.Frame{Proto: craft.UDP, SPort: 53, DPort: 50000, Payload: data}).Bytes(), filter.PassOther},
		{"a DNS answer's first fragment", v4(craft.Frame{Proto: craft.UDP, SPort: 53, DPort: 50000, Payload: data, More: true}).Bytes(), filter.PassOther},
		{"a DNS answer's second fragment", v6(craft.Frame{Proto: craft.UDP, Offset: 1232, Payload: data}).Bytes(), filter.PassOther},
		{"the origin's SYN-ACK", v4(craft.Frame{SPort: 443, DPort: 50000, Flags: craft.SYN | craft.ACK}).Bytes(), filter.PassOther},
		{"ping", v4(craft.Frame{Proto: craft.ICMP, Kind: 8}).Bytes(), filter.PassOther},
		{"neighbour solicitation", v6(craft.Frame{Proto: craft.ICMPv6, Kind: 135}).Bytes(), filter.PassOther},
		{"GRE", v4(craft.Frame{Proto: 47, Payload: data}).Bytes(), filter.PassOther},
		{"ESP", v6(craft.Frame{Proto: 50, Payload: data}).Bytes(), filter.PassOther},
		{"ARP", patched(make([]byte, 60), 12, 8, 6), filter.PassOther},
	}
}

// odd is what must be stopped, by rung.
func odd() map[filter.Rung][]picture {
	four, six := v4(craft.Frame{}), v6(craft.Frame{})
	longer := func(f craft.Frame, n int) craft.Frame { f.Payload = make([]byte, n); return f }
	land := four
	land.Source = land.Dest
	from := func(f craft.Frame, a string) []byte { f.Source = netip.MustParseAddr(a); return f.Bytes() }
	flags := func(f byte) []byte { return patched(four.Bytes(), flags4, f) }
	return map[filter.Rung][]picture{
		filter.Malformed: {
			{"cut in the IPv4 header", four.Bytes()[:ip4+12], filter.StopLength},
			{"cut in the TCP header", four.Bytes()[:tcp4+12], filter.StopLength},
			{"cut in the IPv6 header", six.Bytes()[:ip4+30], filter.StopLength},
			{"less than IPv4 promises", longer(four, 100).Bytes()[:tcp4+60], filter.StopLength},
			{"less than IPv6 promises", longer(six, 100).Bytes()[:tcp6+60], filter.StopLength},
			{"IPv4 header of 16 bytes", patched(four.Bytes(), ip4, 0x44), filter.StopLength},
			{"IPv4 header longer than the packet", patched(four.Bytes(), ip4, 0x4f), filter.StopLength},
			{"IPv5", patched(four.Bytes(), ip4, 0x55), filter.StopLength},
			{"no room for TCP", patched(four.Bytes(), ip4+3, 30), filter.StopLength},
			{"TCP header of 16 bytes", patched(four.Bytes(), tcp4+12, 0x40), filter.StopLength},
			{"TCP header longer than the packet", patched(six.Bytes(), tcp6+12, 0xf0), filter.StopLength},
			{"IPv4 of 65,535 bytes that are not there", patched(four.Bytes(), ip4+2, 255, 255), filter.StopLength},
			{"UDP longer than the packet", patched(v4(craft.Frame{Proto: craft.UDP}).Bytes(), tcp4+4, 4), filter.StopLength},
			{"UDP shorter than its header", patched(v6(craft.Frame{Proto: craft.UDP}).Bytes(), tcp6+4, 0, 7), filter.StopLength},
			{"extension longer than the packet", patched(v6(craft.Frame{Extensions: []byte{craft.HopByHop}}).Bytes(), tcp6+1, 200), filter.StopLength},
			{"three tags", v4(craft.Frame{Tags: []uint16{1, 2, 3}}).Bytes(), filter.StopWrapped},
			{"nine extension headers", v6(craft.Frame{Extensions: slices.Repeat([]byte{craft.Destinations}, 9)}).Bytes(), filter.StopWrapped},
			{"from loopback", from(four, "127.0.0.1"), filter.StopSource},
			{"from this network", from(four, "0.1.2.3"), filter.StopSource},
			{"from multicast", from(four, "224.0.0.1"), filter.StopSource},
			{"from broadcast", from(four, "255.255.255.255"), filter.StopSource},
			{"from IPv6 loopback", from(six, "::1"), filter.StopSource},
			{"from IPv6 multicast", from(six, "ff02::1"), filter.StopSource},
			{"from an IPv4 address in IPv6", patched(six.Bytes(), ip4+8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 198, 18, 0, 7), filter.StopSource},
			{"land", land.Bytes(), filter.StopLand},
			{"no flags", flags(0), filter.StopFlags},
			{"SYN-FIN", flags(craft.SYN | craft.FIN), filter.StopFlags},
			{"SYN-RST", flags(craft.SYN | craft.RST), filter.StopFlags},
			{"FIN alone", flags(craft.FIN), filter.StopFlags},
			{"FIN-PSH-URG", flags(craft.FIN | craft.PSH | craft.URG), filter.StopFlags},
			{"PSH alone", flags(craft.PSH), filter.StopFlags},
			{"all flags but ACK", flags(63 &^ craft.ACK), filter.StopFlags},
			{"odd flags behind a tag and options", patched(v4(craft.Frame{Tags: []uint16{7}, Options: make([]byte, 8)}).Bytes(), flags4+4+8, craft.SYN|craft.FIN), filter.StopFlags},
			{"odd flags behind extension headers", patched(v6(craft.Frame{Extensions: []byte{craft.Routing, craft.Destinations}}).Bytes(), tcp6+16+13, craft.SYN|craft.FIN), filter.StopFlags},
			{"from port 0", patched(four.Bytes(), tcp4, 0, 0), filter.StopFlags},
		},
		filter.Reflected: {
			{"SYN-ACK", v4(craft.Frame{SPort: 80, Flags: craft.SYN | craft.ACK}).Bytes(), filter.StopSynAck},
			{"SYN-ACK over IPv6, two tags", v6(craft.Frame{Tags: []uint16{1, 2}, SPort: 443, Flags: craft.SYN | craft.ACK}).Bytes(), filter.StopSynAck},
			{"DNS at QUIC's port", v4(craft.Frame{Proto: craft.UDP, SPort: 53, Payload: make([]byte, 900)}).Bytes(), filter.StopReflected},
			{"SNMP", v6(craft.Frame{Proto: craft.UDP, SPort: 161, Payload: make([]byte, 900)}).Bytes(), filter.StopReflected},
			{"memcached", v4(craft.Frame{Proto: craft.UDP, SPort: 11211, Payload: make([]byte, 900)}).Bytes(), filter.StopReflected},
		},
		filter.Fragments: {
			{"TCP's first fragment", v4(craft.Frame{More: true, Payload: make([]byte, 512)}).Bytes(), filter.StopTCPFragment},
			{"TCP's first fragment over IPv6", v6(craft.Frame{More: true, Payload: make([]byte, 512)}).Bytes(), filter.StopTCPFragment},
			{"too small for the ports", patched(v4(craft.Frame{More: true}).Bytes(), ip4+3, 20), filter.StopTCPFragment},
		},
	}
}

// result shows a frame to a filter and tells why it passed or not.
func result(t testing.TB, f *filter.Filter, frame []byte) (done, dry []filter.Reason, passes bool) {
	t.Helper()
	before, err := f.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if passes, err = f.Try(frame); err != nil {
		t.Fatal(err)
	}
	after, err := f.Counts()
	if err != nil {
		t.Fatal(err)
	}
	for r := range filter.Reasons {
		for range after.Done[r].Packets - before.Done[r].Packets {
			done = append(done, r)
			if n := after.Done[r].Bytes - before.Done[r].Bytes; n != uint64(len(frame)) {
				t.Errorf("counted %d bytes for a packet of %d", n, len(frame))
			}
		}
		for range after.Dry[r].Packets - before.Dry[r].Packets {
			dry = append(dry, r)
		}
	}
	return done, dry, passes
}

func expect(t *testing.T, f *filter.Filter, p picture, passes bool) {
	t.Helper()
	done, dry, passed := result(t, f, p.frame)
	if passed != passes || !slices.Equal(done, []filter.Reason{p.want}) || len(dry) > 0 {
		t.Errorf("%s: passed %v, counted %v, dry %v; want %v", p.name, passed, done, dry, p.want)
	}
}

func TestOrdinaryPacketsPass(t *testing.T) {
	f := load(t, nil)
	for _, p := range ordinary() {
		expect(t, f, p, true)
	}
}

func set(rung filter.Rung, mode filter.Mode) func(*filter.Config) {
	return func(c *filter.Config) {
		*[]*filter.Mode{&c.Malformed, &c.Reflected, &c.Fragments, &c.ICMP, &c.Block, &c.Budget, &c.Initials, &c.Connections, &c.Signatures}[rung] = mode
	}
}

// Each odd packet is stopped by its rung, passes with the rung off, and with
// the rung on a dry run passes and is counted.
func TestOddPackets(t *testing.T) {
	all := load(t, nil)
	for rung, pictures := range odd() {
		off, dry := load(t, set(rung, filter.Off)), load(t, set(rung, filter.DryRun))
		for _, p := range pictures {
			expect(t, all, p, false)
			if done, _, passed := result(t, off, p.frame); !passed {
				t.Errorf("%s: stopped (%v) with the rung %v off", p.name, done, rung)
			}
			done, would, passed := result(t, dry, p.frame)
			if !passed || !slices.Contains(would, p.want) {
				t.Errorf("%s: on a dry run passed %v, counted %v, %v", p.name, passed, done, would)
			}
		}
	}
}

// After the lease all rungs let pass what they find, but for people's bans.
func TestLease(t *testing.T) {
	f := load(t, nil)
	person, machine := netip.MustParsePrefix("198.18.0.8/32"), netip.MustParsePrefix("198.18.0.9/32")
	block(t, f, person, true)
	block(t, f, machine, false)
	stopped := map[string][]byte{"odd": odd()[filter.Malformed][0].frame, "machine": ackFrom(machine.Addr())}
	for name, frame := range stopped {
		if _, _, passed := result(t, f, frame); passed {
			t.Errorf("%s: passes while the lease stands", name)
		}
	}
	if err := f.Renew(0); err != nil {
		t.Fatal(err)
	}
	for name, frame := range stopped {
		if _, dry, passed := result(t, f, frame); !passed || !slices.Contains(dry, filter.PassLease) {
			t.Errorf("%s: without a lease passed %v, counted %v", name, passed, dry)
		}
	}
	if _, _, passed := result(t, f, ackFrom(person.Addr())); passed {
		t.Error("a person's ban ended with the lease")
	}
	if err := f.Renew(50 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	time.Sleep(60 * time.Millisecond)
	if _, _, passed := result(t, f, ackFrom(machine.Addr())); !passed {
		t.Error("stopped after the lease ran out")
	}
}
