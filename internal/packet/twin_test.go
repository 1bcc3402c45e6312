package packet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/pcap"
	"seawall/internal/mitigation"
	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
	"seawall/internal/packet/twin"
	"seawall/internal/traffic"
)

// twins is the program in the kernel and its twin, with budgets that no test spends.
type twins struct {
	filter *filter.Filter
	twin   *twin.Twin
	at     clock.Instant
	own    uint64
}

func newTwins(t testing.TB, bogons bool, allow ...netip.Prefix) *twins {
	t.Helper()
	const most = 1_000_000
	f := load(t, func(c *filter.Config) {
		c.FragmentRate, c.ICMPRate, c.SourceRate, c.SourceBytes, c.InitialRate, c.InitialsRate = most, most, 10*most, 1<<40, most, 10*most
		c.Bogons = bogons
	})
	for _, p := range allow {
		if err := f.Allow(p, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	g := guard()
	return &twins{filter: f, twin: twin.New(twin.Config{
		TCP: g.TCP, UDP: g.UDP, Allow: allow, Bogons: bogons,
		FragmentRate: most, ICMPRate: most, SourceRate: 10 * most, SourceBytes: 1 << 40, InitialRate: most, InitialsRate: 10 * most, StrayRate: 1 << 30,
	})}
}

// judged is what became of a packet.
type judged struct {
	reason string
	kind   string // of packets that are counted by kind
	hits   string
}

// judge shows a frame to both.
func (p *twins) judge(t testing.TB, frame []byte) (kernel, user judged) {
	t.Helper()
	before, err := p.filter.Counts()
	if err != nil {
		t.Fatal(err)
	}
	hit := hits(t, p.filter)
	done, _, _ := result(t, p.filter, frame)
	after, err := p.filter.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if len(done) != 1 {
		t.Fatalf("counted %v", done)
	}
	kernel.reason = done[0].String()
	for k := range after.Kinds {
		if after.Kinds[k] > before.Kinds[k] {
			kernel.kind = traffic.PacketKind(k).String()
		}
	}
	var met []uint32
	for id, n := range hits(t, p.filter) {
		if n.Packets > hit[id].Packets {
			met = append(met, id)
		}
	}
	slices.Sort(met)
	kernel.hits = fmt.Sprint(met)

	p.at += clock.Instant(time.Millisecond)
	p.twin.Take(p.at, &pcap.Packet{Link: pcap.Ethernet, Length: len(frame), Bytes: frame})
	w := p.twin.Cut(p.at)
	for name, n := range w.Reasons {
		user.reason += name
		if n != (traffic.Counted{Packets: 1, Bytes: uint64(len(frame))}) {
			t.Errorf("counted %+v for a packet of %d bytes", n, len(frame))
		}
	}
	for k, n := range w.Kinds {
		if n > 0 {
			user.kind = traffic.PacketKind(k).String()
		}
	}
	met = nil
	for id, n := range w.Hits {
		if n > 0 {
			met = append(met, id)
		}
	}
	slices.Sort(met)
	user.hits = fmt.Sprint(met)
	return kernel, user
}

// same holds the twin to the program. Where answers for other ports come in numbers,
// the program stops them; the twin is told to let them pass. What comes from a protected
// port and goes to none it takes for sent.
func (p *twins) same(t testing.TB, name string, frame []byte) {
	t.Helper()
	kernel, user := p.judge(t, frame)
	if kernel.kind == "" && (kernel.reason == filter.StopSynAck.String() || kernel.reason == filter.StopReflected.String()) {
		kernel.reason = filter.PassOther.String()
	}
	if user.reason == "" && p.twin.Totals().Own > p.own {
		p.own++
		user.reason = filter.PassOther.String()
	}
	if kernel != user {
		t.Errorf("%s: the program says %+v, its twin %+v; %x", name, kernel, user, frame)
	}
}

// pictures are all frames of the ladder's tests, and what they leave out.
func pictures() (all []picture) {
	all = ordinary()
	for _, list := range odd() {
		all = append(all, list...)
	}
	data := make([]byte, 1252)
	data[0] = 0xc0
	data[4] = 1
	quic := v4(craft.Frame{Proto: craft.UDP, Payload: data}).Bytes()
	return append(all, []picture{
		{name: "an Initial", frame: quic},
		{name: "an Initial of QUIC 2", frame: patched(slices.Clone(quic), tcp4+8, 0xd0, 0x6b, 0x33, 0x43, 0xcf)},
		{name: "a Handshake", frame: patched(slices.Clone(quic), tcp4+8, 0xe0)},
		{name: "of another version", frame: patched(slices.Clone(quic), tcp4+8, 0xc0, 0xff)},
		{name: "a short Initial", frame: v6(craft.Frame{Proto: craft.UDP, Payload: data[:100]}).Bytes()},
		{name: "a datagram of 4 bytes", frame: v6(craft.Frame{Proto: craft.UDP, Payload: data[:4]}).Bytes()},
		{name: "an ICMP error", frame: v4(craft.Frame{Proto: craft.ICMP, Kind: 3, Payload: data[:28]}).Bytes()},
		{name: "ICMPv6 too big", frame: v6(craft.Frame{Proto: craft.ICMPv6, Kind: 2, Payload: data[:48]}).Bytes()},
		{name: "neighbours", frame: v6(craft.Frame{Proto: craft.ICMPv6, Kind: 135, TTL: 255}).Bytes()},
		{name: "listeners", frame: v6(craft.Frame{Proto: craft.ICMPv6, Kind: 143, Extensions: []byte{craft.HopByHop}}).Bytes()},
		{name: "UDP's first fragment", frame: v4(craft.Frame{Proto: craft.UDP, More: true, Payload: data[:64]}).Bytes()},
		{name: "a later fragment of ICMP", frame: v4(craft.Frame{Proto: craft.ICMP, Offset: 64, Payload: data[:64]}).Bytes()},
		{name: "reset and FIN", frame: v4(craft.Frame{Flags: craft.RST | craft.FIN}).Bytes()},
		{name: "no family", frame: patched(v4(craft.Frame{}).Bytes(), 12, 0, 0)},
		{name: "a private source", frame: func() []byte {
			f := v4(craft.Frame{})
			f.Source = netip.MustParseAddr("10.1.2.3")
			return f.Bytes()
		}()},
	}...)
}

// The twin says of each frame what the program says, and of hundreds of thousands that
// are made of them.
func TestTwinAgrees(t *testing.T) {
	for name, p := range map[string]*twins{
		"plain":  newTwins(t, false),
		"bogons": newTwins(t, true, netip.PrefixFrom(client6, 64)),
	} {
		for _, c := range pictures() {
			p.same(t, name+": "+c.name, c.frame)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		all := pictures()
		for range 40_000 {
			c := all[rng.IntN(len(all))]
			p.same(t, name+": changed "+c.name, changed(rng, c.frame))
			if t.Failed() {
				return
			}
		}
	}
}

// changed changes a frame at up to four places, mostly in its headers, and sometimes
// cuts it.
func changed(rng *rand.Rand, frame []byte) []byte {
	frame = slices.Clone(frame)
	for range 1 + rng.IntN(4) {
		at := 12 + rng.IntN(min(len(frame), 90)-12)
		switch rng.IntN(3) {
		case 0:
			frame[at] = byte(rng.Uint32())
		case 1:
			frame[at] ^= 1 << rng.IntN(8)
		default:
			frame[at] = byte(rng.IntN(8))
		}
	}
	if rng.IntN(8) == 0 {
		frame = frame[:max(craft.EthernetLen, rng.IntN(len(frame)))]
	}
	return frame
}

// What signatures hit, and stop, is the same in both.
func TestTwinSigns(t *testing.T) {
	p := newTwins(t, false)
	list := []string{
		`packet.protocol == "tcp" && packet.flags == "A" && packet.ttl == 64`, `packet.length >= 1000`, `packet.window <= 1000`,
		`packet.flags != "A"`, `packet.source_port in [53, 161, 40000]`, `packet.fragment == true`, `packet.protocol == "icmp"`,
		`packet.source.within("198.18.0.0/15")`, `packet.payload.startsWith("0000")`, `!packet.payload_at(30, "00")`, `packet.port <= 80`,
	}
	var signs []filter.Signature
	for i, text := range list {
		m := mitigation.Mitigation{ID: mitigation.ID(i + 1), Match: expression(t, text), Action: mitigation.Slow}
		if i%3 == 2 {
			m.Action = mitigation.Drop
		}
		signs = append(signs, filter.Signature{ID: uint32(m.ID), Match: m.Match, Enforce: m.Action == mitigation.Drop})
		if err := p.twin.Apply(m); err != nil {
			t.Fatal(err)
		}
	}
	sign(t, p.filter, signs...)
	all := pictures()
	for _, c := range all {
		p.same(t, c.name, c.frame)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 40_000 {
		c := all[rng.IntN(len(all))]
		p.same(t, "changed "+c.name, changed(rng, c.frame))
		if t.Failed() {
			return
		}
	}
	if err := p.twin.Withdraw(3); err != nil {
		t.Fatal(err)
	}
	sign(t, p.filter, slices.DeleteFunc(signs, func(s filter.Signature) bool { return s.ID == 3 })...)
	p.same(t, "withdrawn", patched(v4(craft.Frame{Window: 7}).Bytes(), tcp4))
}

// The twin holds answers for ports that are not protected to the rate at which the
// program does.
func TestTwinStrays(t *testing.T) {
	const least = 1 << 25 * 3000 / 1_000_000_000 // a window of the program's
	w := twin.New(twin.Config{TCP: []uint16{443}, UDP: []uint16{443}, StrayRate: 3000})
	stray := v4(craft.Frame{Proto: craft.UDP, SPort: 161, DPort: 50000, Payload: make([]byte, 100)}).Bytes()
	for i := range 300 {
		w.Take(clock.Instant(i), &pcap.Packet{Link: pcap.Ethernet, Length: len(stray), Bytes: stray})
	}
	if got := w.Cut(1).Reasons["reflected"].Packets; got != 300-least {
		t.Errorf("%d of 300 answers at once are stopped", got)
	}
}

// FuzzTwin shows both the same bytes.
func FuzzTwin(f *testing.F) {
	for _, p := range pictures() {
		f.Add(p.frame)
	}
	both := newTwins(f, true)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < craft.EthernetLen || len(frame) > 3000 {
			return // no network card hands these over
		}
		both.same(t, "fuzzed", frame)
	})
}
