package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf/link"
)

// KeepAttached detaches what an earlier process has left attached, except at the
// interfaces that have these names now, where Attach takes it over. An interface
// may have been renamed since, or its name be another's.
func (f *Filter) KeepAttached(names []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pins == "" {
		return nil
	}
	left, err := os.ReadDir(f.pins)
	if err != nil {
		return fmt.Errorf("look for what an earlier packet filter is attached to: %w", err)
	}
	var errs []error
	for _, e := range left {
		rest, ok := strings.CutPrefix(e.Name(), linkPrefix)
		_, name, _ := strings.Cut(rest, "-")
		path := filepath.Join(f.pins, e.Name())
		if !ok || f.links[name] != nil || slices.Contains(names, name) && isAt(path, name) {
			continue
		}
		if err := removeLink(path); err != nil {
			errs = append(errs, fmt.Errorf("detach an earlier packet filter from %s: %w; `rm %s` ends it", name, err, path))
		}
	}
	return errors.Join(errs...)
}

// isAt says whether a pinned link is at the interface of a name.
func isAt(path, name string) bool {
	at, err := net.InterfaceByName(name)
	if err != nil {
		return false
	}
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return false
	}
	defer l.Close()
	return index(l) == at.Index
}

// Keep takes everything off the lists but these prefixes, and returns how many
// entries went.
func (f *Filter) Keep(blocked, allowed []netip.Prefix) (gone int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stray, err := f.blockedBeside(setOf(blocked))
	if err != nil {
		return 0, fmt.Errorf("read the packet filter's lists: %w", err)
	}
	var errs []error
	count := func(p netip.Prefix, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("take %v off the packet filter's lists: %w", p, err))
			return
		}
		gone++
	}
	for _, p := range stray {
		count(p, f.unblock(p))
	}
	keep := setOf(allowed)
	for p := range f.allows {
		if !keep[p] {
			count(p, f.disallow(p))
		}
	}
	return gone, errors.Join(append(errs, f.look())...)
}

// setOf are prefixes as lists keep them.
func setOf(list []netip.Prefix) map[netip.Prefix]bool {
	set := make(map[netip.Prefix]bool, len(list))
	for _, p := range list {
		if p, err := proper(p); err == nil {
			set[p] = true
		}
	}
	return set
}

// blockedBeside lists what is blocked and not in a set.
func (f *Filter) blockedBeside(keep map[netip.Prefix]bool) (stray []netip.Prefix, err error) {
	see := func(p netip.Prefix) {
		if !keep[p] {
			stray = append(stray, p)
		}
	}
	const begin = 0 // of time, when nothing was over: what is, is left to Sweep
	err = errors.Join(
		each(f.maps[mapBlock4], begin, func(k block4Key, _ until) {
			see(netip.PrefixFrom(netip.AddrFrom4(k.Address), int(k.Bits)))
		}),
		each(f.maps[mapBlock6], begin, func(k block6Key, _ until) {
			see(netip.PrefixFrom(netip.AddrFrom16(k.Address), int(k.Bits)))
		}),
		f.tables[0].all(func(key uint64) {
			var a [4]byte
			binary.NativeEndian.PutUint32(a[:], uint32(key))
			see(netip.PrefixFrom(netip.AddrFrom4(a), client4))
		}),
		f.tables[1].all(func(key uint64) {
			var a [16]byte
			binary.NativeEndian.PutUint64(a[:], key)
			see(netip.PrefixFrom(netip.AddrFrom16(a), client6))
		}),
	)
	return stray, err
}
