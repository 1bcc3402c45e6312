package app

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"seawall/internal/config"
	"seawall/internal/mitigation"
	"seawall/internal/packet/filter"
	"seawall/internal/packet/twin"
	"seawall/internal/replay"
)

// strayRate is how many answers a second for ports that are not protected the packet
// filter bears before it asks who waits for them.
const strayRate = 3000

// ReplaySetup is how to replay.
type ReplaySetup struct {
	Learn string // data folder in which to leave what was learnt; "": nowhere

	// Of captures:
	Ports   []uint16       // protected ones; none: those of the configuration, or 80 and 443
	AnyPort bool           // all ports are
	To      []netip.Prefix // protected addresses; none: whichever packets are for
	Named   bool           // the configuration is somebody's, and no default
}

// packets is what the packet filter would have been told.
func (o ReplaySetup) packets(cfg *config.Config) twin.Config {
	f := cfg.Packet.Filter
	c := twin.Config{
		AnyPort: o.AnyPort, To: o.To, Allow: alwaysAllowed(cfg), Bogons: f.Bogons,
		FragmentRate: f.FragmentRate, ICMPRate: f.ICMPRate, SourceRate: f.SourceRate, SourceBytes: f.SourceBytes,
		InitialRate: f.InitialRate, InitialsRate: f.InitialsRate, StrayRate: strayRate,
	}
	for rung, mode := range map[twin.Rung]filter.Mode{
		twin.Malformed: f.Malformed, twin.Reflected: f.Reflected, twin.Fragments: f.Fragments, twin.ICMP: f.ICMP,
		twin.Budget: f.Budget, twin.Initials: f.Initials, twin.Signatures: f.Signatures,
	} {
		c.Off[rung] = mode != filter.Enforce
	}
	if c.TCP, c.UDP = o.Ports, o.Ports; len(o.Ports) == 0 {
		c.TCP = []uint16{80, 443}
		if o.Named {
			c.TCP = append(configuredPorts(cfg), cfg.Packet.Ports...)
		}
		c.UDP = cfg.Packet.GuardedUDP(c.TCP)
	}
	for _, list := range []*[]uint16{&c.TCP, &c.UDP} {
		*list = slices.Clone(*list)
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return c
}

// configuredPorts are those at which a Seawall with this configuration listens.
func configuredPorts(cfg *config.Config) (out []uint16) {
	listen := cfg.Request.Listen
	for _, where := range slices.Concat(listen.Addresses, listen.TLS.Addresses) {
		_, text, err := net.SplitHostPort(where)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(text, 10, 16); err == nil && n > 0 {
			out = append(out, uint16(n))
		}
	}
	return out
}

// protected says in words what is.
func protected(c twin.Config) string {
	text := "any port"
	switch {
	case c.AnyPort:
	case slices.Equal(c.TCP, c.UDP):
		text = portList("", c.TCP)
	case len(c.UDP) == 0:
		text = portList("TCP ", c.TCP)
	default:
		text = portList("TCP ", c.TCP) + " and " + portList("UDP ", c.UDP)
	}
	var to []string
	for _, p := range c.To {
		if p.IsSingleIP() {
			to = append(to, p.Addr().String())
		} else {
			to = append(to, p.String())
		}
	}
	if len(to) > 0 {
		text += " of " + strings.Join(to, ", ")
	}
	return text
}

func portList(of string, list []uint16) string {
	if len(list) == 1 {
		return fmt.Sprintf("%sport %d", of, list[0])
	}
	var names []string
	for _, n := range list {
		names = append(names, strconv.Itoa(int(n)))
	}
	return of + "ports " + strings.Join(names, ", ")
}

// replayLadder is the twin of the packet filter in the words of a replay.
type replayLadder struct{ *twin.Twin }

// Totals tells what became of all packets.
func (l replayLadder) Totals() replay.Packets {
	t := l.Twin.Totals()
	out := replay.Packets{
		Read: t.Read, Judged: t.Judged, Passed: t.Passed, Stopped: t.Stopped, Own: t.Own, Elsewhere: t.Elsewhere,
		Other: t.Other, Strays: t.Strays, NotIP: t.NotIP, Cut: t.Cut,
		Addressed: l.Addressed(), All: l.All(),
		Reasons: []replay.Share{}, Ports: []replay.Share{}, Hits: map[mitigation.ID]uint64{},
	}
	for name, n := range t.Reasons {
		if !strings.HasPrefix(name, "pass_") {
			out.Reasons = append(out.Reasons, replay.Share{Key: name, Count: n})
		}
	}
	slices.SortFunc(out.Reasons, func(a, b replay.Share) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key))
	})
	for _, p := range t.Ports {
		proto := "TCP "
		if p.UDP {
			proto = "UDP "
		}
		out.Ports = append(out.Ports, replay.Share{Key: proto + strconv.Itoa(int(p.Number)), Count: p.Packets})
	}
	for id, n := range t.Hits {
		out.Hits[mitigation.ID(id)] = n
	}
	return out
}
