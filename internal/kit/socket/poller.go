package socket

import (
	"os"
	"syscall"
)

// Poller waits for many Loose ones at a time. Add, Remove and Close may be called from
// any goroutine, Wait from one at a time.
type Poller struct {
	file   *os.File
	raw    syscall.RawConn
	events []syscall.EpollEvent
	ready  []int
	try    func(fd uintptr) bool
	failed error
}

// NewPoller makes a Poller that returns at most so many at a time.
func NewPoller(most int) (*Poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	// Package os has the runtime wait for it among all else that it waits for: then
	// Wait keeps no thread.
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	p := &Poller{file: os.NewFile(uintptr(fd), "poller"), events: make([]syscall.EpollEvent, most), ready: make([]int, 0, most)}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	p.try = p.collect
	return p, nil
}

// Add has Wait return l by its key, as long as there is something to be read or it has
// ended.
func (p *Poller) Add(l Loose, key int) error {
	var failed error
	err := p.raw.Control(func(fd uintptr) {
		e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: int32(key)}
		failed = syscall.EpollCtl(int(fd), syscall.EPOLL_CTL_ADD, l.fd, &e)
	})
	if err != nil {
		return err
	}
	return failed
}

// Remove takes Add back. To close l is not enough: the kernel goes on watching as long
// as a copy of the descriptor is open somewhere, as it is in a child that is just being
// made.
func (p *Poller) Remove(l Loose) error {
	var failed error
	err := p.raw.Control(func(fd uintptr) {
		failed = syscall.EpollCtl(int(fd), syscall.EPOLL_CTL_DEL, l.fd, nil)
	})
	if err != nil {
		return err
	}
	return failed
}

// Wait returns the keys of some that are to be read, once there are any. What it returns
// is valid until it is called again. After Close it returns os.ErrClosed.
func (p *Poller) Wait() ([]int, error) {
	if p.raw.Read(p.try) != nil { // there are no deadlines, so that it was closed
		return nil, os.ErrClosed
	}
	return p.ready, p.failed
}

// collect says whether there is no need to wait any longer.
func (p *Poller) collect(fd uintptr) bool {
	n, errs := epoll(fd, p.events)
	p.ready, p.failed = p.ready[:0], nil
	if errs != 0 && errs != syscall.EINTR {
		p.failed = errs
		return true
	}
	for i := range n {
		p.ready = append(p.ready, int(p.events[i].Fd))
	}
	return n > 0
}

// Close ends Wait.
func (p *Poller) Close() error { return p.file.Close() }
