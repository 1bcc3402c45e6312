package storm

import (
	"errors"
	"fmt"
	"net/netip"
)

// ErrNotLoopback says that a target lies outside this machine.
var ErrNotLoopback = errors.New("not a loopback address: attacks stay on their own machine")

// Target is what is attacked.
type Target struct {
	Clear  netip.AddrPort // HTTP
	Secure netip.AddrPort // HTTPS
	QUIC   netip.AddrPort // HTTP/3
	Host   string

	Page   string // a path with a small answer
	Large  string // a path with an answer of megabytes
	Sink   string // a path that takes bodies
	Socket string // a path that becomes a WebSocket
	Hidden string // a path that nobody honest asks for: what is smuggled
}

// check refuses whatever is not loopback.
func (t Target) check() error {
	for _, a := range []netip.AddrPort{t.Clear, t.Secure, t.QUIC} {
		if a.IsValid() && !a.Addr().Unmap().IsLoopback() {
			return fmt.Errorf("attack %v: %w", a, ErrNotLoopback)
		}
	}
	return nil
}

// source returns the address that connection n comes from: four million of them,
// hardly ever two in a row of the same /24.
func source(n uint64) netip.Addr {
	k := n * 2654435761 % (1 << 22) // odd, so that all are met
	return netip.AddrFrom4([4]byte{127, 64 | byte(k>>16), byte(k >> 8), byte(k)})
}
