//go:build !race

package socket

import (
	"syscall"
	"unsafe"
)

func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errs := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
	return int(n), errs
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errs := syscall.RawSyscall6(syscall.SYS_SENDTO, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errs
}

func epoll(fd uintptr, events []syscall.EpollEvent) (int, syscall.Errno) {
	n, _, errs := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return int(n), errs
}
