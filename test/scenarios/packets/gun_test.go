package packets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// shot is a kind of frame, of which no two are alike: two bytes each at some
// places are drawn anew for every frame, and the checksums mended.
type shot struct {
	frame []byte
	drawn []draw
	sums  []sum
}

// draw is two bytes that are random where mask has bits, and as in the frame
// where it has none. at is even.
type draw struct {
	at   int
	mask uint16 // as read from the packet, most significant byte first
}

// sum is an internet checksum over those drawn fields that lie in one of the
// ranges. The frame's own sum is right for the frame.
type sum struct {
	at    int
	spans [][2]int
}

// The kernel uses pages again as they come back, and who answers a packet in
// place has written into it, and changed its length. So a program writes the
// beginning of a frame anew each time; and it is handed the frame without its
// first bytes, for which it makes room itself: only of what it has moved does the
// kernel take back the length (net/bpf/test_run.c, reset_ctx).
const (
	renewed = 86 // bytes: Ethernet, IPv6, TCP with 12 bytes of options
	beheads = 4
)

// gun sends shots into an interface, made by the kernel's test runs of an XDP
// program with live frames: several million a second, from no tool.
type gun struct {
	program *ebpf.Program
	turns   *ebpf.Map // which shot a processor sends
	at      link.Link
	shots   []shot
	to      int // index of the interface
}

// load loads a program that sends shots into the interface with an index: on
// each processor that which turns has for it.
func load(to int, shots []shot, turns *ebpf.Map) (*ebpf.Program, error) {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R9, asm.R1),
		asm.Mov.Imm(asm.R2, -beheads),
		asm.FnXdpAdjustHead.Call(),
		asm.LoadMem(asm.R7, asm.R9, 0, asm.Word),
		asm.LoadMem(asm.R8, asm.R9, 4, asm.Word),
		asm.FnGetSmpProcessorId.Call(),
		asm.StoreMem(asm.RFP, -4, asm.R0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, turns.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.LoadMem(asm.R6, asm.R0, 0, asm.Word),
	}
	for i := range shots {
		code = append(code, shots[i].code(i, to)...)
	}
	code = append(code, asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol(label("shot", len(shots))),
		asm.Ja.Label("end"),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("out"),
		asm.Return().WithSymbol("end"))
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "Dual BSD/GPL", Instructions: code})
	if err != nil {
		return nil, fmt.Errorf("load the generator: %+v", err)
	}
	return p, nil
}

func newTurns() (*ebpf.Map, error) {
	return ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: uint32(runtime.NumCPU())})
}

// newGun makes a gun that sends into an interface, to a hardware address. Its
// program stays attached to an interface at which nothing arrives: the kernel
// would else make and drop its direct call to it around each test run, and wait
// for all processors each time.
func newGun(to string, mac net.HardwareAddr, shots []shot) (*gun, error) {
	end, err := net.InterfaceByName(to)
	if err != nil {
		return nil, err
	}
	held, err := net.InterfaceByName(gunLink)
	if err != nil {
		return nil, err
	}
	g := &gun{shots: shots, to: end.Index}
	for _, s := range shots {
		copy(s.frame, mac)
	}
	if g.turns, err = newTurns(); err != nil {
		return nil, err
	}
	if g.program, err = load(end.Index, shots, g.turns); err != nil {
		g.turns.Close()
		return nil, err
	}
	g.at, err = link.AttachXDP(link.XDPOptions{Program: g.program, Interface: held.Index, Flags: link.XDPGenericMode})
	if err != nil {
		g.program.Close()
		g.turns.Close()
		return nil, fmt.Errorf("hold the generator: %w", err)
	}
	return g, nil
}

func label(what string, i int) string { return fmt.Sprintf("%s%d", what, i) }

