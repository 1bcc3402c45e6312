package app

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"seawall/internal/config"
	"seawall/internal/defense/enforce"
	"seawall/internal/mitigation"
	"seawall/internal/request/identify"
)

// appliers act on the same mitigations one after the other, the door first.
// What one of them fails at is tried again with all; they bear that.
type appliers []enforce.Applier

func (a appliers) Apply(m mitigation.Mitigation) error {
	for _, one := range a {
		if err := one.Apply(m); err != nil {
			return err
		}
	}
	return nil
}

func (a appliers) Withdraw(id mitigation.ID) error {
	for _, one := range a {
		if err := one.Withdraw(id); err != nil {
			return err
		}
	}
	return nil
}

// turnOff lets requests and packets through, or no longer.
func (p *program) turnOff(off bool) {
	p.door.admit.SetOff(off)
	p.packet.SetOff(off)
	if !off {
		p.bans.resume()
	}
}

// ports are those at which visitors' packets arrive.
func (p *program) ports() (out []uint16) {
	for _, where := range p.where() {
		_, text, err := net.SplitHostPort(where)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(text, 10, 16); err == nil {
			out = append(out, uint16(n))
		}
	}
	return out
}

// alwaysAllowed are the prefixes whose packets pass whatever else is said: those
// that the configuration allows, and trusted proxies, behind which are many.
func alwaysAllowed(cfg *config.Config) (out []netip.Prefix) {
	admit := cfg.Request.Admit
	for _, list := range [][]string{admit.Allow, admit.Monitors, cfg.Request.TrustedProxies, cfg.Request.Identify.TrustedProxies} {
		prefixes, err := identify.Prefixes(list)
		if err != nil {
			continue // Validate has refused it
		}
		out = append(out, prefixes...)
	}
	return append(out, cfg.Request.Listen.TrustedProxies...)
}

// operator is the prefix of the client in SSH_CONNECTION: "198.51.100.7 50000 192.0.2.1 22".
func operator(session string) []netip.Prefix {
	client, _, _ := strings.Cut(session, " ")
	a, err := netip.ParseAddr(client)
	if err != nil {
		return nil
	}
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	return []netip.Prefix{netip.PrefixFrom(a, bits).Masked()}
}
