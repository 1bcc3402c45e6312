package doctor

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ports looks at what can be reached from outside, and what of it is shielded.
func ports(e Env, links []Link) []Finding {
	n := notes{subject: "ports that can be reached from outside"}
	if !e.Site.Configured {
		n.missing(unknown, "`seawall doctor -c /etc/seawall/seawall.yaml`, or wherever yours is", "no configuration was named: which ports and interfaces are your site's is not known")
	}
	list, ok := waiting(e.Proc)
	if !ok {
		n.missing(unknown, "`ss -ltnup` lists them", "the listening sockets cannot be read")
		return n.list
	}
	var others []socket
	for _, s := range list {
		if !e.ownPort(&n, s, links) {
			others = append(others, s)
		}
	}
	e.unshielded(&n, others)
	if len(list) == 0 {
		n.good("none: whatever listens here is out of reach from other machines")
	}
	docker(&n, list, links)
	return n.list
}

// ownPort speaks of a port that has a part in the site, or that Seawall leaves
// alone on purpose.
func (e Env) ownPort(n *notes, s socket, links []Link) bool {
	port := s.At.Port()
	listens := func(addr string) bool { return !s.UDP && portOf(addr) == port && !onLoopback(addr) }
	switch {
	case slices.ContainsFunc(e.Site.Listen, listens) && !e.ours(s):
		n.missing(open, fmt.Sprintf("stop %s, or give Seawall another port in `listen.addresses`", s.Owner), "%s: another program has the port that Seawall is to listen on", s)
	case slices.ContainsFunc(e.Site.Listen, listens):
		n.good("%s: Seawall itself", s)
	case slices.Contains(e.Site.Ports, port):
		n.good("%s: packets to it are filtered (`packet.ports`)", s)
	case listens(e.Site.Admin):
		n.poor(weak, "`admin.listen: 127.0.0.1:9090`, and `ssh -L 9090:127.0.0.1:9090` to look at it from elsewhere; or a firewall", "%s: Seawall's admin address; its token keeps strangers out, not their connections", s)
	case !s.UDP && e.isOrigin(s.At, links):
		n.missing(open, fmt.Sprintf("let it listen on 127.0.0.1:%d only, or close it to all but Seawall: `sudo ufw deny %d/tcp` or `sudo nft insert rule inet filter input iifname != lo tcp dport %d drop`", port, port, port),
			"%s: your site itself: whoever knows this port walks around Seawall", s)
	case port == 22 && !s.UDP, strings.HasPrefix(s.Owner, "sshd"):
		n.good("%s: SSH, left alone on purpose, so that a flood or a mistake never locks you out; keys only, and your own addresses in a firewall, do it good", s)
	case !s.UDP && (port == 80 || port == 443):
		do := "if it stands in front of Seawall, `packet.ports: [80, 443]` has its packets filtered; else let Seawall stand in front of it (README, \"In front of your own site\")"
		n.poor(costly, do, "%s: a web server whose packets Seawall does not judge", s)
	default:
		return false
	}
	return true
}

// ours says whether a socket may be that of the running Seawall: its program has
// the same name, or its owner cannot be seen.
func (e Env) ours(s socket) bool {
	if s.Owner == "" || e.Site.PID == 0 {
		return s.Owner == "" || s.Owner == "seawall"
	}
	name, ok := text(e.Proc, strconv.Itoa(e.Site.PID)+"/comm")
	return !ok || name == s.Owner
}

func (s socket) String() string {
	where := s.At.String()
	if s.At.Addr().IsUnspecified() {
		where = fmt.Sprintf("every address, port %d", s.At.Port())
	}
	if s.Owner == "" {
		return where + "/" + s.proto()
	}
	return fmt.Sprintf("%s/%s (%s)", where, s.proto(), s.Owner)
}

// reflectors are UDP services that answer strangers with more than they were
// asked, and so are used against others: CISA's alert TA14-017A.
func reflector(port uint16) bool {
	return slices.Contains([]uint16{17, 19, 53, 69, 111, 123, 137, 161, 389, 520, 1434, 1900, 3702, 5353, 5683, 11211, 27960}, port)
}

// unshieldedShown is how many ports are spoken of one by one.
const unshieldedShown = 8

// unshielded speaks of what Seawall has no part in.
func (e Env) unshielded(n *notes, list []socket) {
	var rest []string
	for i, s := range list {
		port := s.At.Port()
		if i >= unshieldedShown {
			rest = append(rest, fmt.Sprintf("%d/%s", port, s.proto()))
			continue
		}
		do := fmt.Sprintf("if nobody outside needs it, let it listen on 127.0.0.1, or `sudo ufw deny %d/%s`", port, s.proto())
		if s.UDP && reflector(port) {
			n.poor(weak, do, "%s: nothing shields it, and strangers can make it flood others", s)
			continue
		}
		n.poor(tidy, do, "%s: nothing shields it; a flood at it costs this machine what it costs", s)
	}
	if len(rest) > 0 {
		n.poor(tidy, "`ss -ltnup` lists them; let those that nobody outside needs listen on 127.0.0.1", "and %d more that nothing shields: %s", len(rest), strings.Join(rest, ", "))
	}
	if slices.ContainsFunc(list, func(s socket) bool { return s.Owner == "" }) && !e.capabilities("self").has(capSysPtrace) {
		n.missing(tidy, "`sudo seawall doctor` can tell", "which programs they belong to is not known for all")
	}
}

// docker reminds of ports that containers publish: its rules come before those of
// ufw and firewalld, and without its helper process no socket shows them
// (https://docs.docker.com/engine/network/packet-filtering-firewalls/).
func docker(n *notes, list []socket, links []Link) {
	published := slices.ContainsFunc(list, func(s socket) bool { return s.Owner == "docker-proxy" })
	if !published && !slices.ContainsFunc(links, func(l Link) bool { return l.Name == "docker0" }) {
		return
	}
	n.poor(weak, "`docker ps` shows them: publish as `127.0.0.1:3000:3000`, or put rules into the chain DOCKER-USER",
		"Docker is here: ports that containers publish can be reached past ufw and firewalld")
}

// isOrigin says whether a socket is one of the site's own servers.
func (e Env) isOrigin(at netip.AddrPort, links []Link) bool {
	return slices.ContainsFunc(e.Site.Origins, func(o string) bool {
		host, port := hostOf(o)
		if port != at.Port() {
			return false
		}
		a, err := netip.ParseAddr(host)
		return isLocal(host) || err == nil && (a == at.Addr() || at.Addr().IsUnspecified() && own(a, links))
	})
}

// own says whether an address is one of this machine's.
func own(a netip.Addr, links []Link) bool {
	return slices.ContainsFunc(links, func(l Link) bool {
		return slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == a })
	})
}

// hostOf takes apart an origin's web address; the port is 0 where it has none, as
// for a socket in the file system.
func hostOf(origin string) (host string, port uint16) {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return "", 0
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case err == nil:
		port = uint16(n)
	case u.Scheme == "https":
		port = 443
	default:
		port = 80
	}
	return u.Hostname(), port
}

func isLocal(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
