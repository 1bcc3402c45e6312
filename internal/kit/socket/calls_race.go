//go:build race

package socket

import "syscall"

// The race detector takes what is written to one socket and read from another for an
// order of events, which it sees in these two only.

func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Read(int(fd), p)
	return max(n, 0), number(err)
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Write(int(fd), p)
	return max(n, 0), number(err)
}

func epoll(fd uintptr, events []syscall.EpollEvent) (int, syscall.Errno) {
	n, err := syscall.EpollWait(int(fd), events, 0)
	return max(n, 0), number(err)
}

func number(err error) syscall.Errno {
	e, _ := err.(syscall.Errno)
	return e
}
