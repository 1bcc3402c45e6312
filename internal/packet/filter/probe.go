package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Helper is something of the kernel that rungs may use where it is there.
type Helper struct {
	Name string // the kernel's
	For  string // what it is good for, in plain words
	// Err is nil iff the kernel has it. ErrUnsupported says that it has not; any
	// other error, that nobody could tell.
	Err error
}

// Helpers asks the kernel for everything that is optional.
func Helpers() []Helper {
	var out []Helper
	for _, h := range []struct {
		fn   asm.BuiltinFunc
		what string
	}{
		{asm.FnTcpRawGenSyncookieIpv4, "SYN cookies before a connection costs anything"},
		{asm.FnXdpLoadBytes, "packets that span several buffers (jumbo frames)"},
		{asm.FnKtimeGetCoarseNs, "a cheaper clock"},
	} {
		out = append(out, Helper{"bpf_" + helperName(h.fn), h.what, missing(features.HaveProgramHelper(ebpf.XDP, h.fn))})
	}
	return append(out, Helper{"ring buffer", "packet samples", missing(features.HaveMapType(ebpf.RingBuf))})
}

// helperName is the kernel's name of a helper, in the spelling of its headers.
func helperName(fn asm.BuiltinFunc) string {
	switch fn {
	case asm.FnTcpRawGenSyncookieIpv4:
		return "tcp_raw_gen_syncookie_ipv4"
	case asm.FnXdpLoadBytes:
		return "xdp_load_bytes"
	case asm.FnKtimeGetCoarseNs:
		return "ktime_get_coarse_ns"
	}
	return fn.String()
}

func missing(err error) error {
	if errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}

// Probe loads the filter as it would be used, and lets it go again; nothing is
// attached or pinned. The error says why it cannot be had.
func Probe() error {
	f, err := New(DefaultConfig(), Guard{TCP: []uint16{443}}, "")
	if err != nil {
		return err
	}
	f.Close()
	return nil
}

// ProgramName is the name of a program in the kernel, and whether it is
// Seawall's. Asking takes CAP_SYS_ADMIN.
func ProgramName(id uint32) (name string, ours bool, err error) {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return "", false, fmt.Errorf("look at XDP program %d: %w", id, err)
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return "", false, fmt.Errorf("look at XDP program %d: %w", id, err)
	}
	return info.Name, info.Name == programName, nil
}

// TryNative attaches a program that lets everything pass to an interface in
// native mode, and detaches it at once: only that shows for certain what the
// driver takes. Many drivers make their queues anew for it, which drops the link
// for a moment. It fails, and changes nothing, where a program is attached already.
func TryNative(name string) error {
	at, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("try native mode on %s: %w", name, err)
	}
	p, err := constant(xdpPass)
	if err != nil {
		return fmt.Errorf("try native mode on %s: %w", name, err)
	}
	defer p.Close()
	l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: at.Index, Flags: link.XDPDriverMode})
	if err != nil {
		return fmt.Errorf("try native mode on %s: %w", name, err)
	}
	return l.Close()
}

// DropCost measures what the filter spends on a packet that its block list
// stops, on one processor, with n blocked sources that take turns: an entry that
// the packet before has brought into the cache would flatter it. It runs for
// about as long as it is told.
func DropCost(n int, during time.Duration) (time.Duration, error) {
	cfg := DefaultConfig()
	cfg.Entries4 = max(cfg.Entries4, n)
	f, err := New(cfg, Guard{TCP: []uint16{443}}, "")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	// Addresses set aside for benchmarks (RFC 2544); no packet leaves the kernel's
	// own test bench.
	first := netip.MustParseAddr("198.18.0.0").As4()
	base := binary.BigEndian.Uint32(first[:])
	for i := range n {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], base+uint32(i))
		if err := f.Block(netip.PrefixFrom(netip.AddrFrom4(a), 32), time.Time{}, false); err != nil {
			return 0, err
		}
	}
	empty, err := constant(xdpDrop)
	if err != nil {
		return 0, err
	}
	defer empty.Close()
	ours, err := inTurns(f.program, base, n)
	if err != nil {
		return 0, err
	}
	defer ours.close()
	loop, err := inTurns(empty, base, n)
	if err != nil {
		return 0, err
	}
	defer loop.close()
	return difference(ours.program, loop.program, during)
}

