package filter

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// peerObject is xdp-filter as Debian ships it (xdp-tools): its policy is to
// stopped, with all its features.
const peerObject = "/usr/lib/x86_64-linux-gnu/bpf/xdpfilt_alw_all.o"

const (
	rounds  = 9       // each path is measured so often, in turns; the median counts
	repeats = 400_000 // packets a round
	listed  = 10_000  // sources on the lists, unless said otherwise
)

// firstSource and its followers are the blocked sources.
var firstSource = netip.MustParseAddr("198.18.0.0")

func source(n uint32) (a [4]byte) {
	b := firstSource.As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(b[:])+n)
	return a
}

// ack is a TCP segment with ACK, of 60 bytes, from a source to a port. The
// wrapper changes its source each time.
func ack(port uint16, flags byte) []byte {
	b := make([]byte, 60)
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 1, 0x40, 0, 64, 6})
	copy(b[26:], []byte{198, 18, 0, 0, 203, 0, 113, 1, 0x9c, 0x40})
	binary.BigEndian.PutUint16(b[36:], port)
	b[46], b[47] = 0x50, flags
	return b
}

// rotate wraps a program: each run gives the packet another of n sources, so
// that no look-up finds its entry in the processor's cache because the packet
// before had the same. Without a program it shows what the wrapping costs.
func rotate(b *testing.B, program *ebpf.Program, frags bool, from, n uint32) *ebpf.Program {
	b.Helper()
	jump, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { jump.Close() })
	flags := uint32(0)
	if frags {
		flags = unix.BPF_F_XDP_HAS_FRAGS
	}
	first := binary.BigEndian.Uint32(func() []byte { a := source(from); return a[:] }())
	wrapper, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "Dual BSD/GPL", Flags: flags,
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.FnGetPrandomU32.Call(),
			asm.Mod.Imm32(asm.R0, int32(n)),
			asm.Add.Imm(asm.R0, int32(first-1<<31)),
			asm.Add.Imm(asm.R0, 1<<30), asm.Add.Imm(asm.R0, 1<<30),
			asm.HostTo(asm.BE, asm.R0, asm.Word),
			asm.LoadMem(asm.R7, asm.R6, 0, asm.Word),
			asm.LoadMem(asm.R8, asm.R6, 4, asm.Word),
			asm.Mov.Reg(asm.R2, asm.R7),
			asm.Add.Imm(asm.R2, 34),
			asm.JGT.Reg(asm.R2, asm.R8, "out"),
			asm.StoreMem(asm.R7, 26, asm.R0, asm.Word),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.LoadMapPtr(asm.R2, jump.FD()),
			asm.Mov.Imm(asm.R3, 0),
			asm.FnTailCall.Call(),
			asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("out"),
			asm.Return(),
		},
	})
	if err != nil {
		b.Fatalf("%+v", err)
	}
	b.Cleanup(func() { wrapper.Close() })
	if program == nil {
		program = nothing(b, flags)
	}
	if err := jump.Put(uint32(0), program); err != nil {
		b.Fatal(err)
	}
	return wrapper
}

// nothing drops everything at once.
func nothing(b *testing.B, flags uint32) *ebpf.Program {
	b.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "Dual BSD/GPL", Flags: flags,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	return p
}

// ours loads the filter with n blocked sources, for a port more. The connections
// are made over loopback, so it must let addresses of loopback in.
func ours(b *testing.B, n int, port uint16) *Filter {
	b.Helper()
	cfg := DefaultConfig()
	cfg.Entries4 = max(cfg.Entries4, n)
	f, err := New(cfg, Guard{TCP: []uint16{80, 443, port}, Loopback: true}, "")
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(f.Close)
	for i := range n {
		if err := f.Block(netip.PrefixFrom(netip.AddrFrom4(source(uint32(i))), 32), time.Time{}, false); err != nil {
			b.Fatal(err)
		}
	}
	return f
}

