package acme

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ground is what this machine has for the authority to reach.
type ground struct {
	plain, secure []netip.AddrPort // what listen has bound
	own           []netip.Addr     // the machine's addresses, loopback apart
}

func newGround(plain, secure []net.Addr) (g ground) {
	for _, part := range []struct {
		from []net.Addr
		to   *[]netip.AddrPort
	}{{plain, &g.plain}, {secure, &g.secure}} {
		for _, a := range part.from {
			if p, err := netip.ParseAddrPort(a.String()); err == nil {
				*part.to = append(*part.to, p)
			}
		}
	}
	list, _ := net.InterfaceAddrs() // none: nothing can be told of addresses
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			g.own = append(g.own, p.Addr().Unmap())
		}
	}
	return g
}

// methods are the proofs that can be given.
func (g ground) methods() (list []string) {
	if len(g.plain) > 0 {
		list = append(list, "http-01")
	}
	if len(g.secure) > 0 {
		list = append(list, "tls-alpn-01")
	}
	return list
}

// reached says whether a port that the authority asks at is listened on, for others
// than this machine.
func (g ground) reached() bool {
	at := func(list []netip.AddrPort, port uint16) bool {
		return slices.ContainsFunc(list, func(a netip.AddrPort) bool { return a.Port() == port && !a.Addr().IsLoopback() })
	}
	return at(g.plain, 80) || at(g.secure, 443)
}

// before looks whether asking the authority for a name can succeed. It returns what
// cannot, and what may be wrong; skip says that the staging directory would refuse
// what the other one grants.
func (k *Keeper) before(ctx context.Context, name string) (skip bool, doubts []*trouble, err error) {
	if !k.ground.reached() {
		doubts = append(doubts, &trouble{
			what:  "neither port 80 nor port 443 is among the addresses that Seawall listens on",
			means: "the authority asks at these two alone, so this works only where a router or a container passes them on",
			do:    `unless it does, write addresses: [":80"] below listen and addresses: [":443"] below listen.tls`})
	}
	identities, err := k.identities(ctx)
	if err != nil {
		return false, doubts, explain(err, k.cfg.Directory)
	}
	addresses, err := k.dns.addresses(ctx, name)
	switch {
	case err != nil:
		doubts = append(doubts, &trouble{what: "the address of " + name + " cannot be looked up: " + lastly(err),
			means: "either its DNS or this server's is out of order; the authority is asked all the same",
			do:    "see whether `getent ahosts " + name + "` finds it"})
	case len(addresses) == 0:
		return false, doubts, &trouble{what: name + " has no address: DNS has neither an A nor an AAAA record for it",
			means: "nobody can reach the site under that name, and neither can the authority; it was not asked",
			do:    "add an A record with this server's address at your DNS provider; it may take some minutes to be seen everywhere"}
	default:
		if t := k.ground.elsewhere(name, addresses); t != nil {
			doubts = append(doubts, t)
		}
	}
	if len(identities) == 0 {
		return false, doubts, nil // a private authority that does not care for CAA
	}
	found, ok, err := k.dns.allowed(ctx, name, identities, k.ground.methods())
	switch {
	case err != nil:
		doubts = append(doubts, &trouble{what: "the CAA records of " + name + " cannot be looked up: " + lastly(err),
			means: "the authority refuses if it cannot either; it is asked all the same",
			do:    "if it refuses, ask your DNS provider why questions for CAA fail"})
	case !ok:
		return false, doubts, &trouble{
			what:  "the CAA records of " + found.at + " allow " + strings.Join(found.issuers, ", ") + ", and not " + identities[0] + " as it is asked here",
			means: "the authority must refuse; it was not asked",
			do:    "add the CAA record `" + found.at + `. CAA 0 issue "` + identities[0] + "\"` at your DNS provider, or name another authority in listen.tls.acme.directory"}
	}
	return found.bound, doubts, nil
}

// elsewhere says that a name leads to other machines than this one. Whether that is
// wrong cannot be told: there may be a router or a provider in between.
func (g ground) elsewhere(name string, addresses []netip.Addr) *trouble {
	var others []string
	public := slices.ContainsFunc(g.own, func(a netip.Addr) bool { return !a.IsPrivate() })
	for _, a := range addresses {
		if !slices.Contains(g.own, a) {
			others = append(others, a.String())
		}
	}
	if len(others) == 0 || !public {
		return nil
	}
	t := &trouble{what: name + " leads to " + strings.Join(others, " and ") + ", which this machine does not have",
		means: "unless something there passes visitors on to this server, the authority will find another one",
		do:    "point the A and AAAA records of the name at " + g.some() + ", and take out the others"}
	if len(others) < len(addresses) {
		t.means = "the name leads to this server and to others; the authority asks one of them, by IPv6 if there is an AAAA record"
	}
	return t
}

// some names a few addresses of the machine.
func (g ground) some() string {
	var list []string
	for _, a := range g.own {
		if !a.IsPrivate() && len(list) < 3 {
			list = append(list, a.String())
		}
	}
	return strings.Join(list, " or ")
}

// port splits what certmagic wants to know of an address.
func port(list []netip.AddrPort) (host string, n int) {
	if len(list) == 0 {
		return "", 0
	}
	host, p, _ := net.SplitHostPort(list[0].String())
	n, _ = strconv.Atoi(p)
	return host, n
}
