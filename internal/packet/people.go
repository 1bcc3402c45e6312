package packet

import (
	"maps"
	"math"
	"net"
	"net/netip"
	"slices"
	"time"

	"seawall/internal/mitigation"
)

// How many people's sessions are spared at the start, and for how long.
const (
	sessionsMost = 64
	sessionsFor  = time.Hour
)

// spareSSH are the ports that are protected: not those at which people reach this
// machine, whatever was asked. It needs mu.
func (p *Packet) spareSSH() []uint16 {
	p.ssh = p.here.sshPorts()
	p.ports = slices.DeleteFunc(slices.Clone(p.asked), func(port uint16) bool { return p.ssh[port] })
	for _, port := range p.asked {
		if p.ssh[port] {
			p.log.Warn("a port is sshd's: its packets are not judged", "port", port)
		}
	}
	return p.ports
}

// allowSessions lets those who are connected to sshd now pass for an hour: they
// are the ones who could undo what this is about to do. It needs mu.
func (p *Packet) allowSessions() {
	seen := map[netip.Addr]bool{}
	for c := range p.here.sessions(p.ssh) {
		seen[c.remote.Addr().WithZone("")] = true
	}
	for i, from := range slices.SortedFunc(maps.Keys(seen), netip.Addr.Compare) {
		if i == sessionsMost {
			break
		}
		// An order of its own, with a number that no mitigation will get.
		p.enter(math.MaxUint32-mitigation.ID(i), order{
			place: place{clientOf(from), true}, until: time.Now().Add(sessionsFor), person: true,
		})
		p.log.Info("who is connected by SSH passes the packet filter for an hour", "from", from)
	}
}

// clientOf is the prefix of one client: an IPv4 address, an IPv6 /64.
func clientOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(a, bits).Masked()
}

// addresses are those of the filtered interfaces. It needs mu.
func (p *Packet) addresses() map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for name := range p.at {
		at, err := net.InterfaceByName(name)
		if err != nil {
			continue // it is gone
		}
		list, err := at.Addrs()
		if err != nil {
			continue
		}
		for _, a := range list {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					out[ip.Unmap()] = true
				}
			}
		}
	}
	return out
}
