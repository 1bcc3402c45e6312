package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// allows is until when each prefix was said to be allowed. The program heeds the
// narrowest entry that it finds, and would not see that a wider one still stands
// when that is over: in the kernel an entry has the latest end of all that cover
// it.
type allows map[netip.Prefix]until

// end is until when the entry of a prefix stands.
func (a allows) end(p netip.Prefix) until {
	u := a[p]
	for bits := p.Bits() - 1; bits > 0; bits-- {
		u = max(u, a[netip.PrefixFrom(p.Addr(), bits).Masked()])
	}
	return u
}

// Allow lets all packets from a prefix pass until a moment, whatever else is
// said of them; the zero Time is for ever.
func (f *Filter) Allow(p netip.Prefix, end time.Time) error {
	p, err := proper(p)
	if err != nil {
		return fmt.Errorf("allow: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before, known := f.allows[p]
	f.allows[p] = untilOf(end, true)
	if err := f.writeAllow(p); err != nil {
		if f.allows[p] = before; !known {
			delete(f.allows, p)
		}
		return fmt.Errorf("allow %v: %w", p, err)
	}
	if err := f.writeCovered(p); err != nil {
		return fmt.Errorf("allow %v: %w", p, err)
	}
	return f.look()
}

// Disallow takes a prefix off the allow list; one that is not on it is no error.
func (f *Filter) Disallow(p netip.Prefix) error {
	p, err := proper(p)
	if err != nil {
		return fmt.Errorf("disallow: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.disallow(p); err != nil {
		return fmt.Errorf("disallow %v: %w", p, err)
	}
	return f.look()
}

func (f *Filter) disallow(p netip.Prefix) error {
	if err := f.maps[mapAllow].Delete(allowAt(p)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	delete(f.allows, p)
	return f.writeCovered(p)
}

// writeCovered writes the entries of all prefixes inside one, whose end may have
// come from it.
func (f *Filter) writeCovered(by netip.Prefix) error {
	for p := range f.allows {
		if p.Bits() <= by.Bits() || !by.Contains(p.Addr()) {
			continue
		}
		if err := f.writeAllow(p); err != nil {
			return err
		}
	}
	return nil
}

func (f *Filter) writeAllow(p netip.Prefix) error {
	m := f.maps[mapAllow]
	err := m.Put(allowAt(p), f.allows.end(p))
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("%w: it holds %d prefixes", ErrFull, m.MaxEntries())
	}
	return err
}

// recountAllowed learns what an earlier process has allowed, and deletes what is
// over.
func (f *Filter) recountAllowed(now uint64) error {
	err := each(f.maps[mapAllow], now, func(k [20]byte, u until) {
		if p := allowedBy(k); p.IsValid() {
			if _, known := f.allows[p]; !known {
				f.allows[p] = u
			}
		}
	})
	if err != nil {
		return err
	}
	for p, u := range f.allows {
		if !u.over(now) {
			continue
		}
		if err := f.disallow(p); err != nil {
			return err
		}
	}
	return nil
}

func allowAt(p netip.Prefix) []byte {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	key := binary.NativeEndian.AppendUint32(nil, uint32(bits))
	a := p.Addr().As16()
	return append(key, a[:]...)
}

// allowedBy is the prefix of a key that allowAt made.
func allowedBy(key [20]byte) netip.Prefix {
	p := netip.PrefixFrom(netip.AddrFrom16([16]byte(key[4:])), int(binary.NativeEndian.Uint32(key[:])))
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p
}
