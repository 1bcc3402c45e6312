package packets

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// Two network namespaces and one wire: the host, with one interface, and the
// world, where visitors and the servers that the host talks to are. The flood
// enters the wire at the world's end, where a router would have brought both
// together: an XDP redirect into that end puts a frame straight into the
// receive ring of the host's interface, the very ring in which visitors'
// packets wait. A namespace of its own for the flood, joined by a bridge or a
// router, would forward 1,000,000 packets a second in software, on the
// processors that the host needs, and lose visitors' packets before they reach
// the host. That would measure the bridge.
const (
	hostLink, worldLink = "swhost", "swworld"
	hostAddr, worldAddr = "198.18.0.1", "198.18.0.2"
	hostAddr6           = "2001:db8::1"
	worldAddr6          = "2001:db8::2"

	// Whose addresses visitors have: 64 networks of 256, and 16,384 /48s.
	visitors4, visitors6 = "198.18.64.0/18", "2001:db8:4000::/34"

	// gunLink is where the generator's program is held.
	gunLink = "swgun"
)

// spaces are the names of the two namespaces.
type spaces struct{ host, world string }

// newSpaces makes them and the wire; they are removed with the test.
func newSpaces(t testing.TB) spaces {
	t.Helper()
	s := spaces{fmt.Sprintf("sw%dh", os.Getpid()), fmt.Sprintf("sw%dw", os.Getpid())}
	s.removeOnSignal(t)
	for _, ns := range []string{s.host, s.world} {
		ip(t, "netns", "add", ns)
		t.Cleanup(func() { ip(t, "netns", "del", ns) })
		ip(t, "-n", ns, "link", "set", "lo", "up")
	}
	// A queue for each processor that floods, as a network card has, and so a
	// ring: visitors' packets are spread over the very same, and half of the flood
	// is in each.
	queues := strconv.Itoa(guns)
	ip(t, "link", "add", hostLink, "netns", s.host, "numrxqueues", queues, "numtxqueues", queues, "type", "veth",
		"peer", "name", worldLink, "netns", s.world, "numrxqueues", queues, "numtxqueues", queues)
	for _, end := range [][4]string{{s.host, hostLink, hostAddr, hostAddr6}, {s.world, worldLink, worldAddr, worldAddr6}} {
		ip(t, "-n", end[0], "addr", "add", end[2]+"/30", "dev", end[1])
		ip(t, "-n", end[0], "addr", "add", end[3]+"/64", "dev", end[1], "nodad")
		ip(t, "-n", end[0], "link", "set", end[1], "up")
	}
	ip(t, "-n", s.host, "route", "add", "default", "via", worldAddr)
	ip(t, "-n", s.host, "route", "add", "default", "via", worldAddr6)
	ip(t, "-n", s.world, "route", "add", "local", visitors4, "dev", "lo")
	ip(t, "-n", s.world, "route", "add", "local", visitors6, "dev", "lo")
	ip(t, "-n", s.world, "link", "add", gunLink, "type", "veth", "peer", "name", gunLink+"peer")
	return s
}

// removeOnSignal removes them, and ends what runs in them, when the test is
// interrupted or nobody reads what it prints; no cleanup runs then.
func (s spaces) removeOnSignal(t testing.TB) {
	asked, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(asked, os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	t.Cleanup(func() { signal.Stop(asked); close(over) })
	go func() {
		select {
		case <-asked:
			for _, ns := range []string{s.host, s.world} {
				pids, _ := exec.Command("ip", "netns", "pids", ns).Output()
				for _, text := range strings.Fields(string(pids)) {
					if pid, err := strconv.Atoi(text); err == nil {
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
				_ = exec.Command("ip", "netns", "del", ns).Run()
			}
			os.Exit(1)
		case <-over:
		}
	}()
}

func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// Where a frame has its addresses.
const (
	source4, source6 = 26, 22
	dest4, dest6     = 30, 38
)

// known lets through frames in which an address is that of a visitor or a
// server of ours, and what is not IP; it drops the others. The host's end with
// it is a filter that knows who is who: the best that could be done on this
// machine. The world's end always has it, so that answers to the spoofed cost
// no more than on a real wire, where they leave the machine.
func known(at4, at6 int16) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R7, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R8, asm.R1, 4, asm.Word),
		asm.Mov.Reg(asm.R2, asm.R7),
		asm.Add.Imm(asm.R2, 54), // the shortest TCP over IPv4; shorter is ARP and the like
		asm.JGT.Reg(asm.R2, asm.R8, "pass"),
		asm.LoadMem(asm.R3, asm.R7, 12, asm.Half),
		asm.HostTo(asm.BE, asm.R3, asm.Half),
		asm.JEq.Imm(asm.R3, 0x86dd, "six"),
		asm.JNE.Imm(asm.R3, 0x0800, "pass"),
		asm.LoadMem(asm.R3, asm.R7, at4, asm.Word),
		asm.HostTo(asm.BE, asm.R3, asm.Word),
		asm.RSh.Imm(asm.R3, 15),
		asm.JEq.Imm(asm.R3, (198<<24|18<<16)>>15, "pass"),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("drop"),
		asm.Return(),
		asm.LoadMem(asm.R3, asm.R7, at6+4, asm.Byte).WithSymbol("six"),
		asm.LoadMem(asm.R4, asm.R7, at6, asm.Byte),
		asm.JNE.Imm(asm.R4, 0x20, "pass"), // link-local addresses and groups
		asm.JGE.Imm(asm.R3, 0x80, "drop"),
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"),
		asm.Return(),
	}
}

// attach puts a program at an interface of this process's namespace.
func attach(name string, code asm.Instructions) (detach func(), err error) {
	end, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "Dual BSD/GPL", Instructions: code})
	if err != nil {
		return nil, fmt.Errorf("%+v", err)
	}
	defer p.Close()
	l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: end.Index, Flags: link.XDPDriverMode})
	if err != nil {
		return nil, err
	}
	return func() { l.Close() }, nil
}
