package twin

import (
	"net/netip"
	"slices"
)

// Config is what is protected, and what the rungs allow. Rates are packets, or bytes, a
// second.
type Config struct {
	TCP, UDP []uint16       // protected ports
	AnyPort  bool           // all are
	To       []netip.Prefix // protected addresses; none: packets come in whatever they are sent to
	Allow    []netip.Prefix // sources that pass whatever is found

	// Off are the rungs that stop nothing.
	Off [Rungs]bool
	// Bogons has the rung of malformed packets stop sources that are not reachable
	// from the internet.
	Bogons bool

	FragmentRate, ICMPRate    int
	SourceRate                int
	SourceBytes               int64
	InitialRate, InitialsRate int
	StrayRate                 int // answers for ports that are not protected
}

// Rung is a step of the ladder.
type Rung uint8

// The rungs that need nothing but packets.
const (
	Malformed Rung = iota
	Reflected
	Fragments
	ICMP
	Budget
	Initials
	Signatures
	Rungs
)

// reason is why a packet passed or was stopped.
type reason uint8

const (
	goOn reason = iota // no reason
	passOther
	passOurs
	passAllowed
	stopLength
	stopWrapped
	stopSource
	stopLand
	stopFlags
	stopSynAck
	stopReflected
	stopTCPFragment
	stopFragments
	stopICMP
	stopBudget
	stopInitials
	stopSignature
	stopBogon
	reasons
)

// String is the filter's own name.
func (r reason) String() string {
	return [reasons]string{
		"", "pass_other", "pass_ours", "pass_allowed", "length", "wrapped", "source", "land", "flags", "synack", "reflected",
		"tcp_fragment", "fragments", "icmp", "budget", "initials", "signature", "bogon",
	}[r]
}

func (r reason) stops() bool { return r >= stopLength }

// ports is a set of ports.
type ports [1024]uint64

func (p *ports) add(n uint16)      { p[n>>6] |= 1 << (n & 63) }
func (p *ports) has(n uint16) bool { return p[n>>6]>>(n&63)&1 != 0 }

func portSet(list []uint16, all bool) *ports {
	p := &ports{}
	for _, n := range list {
		p.add(n)
	}
	for i := range p {
		if all {
			p[i] = ^uint64(0)
		}
	}
	return p
}

// network is a prefix as packets are compared with it.
type network struct{ address, mask [2]uint64 }

func networks(list []netip.Prefix) (out []network) {
	for _, p := range list {
		bits := p.Bits()
		if p.Addr().Is4() {
			bits += 96
		}
		n := network{address: words(p.Addr())}
		n.mask[0] = ^uint64(0) << max(64-bits, 0)
		n.mask[1] = ^uint64(0) << min(128-bits, 64)
		n.address[0] &= n.mask[0]
		n.address[1] &= n.mask[1]
		out = append(out, n)
	}
	return out
}

// words is an address in two halves, IPv4 in ::ffff:0:0/96.
func words(a netip.Addr) (w [2]uint64) {
	for i, b := range a.As16() {
		w[i/8] = w[i/8]<<8 | uint64(b)
	}
	return w
}

func within(list []network, a [2]uint64) bool {
	return slices.ContainsFunc(list, func(n network) bool {
		return a[0]&n.mask[0] == n.address[0] && a[1]&n.mask[1] == n.address[1]
	})
}
