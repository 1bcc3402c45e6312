package filter

import (
	"math/bits"
	"os"
	"strconv"
	"strings"
)

// windowScale is by how much the kernel scales the window of a new connection:
// so that the largest that may be offered fits 16 bits (tcp_select_initial_window
// in net/ipv4/tcp_output.c). A cookie has no room for it; the kernel reckons it
// anew when the cookie comes back, so that it must be reckoned the same here.
func windowScale() uint8 {
	rmem := number("/proc/sys/net/ipv4/tcp_rmem", 2, 6<<20)
	space := max(rmem, number("/proc/sys/net/core/rmem_max", 0, 212992))
	return uint8(min(max(bits.Len64(space)-1-15, 0), 14))
}

// number reads the nth number of a file of the kernel's.
func number(path string, nth int, otherwise uint64) uint64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return otherwise
	}
	fields := strings.Fields(string(text))
	if nth >= len(fields) {
		return otherwise
	}
	n, err := strconv.ParseUint(fields[nth], 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}
