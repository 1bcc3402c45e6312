package admit

import (
	"syscall"
	"unsafe"
)

const (
	hugePage     = 2 << 20
	madvHugepage = 14 // MADV_HUGEPAGE of madvise(2)
)

// huge asks the kernel for large pages under a table, where there are whole
// ones: look-ups land anywhere in it, and with small pages most of them also
// wait for the page table (measured with a million clients: a tenth of a
// decision). The kernel may refuse; nothing depends on it.
func huge[C any](sets []set[C]) {
	p := unsafe.Pointer(unsafe.SliceData(sets))
	size := uintptr(len(sets)) * unsafe.Sizeof(set[C]{})
	skip := -uintptr(p) % hugePage
	if size < skip+hugePage {
		return
	}
	whole := (size - skip) / hugePage * hugePage
	_ = syscall.Madvise(unsafe.Slice((*byte)(unsafe.Add(p, skip)), whole), madvHugepage)
}
