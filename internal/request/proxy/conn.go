package proxy

import (
	"bufio"
	"net"
	"syscall"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/socket"
)

// connBuffer is the size of a connection's two buffers.
const connBuffer = 4 << 10

// conn is one connection to an origin. One exchange owns it at a time; while a
// body is being sent, its writing side belongs to the sending goroutine.
type conn struct {
	net.Conn
	from    *backend
	br      *bufio.Reader
	bw      *bufio.Writer
	scratch []byte // for heads and trailers

	// beforeRead runs before the origin is waited for, so that what the client
	// has not been sent yet goes out first.
	beforeRead func()
	used       bool // it has carried an exchange before
	idleAt     clock.Instant
	keep       time.Duration // how long it may be idle

	raw   syscall.RawConn // nil where the state of the socket cannot be asked
	probe func(fd uintptr) bool
	live  bool // probe's result
}

func newConn(nc net.Conn, from *backend) *conn {
	if t, ok := nc.(*net.TCPConn); ok {
		if s, err := socket.New(t); err == nil {
			nc = s
		}
	}
	c := &conn{Conn: nc, from: from}
	c.br = bufio.NewReaderSize(hooked{c}, connBuffer)
	c.bw = bufio.NewWriterSize(nc, connBuffer)
	under := nc
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		under = t.NetConn()
	}
	if s, ok := under.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn()
	}
	c.probe = func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		c.live = err == syscall.EAGAIN
		return true
	}
	return c
}

// hooked is a conn's reading side with beforeRead.
type hooked struct{ c *conn }

func (h hooked) Read(p []byte) (int, error) {
	if h.c.beforeRead != nil {
		h.c.beforeRead()
	}
	return h.c.Conn.Read(p)
}

// alive asks the kernel whether an idle connection is still open and silent.
// An origin that closed it, or sent something unasked, fails the test; so
// nothing is sent into a connection that is known to be lost. It costs one
// system call.
func (c *conn) alive() bool {
	if c.br.Buffered() > 0 {
		return false
	}
	if c.raw == nil {
		return true
	}
	c.live = false
	return c.raw.Read(c.probe) == nil && c.live
}

// closeWrite ends the writing side and leaves the other open.
func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}
