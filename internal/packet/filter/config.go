package filter

import (
	"fmt"

	"seawall/internal/kit/problem"
)

// Config is what a person can set about the packet filter.
type Config struct {
	Malformed  Mode `yaml:"malformed"`
	Reflected  Mode `yaml:"reflected"`
	Fragments  Mode `yaml:"fragments"`
	ICMP       Mode `yaml:"icmp"`
	Block      Mode `yaml:"block"`
	Signatures Mode `yaml:"signatures"`
	// Budget stops sources that send more than any visitor, Initials too many
	// beginnings of QUIC connections, Connections what belongs to no connection;
	// it answers SYNs with cookies when they are many.
	Budget      Mode `yaml:"budget"`
	Initials    Mode `yaml:"initials"`
	Connections Mode `yaml:"connections"`
	// Bogons has Malformed stop sources, too, that are not reachable from the
	// internet (RFC 6890). Machines on a private network have such addresses.
	Bogons bool `yaml:"bogons"`
	// FragmentRate and ICMPRate are packets a second that each processor lets
	// through.
	FragmentRate int `yaml:"fragment_rate"`
	ICMPRate     int `yaml:"icmp_rate"`
	// SourceRate and SourceBytes are packets and bytes a second that one source (an
	// IPv4 address, an IPv6 /64) may send through one processor.
	SourceRate  int   `yaml:"source_rate"`
	SourceBytes int64 `yaml:"source_bytes"`
	// InitialRate and InitialsRate are QUIC Initials a second, from one source and
	// from all, through one processor.
	InitialRate  int `yaml:"initial_rate"`
	InitialsRate int `yaml:"initials_rate"`
	// UDPRate is datagrams a second, through one processor, of flows that did not
	// begin with an Initial.
	UDPRate int `yaml:"udp_rate"`
	// SynRate is how many connections asked for a second, through one processor,
	// arm the cookies.
	SynRate int `yaml:"syn_rate"`
	// Entries4 and Entries6 are how many clients (IPv4 addresses, IPv6 /64s) the
	// block list holds. The kernel takes 12 to 24, and 24 to 48, bytes for each
	// at the start.
	Entries4 int `yaml:"entries4"`
	Entries6 int `yaml:"entries6"`
}

// DefaultConfig suits a small server: 4.1 MiB of the kernel's memory with two
// processors, and 0.4 MiB for each further one.
func DefaultConfig() Config {
	return Config{
		Malformed: Enforce, Reflected: Enforce, Fragments: Enforce, ICMP: Enforce, Block: Enforce,
		Budget: Enforce, Initials: Enforce, Connections: Enforce, Signatures: Enforce,
		FragmentRate: 1000, ICMPRate: 1000,
		SourceRate: 20_000, SourceBytes: 64 << 20, InitialRate: 50, InitialsRate: 2000, UDPRate: 20_000, SynRate: 2000,
		Entries4: 65_536, Entries6: 16_384,
	}
}

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	for _, n := range []struct {
		key         string
		value       int
		least, most int
	}{
		{"fragment_rate", c.FragmentRate, 1, 1_000_000},
		{"icmp_rate", c.ICMPRate, 1, 1_000_000},
		{"source_rate", c.SourceRate, 100, 10_000_000},
		{"source_bytes", int(c.SourceBytes), 1 << 20, 1 << 40},
		{"initial_rate", c.InitialRate, 1, 1_000_000},
		{"initials_rate", c.InitialsRate, 1, 10_000_000},
		{"udp_rate", c.UDPRate, 1, 10_000_000},
		{"syn_rate", c.SynRate, 100, 1_000_000},
		{"entries4", c.Entries4, 1024, 1 << 24},
		{"entries6", c.Entries6, 1024, 1 << 24},
	} {
		if n.value < n.least || n.value > n.most {
			l.Add(n.key, fmt.Sprintf("write a number from %d to %d", n.least, n.most), "%d is out of range", n.value)
		}
	}
	return l
}

func (c Config) modes() [Rungs]Mode {
	return [Rungs]Mode{
		Malformed: c.Malformed, Reflected: c.Reflected, Fragments: c.Fragments, ICMP: c.ICMP, Block: c.Block,
		Budget: c.Budget, Initials: c.Initials, Connections: c.Connections, Signatures: c.Signatures,
	}
}
