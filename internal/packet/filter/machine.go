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

// forwards says whether this machine forwards packets, as one with containers
// does: then some that come in are not for its own sockets.
func forwards() bool {
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		if number(path, 0, 0) != 0 {
			return true
		}
	}
	return false
}

// Adapt has the program know what has changed of the machine since it was
// loaded.
func (f *Filter) Adapt() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.set
	s.onlyHost, s.scale = !forwards(), windowScale()
	if s == f.set {
		return nil
	}
	return f.load(s)
}
