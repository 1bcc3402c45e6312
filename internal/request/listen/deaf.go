package listen

import (
	"net"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A socket that is closed resets what the kernel has connected and nobody has
// accepted yet: that client believed that it was connected. Before it closes, it is
// therefore made deaf to those who begin, and what the kernel has connected is accepted.
// Who is not heard sends again in a second, and is then told that nobody listens. Only
// whose handshake takes longer than the looks below may still be reset.
const (
	hushStep = 2 * time.Millisecond
	hushMost = 200 * time.Millisecond
)

// hush needs mu. It is for sockets that this process has bound: one that came with it
// may be the service manager's as well, and go on to the next process.
func (s *Server) hush() {
	var deaf []*net.TCPListener
	for _, l := range s.bound {
		if deafen(l) == nil {
			deaf = append(deaf, l)
		}
	}
	empty := 0 // looks in a row: a handshake may just be ending
	for waited := time.Duration(0); len(deaf) > 0 && empty < 2 && waited < hushMost; waited += hushStep {
		time.Sleep(hushStep)
		empty++
		for _, l := range deaf {
			if queued(l) > 0 {
				empty = 0
			}
		}
	}
}

// toBegin is a filter that drops segments with SYN and without ACK. A filter of a TCP
// socket sees them from their TCP header on; its byte 13 has the flags (RFC 9293, 3.1).
var toBegin = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 13, Size: 1},
	bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x12},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x02, SkipFalse: 1},
	bpf.RetConstant{Val: 0},
	bpf.RetConstant{Val: 0xffffffff},
}

// deafen has the kernel drop what begins a connection.
func deafen(l *net.TCPListener) error {
	raw, err := bpf.Assemble(toBegin)
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	rc, err := l.SyscallConn()
	if err != nil {
		return err
	}
	if e := rc.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
	}); e != nil {
		err = e
	}
	return err
}

// queued is how many connections wait to be accepted (tcp_info's tcpi_unacked means
// that for a listening socket: net/ipv4/tcp.c, tcp_get_info).
func queued(l *net.TCPListener) (n int) {
	rc, err := l.SyscallConn()
	if err != nil {
		return 0
	}
	_ = rc.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = int(info.Unacked)
		}
	})
	return n
}
