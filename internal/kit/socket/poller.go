package socket

import (
	"errors"
	"os"
	"syscall"
)

// Poller waits for many Loose ones at a time. Add, Remove and Close may be called from
// any goroutine, Wait from one at a time.
//
// It has a set of connections, and a gate with nothing in it but that set, which is
// what the runtime watches. The gate is open while Wait waits. Else each connection
// that has something to say would wake the runtime, which then finds nobody who waits
// for it.
type Poller struct {
	gate, set     *os.File
	atGate, inSet syscall.RawConn
	inside        int // descriptor of set, for who holds atGate: Close waits for that
	try           func(gate uintptr) bool
	look          func(set uintptr)
	opened        bool // by this Wait
	passed        [1]syscall.EpollEvent
	events        []syscall.EpollEvent
	ready         []int
	failed        error
}

// NewPoller makes a Poller that returns at most so many at a time.
func NewPoller(most int) (*Poller, error) {
	p := &Poller{events: make([]syscall.EpollEvent, most), ready: make([]int, 0, most)}
	p.try, p.look = p.pass, p.collect
	var err error
	if p.set, p.inSet, err = newEpoll(false); err != nil {
		return nil, err
	}
	// Package os has the runtime wait for it among all else that it waits for: then
	// Wait keeps no thread.
	if p.gate, p.atGate, err = newEpoll(true); err != nil {
		return nil, errors.Join(err, p.set.Close())
	}
	if err := p.inSet.Control(func(fd uintptr) { p.inside = int(fd) }); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if err := control(p.atGate, syscall.EPOLL_CTL_ADD, p.inside, &syscall.EpollEvent{}); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// newEpoll makes a set of descriptors, which the runtime may watch itself.
func newEpoll(watched bool) (*os.File, syscall.RawConn, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, nil, err
	}
	if err := syscall.SetNonblock(fd, watched); err != nil {
		_ = syscall.Close(fd)
		return nil, nil, err
	}
	file := os.NewFile(uintptr(fd), "poller")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, raw, nil
}

// control changes what a set says of a descriptor.
func control(set syscall.RawConn, op, of int, e *syscall.EpollEvent) error {
	var failed error
	if err := set.Control(func(fd uintptr) { failed = syscall.EpollCtl(int(fd), op, of, e) }); err != nil {
		return err
	}
	return failed
}

// Add has Wait return l by its key, as long as there is something to be read or it has
// ended.
func (p *Poller) Add(l Loose, key int) error {
	return control(p.inSet, syscall.EPOLL_CTL_ADD, l.fd,
		&syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: int32(key)})
}

// Remove takes Add back. To close l is not enough: the kernel goes on watching as long
// as a copy of the descriptor is open somewhere, as it is in a child that is just being
// made.
func (p *Poller) Remove(l Loose) error {
	return control(p.inSet, syscall.EPOLL_CTL_DEL, l.fd, nil)
}

// Wait returns the keys of some that are to be read, once there are any. What it returns
// is valid until it is called again. After Close it returns os.ErrClosed.
//
// Where there always are some, the caller keeps its processor, and the runtime looks for
// what others wait for only now and then: with yield, it does so first.
func (p *Poller) Wait(yield bool) ([]int, error) {
	p.ready, p.failed, p.opened = p.ready[:0], nil, false
	if !yield {
		if p.inSet.Control(p.look) != nil {
			return nil, os.ErrClosed
		}
		if len(p.ready) > 0 || p.failed != nil {
			return p.ready, p.failed
		}
	}
	if p.atGate.Read(p.try) != nil { // there are no deadlines, so that it was closed
		return nil, os.ErrClosed
	}
	return p.ready, p.failed
}

// pass opens the gate at first and says that there is something to wait for, and then
// whether that has come. It leaves the gate shut and empty: opened with something in
// it, the kernel would not tell of that.
func (p *Poller) pass(gate uintptr) bool {
	if p.opened {
		// What comes through shuts the gate after it.
		n, _ := epoll(gate, p.passed[:])
		p.collect(uintptr(p.inside))
		if len(p.ready) > 0 || p.failed != nil {
			if n != 1 { // it came a moment later
				_ = syscall.EpollCtl(int(gate), syscall.EPOLL_CTL_MOD, p.inside, &syscall.EpollEvent{})
				_, _ = epoll(gate, p.passed[:])
			}
			return true
		}
	}
	p.opened = true
	p.failed = syscall.EpollCtl(int(gate), syscall.EPOLL_CTL_MOD, p.inside,
		&syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT})
	return p.failed != nil
}

// collect finds out who is to be read now.
func (p *Poller) collect(set uintptr) {
	n, errs := epoll(set, p.events)
	if errs != 0 && errs != syscall.EINTR {
		p.failed = errs
		return
	}
	for i := range n {
		p.ready = append(p.ready, int(p.events[i].Fd))
	}
}

// Close ends Wait.
func (p *Poller) Close() error { return errors.Join(p.gate.Close(), p.set.Close()) }
