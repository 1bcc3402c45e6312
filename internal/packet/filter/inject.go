package filter

import (
	"bytes"
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const xdpTx = 3

// place is struct xdp_md of linux/bpf.h: where a packet is said to have come in.
type place struct {
	Data, End, Meta, In, Queue, Out uint32
}

// Inject lets frames come in at an interface as if they had arrived there: they
// meet the program, and what passes goes on to the kernel, its firewall and its
// sockets.
func (f *Filter) Inject(at *net.Interface, frame []byte, times uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.program.Run(&ebpf.RunOptions{
		Data: frame, Repeat: times, Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES,
		Context: place{End: uint32(len(frame)), In: uint32(at.Index)},
	})
	if err != nil {
		return fmt.Errorf("let a packet come in at %s: %w", at.Name, err)
	}
	return nil
}

// Answer shows the program a frame as if it had come in at an interface, and
// returns what it would send back; nil if nothing.
func (f *Filter) Answer(at *net.Interface, frame []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]byte, len(frame)+256)
	o := ebpf.RunOptions{Data: frame, DataOut: out, Context: place{End: uint32(len(frame)), In: uint32(at.Index)}}
	verdict, err := f.program.Run(&o)
	if err != nil {
		return nil, fmt.Errorf("show a packet to the filter: %w", err)
	}
	switch verdict {
	case xdpTx:
		return bytes.Clone(o.DataOut), nil
	case xdpDrop, xdpPass:
		return nil, nil
	}
	return nil, fmt.Errorf("the filter answers %d", verdict)
}
