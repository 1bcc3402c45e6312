package twin

import (
	"math/rand/v2"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/pcap"
	"seawall/internal/traffic"
)

// Twin judges packets. Make it with New.
type Twin struct {
	cfg        Config
	tcp, udp   *ports
	amplifiers *ports
	to, allow  []network
	bogons     bogons

	fragmentGap, icmpGap, sourceGap, initialGap, initialsGap clock.Instant
	sourceByteGap                                            uint64 // of a byte, 1/1024 ns
	straysMost                                               int    // in a window

	now                                                                 clock.Instant
	fragmentBudget, icmpBudget, errorBudget, groupBudget, initialBudget budget
	sources                                                             [sourceLines]cells
	initials                                                            [initialLines]cells
	strays                                                              struct {
		window clock.Instant
		n      int
	}
	asks  asks
	noted bool // something was asked

	p         packet
	one       traffic.Packet // of p, for signatures; valid iff shown
	shown     bool
	signs     []signature
	hits      map[uint32]uint64 // since the beginning, by the mitigation's ID
	counts    counts
	began     bool
	every     uint32
	until     uint32 // packets before the next is sampled
	rng       *rand.PCG
	samples   []traffic.Packet
	lost      uint64
	cutAt     clock.Instant
	wherePort [2][1 << 16]uint32 // packets that were left out, by port: of TCP, of UDP
	totals    Totals
}

// Totals is all that was read.
type Totals struct {
	Read      uint64
	Judged    uint64 // came in for protected ports, or have no ports
	Passed    uint64 // of these
	Stopped   uint64
	Own       uint64 // sent, not received
	Elsewhere uint64 // for addresses that are not protected
	Other     uint64 // for ports that are not protected; of these
	Strays    uint64 // stopped: answers in great numbers that nobody asked for
	NotIP     uint64
	Cut       uint64 // headers were not kept

	Reasons map[string]uint64 // judged or stopped, by the filter's names
	Hits    map[uint32]uint64 // that each mitigation's signature met, by its ID
	Ports   []Port            // those with most of Other, at most five
}

// Port is a port that is not protected, with the packets that were for it.
type Port struct {
	UDP     bool
	Number  uint16
	Packets uint64
}

// New makes a twin that has seen nothing.
func New(cfg Config) *Twin {
	t := &Twin{
		cfg: cfg, tcp: portSet(cfg.TCP, cfg.AnyPort), udp: portSet(cfg.UDP, cfg.AnyPort), amplifiers: &ports{},
		to: networks(cfg.To), allow: networks(cfg.Allow), bogons: newBogons(),
		fragmentGap: gap(cfg.FragmentRate), icmpGap: gap(cfg.ICMPRate), sourceGap: gap(cfg.SourceRate),
		initialGap: gap(cfg.InitialRate), initialsGap: gap(cfg.InitialsRate),
		sourceByteGap: 1024 * uint64(time.Second) / uint64(max(1, cfg.SourceBytes)),
		straysMost:    int(time.Duration(cfg.StrayRate) * (1 << windowBits) / time.Second),
		every:         firstEvery, rng: rand.NewPCG(1, 2), hits: map[uint32]uint64{},
	}
	for n := range 1 << 16 {
		if traffic.Amplifier(uint16(n)) != "" {
			t.amplifiers.add(uint16(n))
		}
	}
	return t
}

// Take judges a packet that came at a moment, none before that of the last one. Its
// bytes are only read.
func (t *Twin) Take(at clock.Instant, c *pcap.Packet) { t.Judge(at, c) }

// Judge is Take, and says whether the packet passed.
func (t *Twin) Judge(at clock.Instant, c *pcap.Packet) (passed bool) {
	t.now, t.began, t.shown = at, true, false
	t.totals.Read++
	p := &t.p
	*p = packet{b: c.Bytes, size: c.Length, kind: kindNone}
	wrong := p.parse(c.Link)
	p.out = p.out || c.Way == pcap.Out
	switch {
	case p.cut:
		t.totals.Cut++
		return true
	case p.family == 0 && wrong == goOn:
		t.totals.NotIP++
		t.counts.add(passOther, p)
		return true
	}
	protected := p.ports && t.protects(p.proto, p.dport)
	if t.leaves(p, protected) {
		return true
	}
	why := t.ladder(p, wrong, protected)
	if p.cut {
		t.totals.Cut++
		return true
	}
	t.count(p, why)
	return !why.stops()
}

func (t *Twin) protects(proto uint8, port uint16) bool {
	if proto == protoTCP {
		return t.tcp.has(port)
	}
	return t.udp.has(port)
}

// leaves says whether a packet does not come in, and counts it then. Where nothing says
// which addresses are protected, one that comes from a protected port and goes to
// none was sent.
func (t *Twin) leaves(p *packet, protected bool) bool {
	switch inside := len(t.to) == 0 || p.family == 0 || within(t.to, p.dest); {
	case p.out, !inside && within(t.to, p.source), len(t.to) == 0 && p.ports && !protected && t.protects(p.proto, p.sport):
		t.totals.Own++
	case !inside:
		t.totals.Elsewhere++
	default:
		return false
	}
	t.asks.note(t, p)
	return true
}

// ladder is what becomes of a packet (filter.bpf.c).
func (t *Twin) ladder(p *packet, wrong reason, protected bool) reason {
	if wrong != goOn && (protected || !p.ports) {
		if why := t.halt(p, Malformed, wrong); why != goOn {
			return why
		}
	}
	if p.fragment {
		if p.later {
			p.kind = uint8(traffic.PacketFragment)
		}
		if t.on(Fragments) {
			if why := t.halt(p, Fragments, t.fragments(p)); why != goOn {
				return why
			}
		}
	}
	icmp := p.isICMP()
	if icmp {
		p.kind = uint8(traffic.PacketICMP)
		if t.on(ICMP) {
			if why := t.halt(p, ICMP, t.icmp(p)); why != goOn {
				return why
			}
		}
	}
	if (icmp || p.later) && wrong != stopLength {
		if why := t.halt(p, Signatures, t.signedBy(p)); why != goOn {
			return why
		}
	}
	if protected {
		return t.ours(p)
	}
	if p.ports {
		t.asks.note(t, p)
		if t.on(Reflected) {
			if why := t.halt(p, Reflected, t.stray(p)); why != goOn {
				return why
			}
		}
	}
	return passOther
}

// ours judges a packet for a protected port.
func (t *Twin) ours(p *packet) reason {
	p.kind = uint8(p.classify())
	for r := range Rungs {
		if !t.on(r) {
			continue
		}
		var found reason
		switch r {
		case Malformed:
			found = t.malformed(p)
		case Reflected:
			found = t.reflected(p)
		case Budget:
			found = t.overBudget(p)
		case Initials:
			if p.kind == uint8(traffic.PacketInitial) {
				found = t.tooManyInitials(p)
			}
		}
		if why := t.halt(p, r, found); why != goOn {
			return why
		}
	}
	if why := t.halt(p, Signatures, t.signedBy(p)); why != goOn {
		return why
	}
	return passOurs
}

func (t *Twin) on(r Rung) bool { return !t.cfg.Off[r] }

// halt says what becomes of a packet for which a rung has found a reason, or none.
func (t *Twin) halt(p *packet, r Rung, found reason) reason {
	switch {
	case found == goOn, !t.on(r):
		return goOn
	case len(t.allow) > 0 && within(t.allow, p.source):
		return passAllowed
	}
	return found
}