// difference is what a packet costs in one program more than in another: the
// least of several rounds each, since others on the machine only ever add.
func difference(a, b *ebpf.Program, during time.Duration) (time.Duration, error) {
	const round = 50_000 // packets: a few milliseconds
	frame := make([]byte, 60)
	copy(frame, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 1, 0x40, 0, 64, 6})
	copy(frame[26:], []byte{198, 18, 0, 0, 203, 0, 113, 1, 0x9c, 0x40, 443 >> 8, 443 & 0xff})
	frame[46], frame[47] = 0x50, 16 // a header of 20 bytes with ACK
	least := [2]time.Duration{time.Hour, time.Hour}
	for end := time.Now().Add(during); ; {
		for i, p := range []*ebpf.Program{a, b} {
			verdict, each, err := p.Benchmark(frame, round, func() {})
			if err != nil {
				return 0, fmt.Errorf("show packets to the filter: %w", err)
			}
			if verdict != xdpDrop {
				return 0, fmt.Errorf("the filter answers %d where it should drop", verdict)
			}
			least[i] = min(least[i], each)
		}
		if time.Now().After(end) {
			return max(least[0]-least[1], 1), nil
		}
	}
}

// constant is a program that does nothing but give a verdict. It has the flag of
// ours for packets in several buffers, which drivers ask for.
func constant(verdict int32) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "seawall_try", Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "Dual BSD/GPL", Flags: unix.BPF_F_XDP_HAS_FRAGS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()},
	})
}

// turns is a program that gives each packet another source before it goes on.
type turns struct {
	program *ebpf.Program
	next    *ebpf.Map
}

func (t turns) close() {
	t.program.Close()
	t.next.Close()
}

// inTurns wraps a program: each run gives an IPv4 packet a source at random, of
// n from first on.
func inTurns(program *ebpf.Program, first uint32, n int) (turns, error) {
	next, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return turns{}, fmt.Errorf("measure the filter: %w", err)
	}
	const sourceAt = 14 + 12 // after the Ethernet header, in that of IPv4
	wrapper, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "Dual BSD/GPL", Flags: unix.BPF_F_XDP_HAS_FRAGS,
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.FnGetPrandomU32.Call(),
			asm.Mod.Imm32(asm.R0, int32(n)),
			asm.LoadImm(asm.R1, int64(first), asm.DWord),
			asm.Add.Reg(asm.R0, asm.R1),
			asm.HostTo(asm.BE, asm.R0, asm.Word),
			asm.LoadMem(asm.R7, asm.R6, 0, asm.Word), // data
			asm.LoadMem(asm.R8, asm.R6, 4, asm.Word), // and its end
			asm.Mov.Reg(asm.R2, asm.R7),
			asm.Add.Imm(asm.R2, sourceAt+4),
			asm.JGT.Reg(asm.R2, asm.R8, "out"),
			asm.StoreMem(asm.R7, sourceAt, asm.R0, asm.Word),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.LoadMapPtr(asm.R2, next.FD()),
			asm.Mov.Imm(asm.R3, 0),
			asm.FnTailCall.Call(),
			asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("out"),
			asm.Return(),
		},
	})
	if err != nil {
		next.Close()
		return turns{}, fmt.Errorf("measure the filter: %w", err)
	}
	t := turns{wrapper, next}
	if err := next.Put(uint32(0), program); err != nil {
		t.close()
		return turns{}, fmt.Errorf("measure the filter: %w", err)
	}
	return t, nil
}
