package doctor

import (
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Link is a network interface: what netlink and the driver say, and what links
// finds out from the kernel's text.
type Link struct {
	Name     string
	Index    int
	Up       bool
	Loopback bool
	Ethernet bool // its packets begin with an Ethernet header
	MTU      int
	Kind     string // of a virtual one: vlan, bond, veth, bridge, ...
	Below    string // the interface that it stands on; "" for none
	Addrs    []netip.Prefix

	XDP      Mode   // of the program that is attached
	XDPOwner uint32 // its number; valid iff XDP is not None

	// Driver is its name; Channels and Features are valid iff their Known is set.
	Driver   string
	Channels Channels
	Features Features
	LRO      bool // the card joins packets before anybody sees them

	// The following are filled in by links.
	Queues  int    // for receiving; 0 unknown
	Speed   int64  // Mbit/s; 0 unknown
	Outside bool   // packets from outside come in here
	Default bool   // the way out leads here
	Virtio  string // bits that the device and the driver agreed on; "" where it is no virtio
}

// Mode is how an XDP program is attached.
type Mode string

// The modes.
const (
	None    Mode = ""
	Native  Mode = "native"
	Generic Mode = "generic"
	Offload Mode = "offloaded"
)

// Channels are a card's queues as the driver counts them.
type Channels struct {
	Known                 bool
	Combined, MaxCombined int
}

// Features is what a driver says of XDP, since Linux 6.3.
type Features struct {
	Known bool
	Basic bool // native mode
	Frags bool // packets in several buffers
}

// links lists the interfaces with everything that is known of them.
func (e Env) links() ([]Link, error) {
	if e.Links == nil {
		return nil, nil
	}
	list, err := e.Links()
	if err != nil {
		return nil, err
	}
	way := defaultRoutes(e.Proc)
	for i := range list {
		l := &list[i]
		dir := "class/net/" + l.Name + "/"
		if l.Driver == "" {
			if target, err := fs.ReadLink(e.Sys, dir+"device/driver"); err == nil {
				l.Driver = path.Base(target)
			}
		}
		if queues, err := fs.Glob(e.Sys, dir+"queues/rx-*"); err == nil {
			l.Queues = len(queues)
		}
		// Virtual links name a speed that means nothing: a veth always says 10 Gbit/s.
		if speed, ok := number(e.Sys, dir+"speed"); ok && speed > 0 && (l.Kind == "" || l.Kind == "bond" || l.Kind == "vlan") {
			l.Speed = speed
		}
		if l.Driver == "virtio_net" {
			l.Virtio, _ = text(e.Sys, dir+"device/features")
		}
		l.Default = slices.Contains(way, l.Name)
		l.Outside = !l.Loopback && (l.Default || slices.ContainsFunc(l.Addrs, public)) || slices.Contains(e.Site.Interfaces, l.Name)
	}
	return list, nil
}

// steered says whether one processor hands this interface's packets to others.
func (l Link) steered(sys fs.FS) bool {
	mask, ok := text(sys, "class/net/"+l.Name+"/queues/rx-0/rps_cpus")
	return ok && strings.Trim(mask, "0,") != ""
}

// public says whether an address can be reached from everywhere.
func public(p netip.Prefix) bool {
	a := p.Addr()
	return a.IsGlobalUnicast() && !a.IsPrivate()
}

// defaultRoutes lists the interfaces that the way out leads to.
func defaultRoutes(proc fs.FS) (names []string) {
	add := func(name string) {
		if name != "lo" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	// Iface Destination Gateway Flags RefCnt Use Metric Mask ...
	four, _ := text(proc, "net/route")
	for line := range strings.Lines(four) {
		if f := strings.Fields(line); len(f) > 7 && f[1] == "00000000" && f[7] == "00000000" {
			add(f[0])
		}
	}
	// destination, its length, source, its length, gateway, metric, references,
	// use, flags, interface.
	six, _ := text(proc, "net/ipv6_route")
	for line := range strings.Lines(six) {
		f := strings.Fields(line)
		if len(f) < 10 || f[1] != "00" || strings.Trim(f[0], "0") != "" {
			continue
		}
		const reject = 0x0200 // RTF_REJECT of linux/route.h: a way to nowhere
		if flags, err := strconv.ParseUint(f[8], 16, 32); err == nil && flags&reject == 0 {
			add(f[9])
		}
	}
	return names
}
