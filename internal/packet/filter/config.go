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
	// FragmentRate and ICMPRate are packets a second that each processor lets
	// through.
	FragmentRate int `yaml:"fragment_rate"`
	ICMPRate     int `yaml:"icmp_rate"`
	// Entries4 and Entries6 are how many clients (IPv4 addresses, IPv6 /64s) the
	// block list holds. The kernel takes 12 to 24, and 24 to 48, bytes for each
	// at the start.
	Entries4 int `yaml:"entries4"`
	Entries6 int `yaml:"entries6"`
}

// DefaultConfig suits a small server: about 4 MiB of the kernel's memory.
func DefaultConfig() Config {
	return Config{
		Malformed: Enforce, Reflected: Enforce, Fragments: Enforce, ICMP: Enforce, Block: Enforce,
		Signatures:   Enforce,
		FragmentRate: 1000, ICMPRate: 1000,
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
	return [Rungs]Mode{Malformed: c.Malformed, Reflected: c.Reflected, Fragments: c.Fragments, ICMP: c.ICMP, Block: c.Block,
		Signatures: c.Signatures}
}
