package filter

import (
	"fmt"
	"time"
)

// Of enum xdp_action in linux/bpf.h.
const (
	xdpDrop = 1
	xdpPass = 2
)

// Try shows the program an Ethernet frame as if it had come in, and says
// whether it passes. It is counted like any other.
func (f *Filter) Try(frame []byte) (passes bool, err error) {
	passes, _, err = f.TryOften(frame, 1)
	return passes, err
}

// TryOften shows the program a frame many times and tells how long one run
// took.
func (f *Filter) TryOften(frame []byte, times int) (passes bool, each time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	verdict, each, err := f.program.Benchmark(frame, times, func() {})
	if err != nil {
		return false, 0, fmt.Errorf("show a packet to the filter: %w", err)
	}
	if verdict != xdpDrop && verdict != xdpPass {
		return false, 0, fmt.Errorf("the filter answers %d", verdict)
	}
	return verdict == xdpPass, each, nil
}
