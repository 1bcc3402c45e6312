package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// interfaces looks at each interface that packets from outside come in at.
func interfaces(e Env, links []Link, err error, attach bool) []Finding {
	n := notes{subject: "interfaces"}
	if err != nil {
		n.missing(unknown, "`ip -br link` lists them", "the interfaces cannot be listed: %s", oneLine(err))
		return n.list
	}
	for _, name := range e.Site.Interfaces {
		if !slices.ContainsFunc(links, func(l Link) bool { return l.Name == name }) {
			n.missing(lost, "`ip -br link` lists them; correct `packet.interfaces`", "%s, which the configuration names, is no interface of this machine", name)
		}
	}
	looked := 0
	for _, l := range links {
		if !l.Outside {
			continue
		}
		looked++
		if !l.Up {
			n.poor(weak, fmt.Sprintf("`sudo ip link set %s up`", l.Name), "%s is down", l.Name)
			continue
		}
		e.native(&n, l, attach)
		e.queues(&n, l)
		if l.Kind == "veth" {
			n.poor(costly, "let Seawall's filter run where the card is (containers: the host's network, `--network host`)", "%s is one end of a virtual pair, as containers have: the machine around it has paid for each packet before it arrives here", l.Name)
		}
		if len(e.Site.Interfaces) > 0 && l.Default && !slices.Contains(e.Site.Interfaces, l.Name) {
			n.poor(open, fmt.Sprintf("add %s to `packet.interfaces`", l.Name), "%s leads outside, and the configuration does not filter it", l.Name)
		}
	}
	if looked == 0 {
		n.missing(unknown, "name it in `packet.interfaces`; `ip -br addr` lists them", "no interface has a public address or the way out: where packets come in from outside is not known")
	} else if len(e.Site.Interfaces) == 0 && e.Site.Configured {
		n.poor(costly, "name them in `packet.interfaces` (docs/configuration.md, \"Filtering packets\")", "no interface is filtered: every packet of a flood costs the kernel its full price")
	}
	return n.list
}

// native says whether the filter can meet an interface's packets before the
// kernel does, and what is in the way.
func (e Env) native(n *notes, l Link, attach bool) {
	if l.XDP != None {
		e.attached(n, l)
		return
	}
	b := l.blocked(e.CPUs)
	if attach && !b.hard && !l.Loopback && e.Kernel != nil {
		e.say("trying native mode on " + l.Name)
		err := e.Kernel.TryNative(l.Name)
		if err == nil {
			n.good("%s: native mode was tried, and the driver takes it", l.describe())
			return
		}
		if b.what == "" {
			b = blocker{what: "native mode was tried and refused: " + oneLine(err), do: "`sudo dmesg | tail` has the driver's reason, if it gives one; generic mode works meanwhile"}
		}
	}
	switch {
	case b.hard:
		n.missing(lost, b.do, "%s: %s", l.describe(), b.what)
	case b.what != "":
		n.poor(costly, b.do, "%s: %s", l.describe(), b.what)
	case !l.Features.Known:
		n.missing(unknown, "`sudo seawall doctor --attach` tries it (many drivers drop the link for a moment)", "%s: whether the driver has native mode is not known; the kernel tells since 6.3", l.describe())
	default:
		n.good("%s: native mode can be had, by all that the driver says", l.describe())
	}
}

// attached speaks of the program that is there; then nothing is tried.
func (e Env) attached(n *notes, l Link) {
	name, ours := "", false
	var err error
	if e.Kernel != nil {
		name, ours, err = e.Kernel.Program(l.XDPOwner)
	}
	switch {
	case e.Kernel == nil || err != nil:
		n.missing(unknown, "`sudo seawall doctor` can tell whose it is", "%s: an XDP program (number %d) is attached in %s mode", l.describe(), l.XDPOwner, l.XDP)
	case ours && l.XDP == Native:
		n.good("%s: Seawall's filter is attached in native mode", l.describe())
	case ours:
		do := "see whether another driver or card can be had"
		if b := l.blocked(e.CPUs); b.what != "" {
			do = b.what + ": " + b.do
		}
		n.poor(costly, do, "%s: Seawall's filter is attached in %s mode, where a packet costs several times as much", l.describe(), l.XDP)
	default:
		n.poor(lost, fmt.Sprintf("end the program that put it there; where `sudo bpftool link` has a link of program %d, `sudo bpftool link detach id` with the link's number ends it, or else `sudo ip link set dev %s xdp off`", l.XDPOwner, l.Name),
			"%s: another XDP program, %q, is attached in %s mode: Seawall cannot attach its own", l.describe(), name, l.XDP)
	}
}

// queues compares them with the processors: what comes in at one queue is all
// handled by one processor.
func (e Env) queues(n *notes, l Link) {
	if l.Queues == 0 || l.Loopback || e.CPUs <= 1 || !l.Ethernet || l.Kind == "vlan" || l.Kind == "bond" || l.Kind == "bridge" {
		return
	}
	queues := l.Queues
	if l.Channels.Known && l.Channels.Combined > 0 {
		queues = l.Channels.Combined
	}
	want := e.CPUs
	if l.halved() && l.Channels.Known {
		want = min(want, l.Channels.MaxCombined/2)
	}
	what := fmt.Sprintf("%s: %s for %d processors: a flood keeps the others idle while the first drown", l.Name, count(queues, "receive queue"), e.CPUs)
	switch {
	case queues >= want:
		n.good("%s: %s for %d processors", l.Name, count(queues, "receive queue"), e.CPUs)
	case l.Channels.Known && l.Channels.MaxCombined > queues:
		n.poor(weak, fmt.Sprintf("`sudo ethtool -L %s combined %d`", l.Name, min(want, l.Channels.MaxCombined)), "%s", what)
	case l.Driver == "virtio_net":
		// QEMU: mq=on and vectors; libvirt: <driver queues='N'/>.
		n.poor(weak, fmt.Sprintf("ask the host for more queues (multiqueue; libvirt: `<driver queues='%d'/>`); until then `echo %x | sudo tee /sys/class/net/%s/queues/rx-0/rps_cpus` shares out what the filter lets pass", 2*e.CPUs, 1<<min(e.CPUs, 32)-1, l.Name), "%s", what)
	default:
		n.poor(weak, fmt.Sprintf("`echo %x | sudo tee /sys/class/net/%s/queues/rx-0/rps_cpus` shares out what the filter lets pass", 1<<min(e.CPUs, 32)-1, l.Name), "%s", what)
	}
}

// describe names an interface and what it is.
func (l Link) describe() string {
	var parts []string
	switch {
	case l.Driver != "":
		parts = append(parts, l.Driver)
	case l.Kind != "":
		parts = append(parts, l.Kind)
	}
	parts = append(parts, fmt.Sprintf("MTU %d", l.MTU))
	return fmt.Sprintf("%s (%s)", l.Name, strings.Join(parts, ", "))
}
