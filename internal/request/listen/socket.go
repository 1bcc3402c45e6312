package listen

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentAtMost bounds what the kernel takes from us for a client before it has
// sent it. Without it a client that reads slowly can hold megabytes each.
const unsentAtMost = 128 << 10

// socketOptions are set at the listening socket, from which Linux copies them
// to every accepted one: five system calls less per connection.
func socketOptions(_, _ string, rc syscall.RawConn) error {
	var err error
	if e := rc.Control(func(fd uintptr) {
		s := int(fd)
		err = errors.Join(
			unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
			unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60), // seconds
			unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15),
			unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4),
			unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentAtMost),
		)
	}); e != nil {
		return e
	}
	return err
}

// sharePort lets another process have a socket on the same port.
func sharePort(_, _ string, rc syscall.RawConn) error {
	var err error
	if e := rc.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); e != nil {
		return e
	}
	return err
}

// sendQueue returns how many bytes the client has not yet acknowledged.
func sendQueue(t *net.TCPConn) (n int) {
	rc, err := t.SyscallConn()
	if err != nil {
		return 0
	}
	_ = rc.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	return n
}

// hungUp says whether the client has ended its side, or broken off.
func hungUp(t *net.TCPConn) (gone bool) {
	rc, err := t.SyscallConn()
	if err != nil {
		return false
	}
	_ = rc.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(p, 0)
		gone = err == nil && n > 0 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone
}
