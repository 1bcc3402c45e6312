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
	fields  fields // room for those of an answer

	reads  *exchange // is told before the origin is waited for; nil nobody
	idleAt clock.Instant
	keep   time.Duration // how long it may be idle

	silent func() bool // nil where the state of the socket cannot be asked
}

func newConn(nc net.Conn, from *backend) *conn {
	c := &conn{Conn: nc, from: from}
	under := nc
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		under = t.NetConn()
	}
	if t, ok := under.(*net.TCPConn); ok {
		if s, err := socket.New(t); err == nil {
			if c.silent = s.Silent; under == nc {
				c.Conn, nc = s, s
			}
		}
	} else if s, ok := under.(syscall.Conn); ok {
		c.silent = silence(s)
	}
	c.br = bufio.NewReaderSize(hooked{c}, connBuffer)
	c.bw = bufio.NewWriterSize(nc, connBuffer)
	return c
}

// silence makes what socket.Conn.Silent is, for what is no TCP.
func silence(s syscall.Conn) func() bool {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return func() bool {
		live := false
		err := raw.Read(func(fd uintptr) bool {
			var b [1]byte
			_, err := syscall.Read(int(fd), b[:])
			live = err == syscall.EAGAIN
			return true
		})
		return err == nil && live
	}
}

// hooked is a conn's reading side with reads.
type hooked struct{ c *conn }

func (h hooked) Read(p []byte) (int, error) {
	if x := h.c.reads; x != nil {
		x.beforeRead(h.c)
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
	return c.silent == nil || c.silent()
}

// closeWrite ends the writing side and leaves the other open.
func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}
