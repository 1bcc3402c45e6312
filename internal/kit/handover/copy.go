package handover

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Copy returns another descriptor of a socket, under a name. The socket lives until
// all are closed, and stays as it is: nobody who uses it notices.
func Copy(c syscall.Conn, name string) (*os.File, error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("copy socket %s: %w", name, err)
	}
	fd := -1
	if e := rc.Control(func(from uintptr) {
		fd, err = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0)
	}); e != nil {
		err = e
	}
	if err != nil {
		return nil, fmt.Errorf("copy socket %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
