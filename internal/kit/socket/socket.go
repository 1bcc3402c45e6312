package socket

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// Conn is a TCP connection. One goroutine reads at a time, and one writes.
type Conn struct {
	*net.TCPConn
	raw syscall.RawConn
	in  half
	out half
}

// half is what a call that is under way works on.
type half struct {
	p    []byte
	n    int // bytes done
	errs syscall.Errno
	try  func(fd uintptr) bool
}

// New makes c cheaper to use. c itself may be used as well, for all but Read and Write.
func New(c *net.TCPConn) (*Conn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &Conn{TCPConn: c, raw: raw}
	s.in.try, s.out.try = s.in.receive, s.out.send
	return s, nil
}

// Read reads what is there, or waits for the first of it.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.in.p, c.in.n, c.in.errs = p, 0, 0
	err := c.raw.Read(c.in.try)
	n, errs := c.in.n, c.in.errs
	c.in.p = nil
	switch {
	case err != nil:
		return 0, c.failed("read", err)
	case errs != 0:
		return 0, c.failed("read", errs)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write writes all of p, or says why it could not.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.out.p, c.out.n, c.out.errs = p, 0, 0
	err := c.raw.Write(c.out.try)
	n, errs := c.out.n, c.out.errs
	c.out.p = nil
	switch {
	case err != nil:
		return n, c.failed("write", err)
	case errs != 0:
		return n, c.failed("write", errs)
	}
	return n, nil
}

// failed is err as package net would put it.
func (c *Conn) failed(op string, err error) error {
	if o := (*net.OpError)(nil); errors.As(err, &o) {
		o.Op = op
		return o
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// receive says whether there is no need to wait any longer.
func (h *half) receive(fd uintptr) bool {
	for {
		switch n, errs := receive(fd, h.p); errs {
		case 0:
			h.n = n
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			h.errs = errs
			return true
		}
	}
}

// send says so of what is left to be sent.
func (h *half) send(fd uintptr) bool {
	for h.n < len(h.p) {
		switch n, errs := send(fd, h.p[h.n:]); errs {
		case 0:
			h.n += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			h.errs = errs
			return true
		}
	}
	return true
}
