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
	in, out half
	probe   func(fd uintptr) bool
	byte    [1]byte // for probe
	silent  bool    // what probe found
}

// half is one direction, and the call in it that is under way.
type half struct {
	call func(try func(fd uintptr) bool) error // try, and again whenever the socket is ready
	try  func(fd uintptr) bool
	p    []byte
	n    int // bytes done
	errs syscall.Errno
}

// New makes c cheaper to use. c itself may be used as well, for all but Read and Write.
func New(c *net.TCPConn) (*Conn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &Conn{TCPConn: c}
	s.in.call, s.in.try = raw.Read, s.in.receive
	s.out.call, s.out.try = raw.Write, s.out.send
	s.probe = func(fd uintptr) bool {
		_, errs := receive(fd, s.byte[:])
		s.silent = errs == syscall.EAGAIN
		return true
	}
	return s, nil
}

// Silent says whether the connection is open and nothing has come that was not read.
// Where it returns false, some of what came may be lost. It is a Read that never waits,
// and costs one system call.
func (c *Conn) Silent() bool {
	c.silent = false
	return c.in.call(c.probe) == nil && c.silent
}

// Read reads what is there, or waits for the first of it.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.run(p)
	switch {
	case err != nil:
		return 0, c.failed("read", err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write writes all of p, or says why it could not.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.run(p)
	if err != nil {
		err = c.failed("write", err)
	}
	return n, err
}

// run moves bytes from or to p.
func (h *half) run(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	h.p, h.n, h.errs = p, 0, 0
	err := h.call(h.try)
	h.p = nil
	if err == nil && h.errs != 0 {
		err = h.errs
	}
	return h.n, err
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
