package filter

import "fmt"

// Rung is one step of the ladder that can be switched by itself. The numbers
// are those of enum rung in bpf/common.h.
type Rung uint8

// The rungs.
const (
	Malformed Rung = iota
	Reflected
	Fragments
	ICMP
	Block
	Budget
	Initials
	Connections
	Signatures
	Rungs
)

func (r Rung) String() string {
	if r < Rungs {
		return [Rungs]string{"malformed", "reflected", "fragments", "icmp", "block", "budget", "initials", "connections", "signatures"}[r]
	}
	return fmt.Sprintf("rung %d", uint8(r))
}

// Reason is why a packet passed or was stopped. The numbers are those of enum
// reason in bpf/common.h.
type Reason uint8

// Why packets pass, and why they are stopped.
const (
	PassOther Reason = iota
	PassOurs
	PassAllowed
	PassLease
	StopLength
	StopWrapped
	StopSource
	StopLand
	StopFlags
	StopSynAck
	StopReflected
	StopTCPFragment
	StopFragments
	StopICMP
	StopBlocked
	StopBudget
	StopInitials
	StopUnheard
	StopUDP
	StopState
	StopSyn
	StopCookie
	StopSignature
	StopBogon
	Reasons
)

func (r Reason) String() string {
	if r < Reasons {
		return [Reasons]string{
			"pass_other", "pass_ours", "pass_allowed", "pass_lease",
			"length", "wrapped", "source", "land", "flags", "synack", "reflected",
			"tcp_fragment", "fragments", "icmp", "blocked",
			"budget", "initials", "unheard", "udp", "state", "syn", "cookie", "signature", "bogon",
		}[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Mode is what a rung does with what it finds.
type Mode uint8

// The modes. DryRun counts what Enforce would stop.
const (
	Off Mode = iota
	DryRun
	Enforce
)

func (m Mode) String() string {
	switch m {
	case Off:
		return "off"
	case DryRun:
		return "dry_run"
	case Enforce:
		return "enforce"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// UnmarshalText reads a mode.
func (m *Mode) UnmarshalText(b []byte) error {
	for _, k := range []Mode{Off, DryRun, Enforce} {
		if string(b) == k.String() {
			*m = k
			return nil
		}
	}
	return fmt.Errorf("%q is none of off, dry_run and enforce", b)
}

// MarshalText writes a mode.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