// code is the program's part for shot i. R6 is the shot that is wanted, R7 where
// the frame begins, R8 its end, R9 what was drawn; the stack holds the sums.
func (s shot) code(i, to int) asm.Instructions {
	code := asm.Instructions{
		asm.JNE.Imm(asm.R6, int32(i), label("shot", i+1)).WithSymbol(label("shot", i)),
		asm.Mov.Reg(asm.R2, asm.R7),
		asm.Add.Imm(asm.R2, int32(len(s.frame))),
		asm.JGT.Reg(asm.R2, asm.R8, "out"),
	}
	code = append(code, s.renew()...)
	slot := func(k int) int16 { return int16(-8 * (k + 1)) }
	for k, one := range s.sums {
		code = append(code,
			asm.Mov.Imm(asm.R1, int32(s.base(one))),
			asm.StoreMem(asm.RFP, slot(k), asm.R1, asm.DWord))
	}
	// Sums do not mind the order of bytes, so everything is in the machine's.
	for n, d := range s.drawn {
		if n%2 == 0 {
			code = append(code, asm.FnGetPrandomU32.Call(), asm.Mov.Reg(asm.R9, asm.R0))
		} else {
			code = append(code, asm.RSh.Imm(asm.R9, 16))
		}
		code = append(code, asm.Mov.Reg(asm.R1, asm.R9), asm.And.Imm(asm.R1, int32(native(d.mask))))
		if fixed := s.fixed(d); fixed != 0 {
			code = append(code, asm.Or.Imm(asm.R1, int32(fixed)))
		}
		code = append(code, asm.StoreMem(asm.R7, int16(d.at), asm.R1, asm.Half))
		for k, one := range s.sums {
			if one.covers(d.at) {
				code = append(code,
					asm.LoadMem(asm.R2, asm.RFP, slot(k), asm.DWord),
					asm.Add.Reg(asm.R2, asm.R1),
					asm.StoreMem(asm.RFP, slot(k), asm.R2, asm.DWord))
			}
		}
	}
	for k, one := range s.sums {
		code = append(code, asm.LoadMem(asm.R1, asm.RFP, slot(k), asm.DWord))
		for range 2 { // carries, and the carry of that
			code = append(code,
				asm.Mov.Reg(asm.R2, asm.R1),
				asm.RSh.Imm(asm.R2, 16),
				asm.And.Imm(asm.R1, 0xffff),
				asm.Add.Reg(asm.R1, asm.R2))
		}
		code = append(code, asm.Xor.Imm(asm.R1, 0xffff), asm.StoreMem(asm.R7, int16(one.at), asm.R1, asm.Half))
	}
	return append(code,
		asm.Mov.Imm(asm.R1, int32(to)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Ja.Label("end"))
}

// renew writes the beginning of the frame.
func (s shot) renew() (code asm.Instructions) {
	for at := 0; at < min(len(s.frame), renewed); {
		switch rest := s.frame[at:]; {
		case len(rest) >= 4:
			code = append(code, asm.StoreImm(asm.R7, int16(at), int64(int32(binary.NativeEndian.Uint32(rest))), asm.Word))
			at += 4
		default:
			code = append(code, asm.StoreImm(asm.R7, int16(at), int64(rest[0]), asm.Byte))
			at++
		}
	}
	return code
}

func (one sum) covers(at int) bool {
	for _, span := range one.spans {
		if at >= span[0] && at < span[1] {
			return true
		}
	}
	return false
}

// base is the sum of all that does not change, in the machine's order.
func (s shot) base(one sum) uint32 {
	n := uint32(^binary.NativeEndian.Uint16(s.frame[one.at:]))
	for _, d := range s.drawn {
		if one.covers(d.at) {
			n += uint32(^binary.NativeEndian.Uint16(s.frame[d.at:]))
		}
	}
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return n
}

// fixed are the bits of a field that are not drawn.
func (s shot) fixed(d draw) uint16 {
	return binary.NativeEndian.Uint16(s.frame[d.at:]) &^ native(d.mask)
}

func native(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

func (g *gun) Close() {
	g.at.Close()
	g.program.Close()
	g.turns.Close()
}

// fire sends at a rate, in packets a second, for a time, shot after shot, and
// returns how many frames it sent in what time. It works on one processor.
func (g *gun) fire(rate int, lasts time.Duration, cpu int) (sent int, took time.Duration, err error) {
	runtime.LockOSThread() // and the thread ends with the caller
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return 0, 0, err
	}
	// Else the kernel adds up to 50 us to each nap.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	forgone := 0
	for turn := 0; ; {
		took = time.Since(begin)
		if took >= lasts {
			return sent, took, nil
		}
		due := int(float64(rate)*took.Seconds()) - sent - forgone
		if due < least {
			nap := unix.NsecToTimespec(int64(tick))
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &nap, nil)
			continue
		}
		// What could not be sent for longer than 200 ms is not made up for: the
		// flood would come far above its rate.
		if late := due - rate/5; late > 0 {
			forgone += late
		}
		due = min(due, most)
		which := turn % len(g.shots)
		turn++
		if err := g.turns.Put(uint32(cpu), uint32(which)); err != nil {
			return sent, took, err
		}
		s := g.shots[which]
		in := struct{ Data, End, Meta, Ifindex, Queue, Egress uint32 }{End: uint32(len(s.frame) - beheads), Ifindex: uint32(g.to)}
		const live = 2 // BPF_F_TEST_XDP_LIVE_FRAMES
		_, err := g.program.Run(&ebpf.RunOptions{Data: s.frame[beheads:], Context: in, Repeat: uint32(due), Flags: live})
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return sent, took, fmt.Errorf("send frames: %w", err)
		}
		sent += due
	}
}

const (
	// tick is between looks at the clock, and so the length of a burst: shorter
	// ones cost more, for the kernel makes a new set of pages for each.
	tick  = 250 * time.Microsecond
	least = 64     // frames in a burst: what the kernel makes at a time
	most  = 2 * 64 // half of what a ring of the wire has room for

	xdpDrop = 1 // of enum xdp_action in linux/bpf.h
	xdpPass = 2
)
