package packet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"seawall/internal/kit/problem"
	"seawall/internal/packet/filter"
)

// Config is what a person can set about packets.
type Config struct {
	// Interfaces are those at which packets come in from outside; none: packets
	// are not filtered.
	Interfaces []string `yaml:"interfaces"`
	// Ports are protected besides those at which Seawall itself listens: those of
	// whatever stands in front of it on this machine.
	Ports []uint16 `yaml:"ports"`
	// UDPPorts are protected for UDP, besides those of Ports, and of Seawall's own,
	// below 1024: this machine asks its own questions from ports above.
	UDPPorts []uint16 `yaml:"udp_ports"`
	// Pins is where the kernel keeps the filter while Seawall restarts.
	Pins string `yaml:"pins"`
	// Fallback is what keeps the lists where XDP cannot be had: nftables or off.
	Fallback string `yaml:"fallback"`
	// ConfirmWithin is how long packets are filtered for the first time unless
	// somebody confirms that the machine can still be reached; 0: for good.
	ConfirmWithin time.Duration `yaml:"confirm_within"`

	Filter filter.Config `yaml:",inline"`
}

// DefaultConfig filters nothing until interfaces are named.
func DefaultConfig() Config {
	return Config{Pins: "/sys/fs/bpf/seawall", Fallback: "nftables", ConfirmWithin: time.Minute, Filter: filter.DefaultConfig()}
}

// GuardedUDP are the ports protected for UDP: HTTP/3 may be there, and reflected
// floods aim at them.
func (c Config) GuardedUDP(tcp []uint16) []uint16 {
	ports := slices.DeleteFunc(slices.Clone(tcp), func(n uint16) bool { return n >= 1024 })
	return append(ports, c.UDPPorts...)
}

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	for i, name := range c.Interfaces {
		if name == "" || len(name) > 15 || strings.ContainsAny(name, "/ \t\n") {
			l.Add(fmt.Sprintf("interfaces[%d]", i), "write a name that `ip link` shows, such as eth0", "%q is no interface's name", name)
		}
	}
	for i, port := range c.Ports {
		if port == 0 || port == 22 {
			l.Add(fmt.Sprintf("ports[%d]", i), "write the port at which visitors arrive, such as 443", "port %d is not a web site's", port)
		}
	}
	for i, port := range c.UDPPorts {
		if port == 0 {
			l.Add(fmt.Sprintf("udp_ports[%d]", i), "write the port at which QUIC arrives, such as 443", "port 0 is none")
		}
	}
	if !strings.HasPrefix(c.Pins, "/") {
		l.Add("pins", "write /sys/fs/bpf/seawall", "%q is no absolute path", c.Pins)
	}
	if c.Fallback != "nftables" && c.Fallback != "off" {
		l.Add("fallback", "write nftables or off", "%q is neither", c.Fallback)
	}
	if w := c.ConfirmWithin; w != 0 && (w < time.Second || w > time.Hour) {
		l.Add("confirm_within", "write a time such as 60s, an hour at most, or 0 where nobody shall have to confirm", "%v is out of range", w)
	}
	l.Under("", c.Filter.Validate())
	return l
}
