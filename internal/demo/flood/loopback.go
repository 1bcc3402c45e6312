package flood

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// ErrNotLoopback says that a target lies outside this machine.
var ErrNotLoopback = errors.New("not a loopback address; this tool floods nothing but its own machine")

// Resolve turns "host:port" into an address to connect to. Every address that
// the name has must be loopback: a name that also leads elsewhere is refused.
// The caller connects to what is returned and never resolves again.
func Resolve(ctx context.Context, target string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("target %q: %w", target, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, fmt.Errorf("target %q has no port number", target)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("target %q: %w", target, err)
	}
	return onlyLoopback(target, addrs, uint16(n))
}

func onlyLoopback(target string, addrs []netip.Addr, port uint16) (netip.AddrPort, error) {
	if len(addrs) == 0 {
		return netip.AddrPort{}, fmt.Errorf("target %q has no address", target)
	}
	for _, a := range addrs {
		if !a.Unmap().IsLoopback() {
			return netip.AddrPort{}, fmt.Errorf("target %q leads to %v: %w", target, a, ErrNotLoopback)
		}
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), port), nil
}
