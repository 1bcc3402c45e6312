package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

var (
	// ErrFull says that a list has no room for another prefix, or for another
	// prefix length.
	ErrFull = errors.New("the packet filter's list is full")
	// ErrPrefix says that a prefix can never be on a list.
	ErrPrefix = errors.New("no prefix for the packet filter's lists")
)

// Keys and values as in bpf/lists.h. Addresses are in network order.
type (
	block4Key struct {
		Address [4]byte
		Bits    uint32
	}
	block6Key struct {
		Address [16]byte
		Bits    uint64
	}
)

// The lengths of single clients, which stand in the tables.
const client4, client6 = 32, 64

// proper returns the prefix as lists keep it: masked, and IPv4 as IPv4.
func proper(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return p, fmt.Errorf("%w: %v is none at all", ErrPrefix, p)
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("%w: %v is none of IPv4 addresses", ErrPrefix, p)
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	if p = p.Masked(); p.Bits() == 0 {
		return p, fmt.Errorf("%w: %v is everybody", ErrPrefix, p)
	}
	return p, nil
}

// client returns the table and the key of a prefix that is one client.
func (f *Filter) client(p netip.Prefix) (t *table, key uint64, ok bool) {
	switch a := p.Addr(); {
	case a.Is4() && p.Bits() == client4:
		b := a.As4()
		return &f.tables[0], uint64(binary.NativeEndian.Uint32(b[:])), true
	case a.Is6() && p.Bits() == client6:
		b := a.As16()
		return &f.tables[1], binary.NativeEndian.Uint64(b[:]), true
	}
	return nil, 0, false
}

// wider returns the map and the key of any other prefix.
func (f *Filter) wider(p netip.Prefix) (*ebpf.Map, any) {
	if p.Addr().Is4() {
		return f.maps[mapBlock4], block4Key{p.Addr().As4(), uint32(p.Bits())}
	}
	return f.maps[mapBlock6], block6Key{p.Addr().As16(), uint64(p.Bits())}
}

// Block stops all packets from a prefix to protected ports until a moment (to
// a seventh of a second); the zero Time is for ever. What a person ordered
// stands when the lease is over. Blocking a prefix anew replaces what was said
// of it.
func (f *Filter) Block(p netip.Prefix, end time.Time, person bool) error {
	p, err := proper(p)
	if err != nil {
		return fmt.Errorf("block: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.block(p, untilOf(end, person)); err != nil {
		return fmt.Errorf("block %v: %w", p, err)
	}
	return nil
}

func (f *Filter) block(p netip.Prefix, u until) error {
	t, key, single := f.client(p)
	if !single {
		if err := f.use(p); err != nil {
			return err
		}
		m, key := f.wider(p)
		added, err := put(m, key, u)
		if added {
			f.used[family(p)][p.Bits()]++
		}
		return err
	}
	if key == 0 {
		return fmt.Errorf("%w: no packets come from there", ErrPrefix)
	}
	if most := []int{f.cfg.Entries4, f.cfg.Entries6}[family(p)]; f.clients[family(p)] >= most {
		// There may be more than that: a larger list's, left by an earlier process.
		if here, _, err := t.find(key); err != nil || here < 0 {
			return errors.Join(fmt.Errorf("%w: it holds %d clients", ErrFull, most), err)
		}
	}
	added, err := t.set(key, u)
	if added {
		f.clients[family(p)]++
	}
	return err
}

// Unblock takes a prefix off the block list; one that is not on it is no error.
func (f *Filter) Unblock(p netip.Prefix) error {
	p, err := proper(p)
	if err != nil {
		return fmt.Errorf("unblock: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.unblock(p); err != nil {
		return fmt.Errorf("unblock %v: %w", p, err)
	}
	return nil
}

func (f *Filter) unblock(p netip.Prefix) error {
	if t, key, single := f.client(p); single {
		was, err := t.remove(key)
		if was {
			f.clients[family(p)]--
		}
		return err
	}
	m, key := f.wider(p)
	switch err := m.Delete(key); {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return nil
	case err != nil:
		return err
	}
	f.used[family(p)][p.Bits()]--
	return f.look()
}

// put writes an entry and says whether it is a new one.
func put(m *ebpf.Map, key, value any) (added bool, err error) {
	err = m.Update(key, value, ebpf.UpdateNoExist)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ebpf.ErrKeyExist):
		return false, m.Put(key, value)
	case errors.Is(err, unix.E2BIG), errors.Is(err, unix.ENOSPC):
		return false, fmt.Errorf("%w: it holds %d prefixes", ErrFull, m.MaxEntries())
	}
	return false, err
}

// use makes the program look for the prefix's length.
func (f *Filter) use(p netip.Prefix) error {
	if slices.Contains(f.lengths(family(p)), uint32(p.Bits())) {
		return nil
	}
	s := f.set
	set := s.lengths(family(p))
	free := slices.Index(set[:], 0)
	if free < 0 {
		return fmt.Errorf("%w: prefixes of %d lengths besides single clients are on it already", ErrFull, lengthsMost)
	}
	set[free] = uint32(p.Bits())
	return f.load(s)
}

// look makes the program look for what is on the lists, and no more: for the
// lengths in use beside those of single clients, and into the allow list only
// where it has entries.
func (f *Filter) look() error {
	s := f.set
	s.allow = len(f.allows) > 0
	for fam := range f.used {
		var set [lengthsMost]uint32
		n := 0
		for bits, entries := range f.used[fam] {
			if entries > 0 && n < lengthsMost {
				set[n] = uint32(bits)
				n++
			}
		}
		*s.lengths(fam) = set
	}
	if s == f.set {
		return nil
	}
	return f.load(s)
}

// family is 0 for IPv4 and 1 for IPv6.
func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

func (f *Filter) lengths(family int) []uint32 { return f.set.lengths(family)[:] }
