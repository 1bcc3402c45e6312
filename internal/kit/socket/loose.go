package socket

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrWait says that a Loose would have to wait.
var ErrWait = errors.New("socket: nothing can be done without waiting")

// Loose is a TCP connection that package net no longer waits for: its reads and writes
// never wait, and whoever has many of them learns from a Poller which of them are worth
// reading. One goroutine at a time uses it.
type Loose struct{ fd int }

// Loosen takes a connection away from package net. c is of no use afterwards, unless it
// fails. Whoever waits in c is woken, as by Close.
func Loosen(c *Conn) (l Loose, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return l, err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		l.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return l, err
	}
	if failed != nil {
		return l, failed
	}
	_ = c.Close() // whatever it says, c is closed
	return l, nil
}

// Bind gives the connection back to package net, which sets its own options for keeping
// it alive. It takes another descriptor for a moment. It fails also where the other end
// has broken off. l is of no use afterwards, whether it fails or not.
func (l Loose) Bind() (*Conn, error) {
	f := os.NewFile(uintptr(l.fd), "")
	if f == nil {
		return nil, syscall.EBADF
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	t, ok := c.(*net.TCPConn)
	if err = syscall.ENOTCONN; ok && t.RemoteAddr() != nil {
		var s *Conn
		if s, err = New(t); err == nil {
			return s, nil
		}
	}
	_ = c.Close()
	return nil, err
}

// Read reads what is there. It returns 0 and no error at the end, and ErrWait where
// nothing has come.
func (l Loose) Read(p []byte) (int, error) { return tried(receive, l.fd, p) }

// Write writes what there is room for, and ErrWait where there is none.
func (l Loose) Write(p []byte) (int, error) { return tried(send, l.fd, p) }

func tried(do func(uintptr, []byte) (int, syscall.Errno), fd int, p []byte) (int, error) {
	for {
		switch n, errs := do(uintptr(fd), p); errs {
		case 0:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, ErrWait
		default:
			return 0, errs
		}
	}
}

// Interrupt has a Poller return the connection, and Read return the end once all that
// has come was read, later bytes among it. It may be called from any goroutine, but not
// after Close or Bind.
func (l Loose) Interrupt() error { return syscall.Shutdown(l.fd, syscall.SHUT_RD) }

// Forget has Close forget at once what was not sent yet, and tell the other end so.
func (l Loose) Forget() error {
	return syscall.SetsockoptLinger(l.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
}

// Close closes the connection.
func (l Loose) Close() error { return syscall.Close(l.fd) }