// theirs loads xdp-filter with blocked sources.
func theirs(b *testing.B) *ebpf.Program {
	b.Helper()
	if _, err := os.Stat(peerObject); err != nil {
		b.Skip("xdp-filter is not installed (Debian: xdp-tools)")
	}
	spec, err := ebpf.LoadCollectionSpec(peerObject)
	if err != nil {
		b.Fatal(err)
	}
	for _, m := range spec.Maps {
		m.Pinning = ebpf.PinNone
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	each := slices.Repeat([]uint64{1}, ebpf.MustPossibleCPU()) // 1: the source is meant
	for i := range listed {
		if err := c.Maps["filter_ipv4"].Put(source(uint32(i)), each); err != nil {
			b.Fatal(err)
		}
	}
	return c.Programs["xdpfilt_alw_all"]
}

// connections makes real ones, by TCP over loopback, from as many addresses, and
// tells the first of these and a segment: what passes every rung is a segment of
// a connection that there is.
func connections(b *testing.B, n int) (first uint32, segment []byte) {
	b.Helper()
	own := uint16(20_000 + rand.IntN(40_000)) // the last run's may not be over yet
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	base := [4]byte{127, 10, 0, 0}
	for i := range uint32(n) {
		var from [4]byte
		binary.BigEndian.PutUint32(from[:], binary.BigEndian.Uint32(base[:])+i)
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from[:], Port: int(own)}}
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		c.Close() // it is a connection all the same, until the server closes its half
	}
	segment = ack(l.Addr().(*net.TCPAddr).AddrPort().Port(), 16)
	copy(segment[30:], []byte{127, 0, 0, 1})
	binary.BigEndian.PutUint16(segment[34:], own)
	origin := firstSource.As4()
	return binary.BigEndian.Uint32(base[:]) - binary.BigEndian.Uint32(origin[:]), segment
}

type path struct {
	name    string
	program *ebpf.Program
	frame   []byte
	stops   bool
	runs    []time.Duration
}

// BenchmarkPaths prints what a packet costs on each way through the filter,
// beside xdp-filter on the same ways, in one run: nanoseconds of
// BPF_PROG_TEST_RUN, sources rotated, the rotation subtracted.
func BenchmarkPaths(b *testing.B) {
	first, segment := connections(b, listed)
	port := binary.BigEndian.Uint16(segment[36:])
	small, large, peer := ours(b, listed, port), ours(b, 1_000_000, port), theirs(b)
	const beyond = 1 << 24 // sources on no list
	good, odd := ack(443, 16), ack(443, 3)
	paths := []*path{
		{name: "the loop", program: rotate(b, nil, true, 0, listed), frame: good, stops: true},
		{name: "xdp-filter: on the list", program: rotate(b, peer, false, 0, listed), frame: good, stops: true},
		{name: "xdp-filter: passes", program: rotate(b, peer, false, first, listed), frame: segment},
		{name: "Seawall: on the list", program: rotate(b, small.program, true, 0, listed), frame: good, stops: true},
		{name: "Seawall: passes every rung", program: rotate(b, small.program, true, first, listed), frame: segment},
		{name: "Seawall: on a list of 1,000,000", program: rotate(b, large.program, true, 0, 1_000_000), frame: good, stops: true},
		{name: "Seawall: passes a list of 1,000,000", program: rotate(b, large.program, true, first, listed), frame: segment},
		{name: "Seawall: of no connection", program: rotate(b, small.program, true, beyond, 1_000_000), frame: segment, stops: true},
		{name: "Seawall: odd flags", program: rotate(b, small.program, true, beyond, listed), frame: odd, stops: true},
		{name: "Seawall: not for a protected port", program: rotate(b, small.program, true, beyond, listed), frame: ack(22, 16)},
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range rounds {
		for _, p := range paths {
			verdict, took, err := p.program.Benchmark(p.frame, repeats, func() {})
			if err != nil {
				b.Fatal(err)
			}
			if (verdict == xdpDrop) != p.stops {
				b.Fatalf("%s: verdict %d", p.name, verdict)
			}
			p.runs = append(p.runs, took)
		}
	}
	cost := func(i int) float64 {
		return float64(median(paths[i].runs) - median(paths[0].runs))
	}
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for i, p := range paths {
		if i == 0 {
			fmt.Fprintf(w, "%s\t%d ns, subtracted below\n", p.name, median(p.runs))
			continue
		}
		fmt.Fprintf(w, "%s\t%.0f ns\n", p.name, cost(i))
	}
	fmt.Fprintln(w, "promise\tasked\tmeasured")
	for _, bar := range []struct {
		name     string
		asked    float64
		measured float64
		unit     string
	}{
		{"stopped by the list, against xdp-filter", 1.0, cost(3) / cost(1), "times"},
		{"passes, against xdp-filter", 1.5, cost(4) / cost(2), "times"},
		{"stopped by a list of 1,000,000", 350, cost(5), "ns"},
	} {
		verdict := "ok"
		if bar.measured > bar.asked {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "%s\tat most %.3g %s\t%.3g %s\t%s\n", bar.name, bar.asked, bar.unit, bar.measured, bar.unit, verdict)
	}
	w.Flush()
	b.ReportMetric(cost(3), "ns/drop")
	b.ReportMetric(cost(4), "ns/pass")
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}
