package socket

import (
	"io"
	"syscall"
)

// pipeSize is what a pipe is asked to hold. Where the kernel grants less, it holds 64 KiB.
const pipeSize = 256 << 10

// Flags of splice(2).
const (
	spliceMove     = 1
	spliceNonblock = 2
)

// Pipe carries bytes from one connection to another without bringing them here
// (splice(2)). Its owner is one goroutine at a time, which is also the one that reads
// the one connection and writes the other.
type Pipe struct {
	r, w int
	held int // bytes in it

	from, to moving
}

// moving is a call of splice under way.
type moving struct {
	try  func(fd uintptr) bool
	most int
	n    int
	errs error
}

// NewPipe makes an empty pipe, which takes two descriptors.
func NewPipe() (*Pipe, error) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return nil, err
	}
	p := &Pipe{r: fds[0], w: fds[1]}
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(p.w), syscall.F_SETPIPE_SZ, pipeSize)
	p.from.try, p.to.try = p.fill, p.drain
	return p, nil
}

// Close gives the descriptors back, and loses what the pipe holds.
func (p *Pipe) Close() {
	_ = syscall.Close(p.r)
	_ = syscall.Close(p.w)
}

// Held is how many bytes are in the pipe.
func (p *Pipe) Held() int { return p.held }

// Fill takes what c has received into the empty pipe, at most so many bytes, or waits
// for the first of it. It returns io.EOF where c ended.
func (p *Pipe) Fill(c *Conn, most int) (int, error) {
	p.from.most, p.from.n, p.from.errs = most, 0, nil
	err := c.in.call(p.from.try)
	if err == nil {
		err = p.from.errs
	}
	switch {
	case err != nil:
		return 0, c.failed("read", err)
	case p.from.n == 0:
		return 0, io.EOF
	}
	p.held = p.from.n
	return p.held, nil
}

// Empty sends all that the pipe holds to c, and returns how much of it went.
func (p *Pipe) Empty(c *Conn) (int, error) {
	p.to.n, p.to.errs = 0, nil
	err := c.out.call(p.to.try)
	if err == nil {
		err = p.to.errs
	}
	if err != nil {
		err = c.failed("write", err)
	}
	return p.to.n, err
}

func (p *Pipe) fill(fd uintptr) bool {
	for {
		switch n, err := syscall.Splice(int(fd), nil, p.w, nil, p.from.most, spliceMove|spliceNonblock); err {
		case nil:
			p.from.n = int(n)
			return true
		case syscall.EINTR:
		case syscall.EAGAIN: // the pipe is empty, so it is the connection that is
			return false
		default:
			p.from.errs = err
			return true
		}
	}
}

func (p *Pipe) drain(fd uintptr) bool {
	for p.held > 0 {
		switch n, err := syscall.Splice(p.r, nil, int(fd), nil, p.held, spliceMove|spliceNonblock); err {
		case nil:
			p.held -= int(n)
			p.to.n += int(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			p.to.errs = err
			return true
		}
	}
	return true
}
