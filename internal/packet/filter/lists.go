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

// ErrFull says that a list has no room for another prefix, or for another
// prefix length.
var ErrFull = errors.New("the packet filter's list is full")

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
	blocked struct {
		Until uint64
		Flags uint32
		_     uint32
	}
)

const byPerson = 1

// proper returns the prefix as lists keep it: masked, and IPv4 as IPv4.
func proper(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return p, fmt.Errorf("%v is no prefix", p)
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("%v is no prefix of IPv4 addresses", p)
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	if p = p.Masked(); p.Bits() == 0 {
		return p, fmt.Errorf("%v is everybody", p)
	}
	return p, nil
}

func (f *Filter) blockAt(p netip.Prefix) (*ebpf.Map, any) {
	if p.Addr().Is4() {
		return f.maps[mapBlock4], block4Key{p.Addr().As4(), uint32(p.Bits())}
	}
	return f.maps[mapBlock6], block6Key{p.Addr().As16(), uint64(p.Bits())}
}

// Block stops all packets from a prefix to protected ports until a moment; the
// zero Time is for ever. What a person ordered stands when the lease is over.
// Blocking a prefix anew replaces what was said of it.
func (f *Filter) Block(p netip.Prefix, until time.Time, person bool) error {
	p, err := proper(p)
	if err != nil {
		return fmt.Errorf("block: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.use(p); err != nil {
		return fmt.Errorf("block %v: %w", p, err)
	}
	v := blocked{Until: moment(until)}
	if person {
		v.Flags = byPerson
	}
	m, key := f.blockAt(p)
	if err := m.Put(key, v); err != nil {
		return fmt.Errorf("block %v: %w", p, full(err))
	}
	f.blocks[p] = struct{}{}
	return nil
}

// Unblock takes a prefix off the block list; one that is not on it is no error.
func (f *Filter) Unblock(p netip.Prefix) error {
	p, err := proper(p)
	if err != nil {
		return fmt.Errorf("unblock: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, key := f.blockAt(p)
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("unblock %v: %w", p, err)
	}
	delete(f.blocks, p)
	return f.drop(p)
}

// Allow lets all packets from a prefix pass until a moment, whatever else is
// said of them; the zero Time is for ever.
func (f *Filter) Allow(p netip.Prefix, until time.Time) error {
	p, err := proper(p)
	if err != nil {
		return fmt.Errorf("allow: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.maps[mapAllow].Put(allowAt(p), moment(until)); err != nil {
		return fmt.Errorf("allow %v: %w", p, full(err))
	}
	f.allows[p] = struct{}{}
	return f.lookForAllows()
}

// Disallow takes a prefix off the allow list; one that is not on it is no error.
func (f *Filter) Disallow(p netip.Prefix) error {
	p, err := proper(p)
	if err != nil {
		return fmt.Errorf("disallow: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.maps[mapAllow].Delete(allowAt(p)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("disallow %v: %w", p, err)
	}
	delete(f.allows, p)
	return f.lookForAllows()
}

// lookForAllows makes the program look into the allow list iff it has entries.
func (f *Filter) lookForAllows() error {
	s := f.set
	if s.allow = len(f.allows) > 0; s.allow == f.set.allow {
		return nil
	}
	return f.load(s)
}

// use makes the program look for the prefix's length.
func (f *Filter) use(p netip.Prefix) error {
	s := f.set
	lengths := &s.lengths6
	if p.Addr().Is4() {
		lengths = &s.lengths4
	}
	if slices.Contains(lengths[:], uint32(p.Bits())) {
		return nil
	}
	free := slices.Index(lengths[:], 0)
	if free < 0 {
		return fmt.Errorf("%w: prefixes of %d lengths are on it already", ErrFull, lengthsMost)
	}
	lengths[free] = uint32(p.Bits())
	return f.load(s)
}

// drop makes the program look no more for a length that p was the last to use.
// The lengths of single clients stay.
func (f *Filter) drop(p netip.Prefix) error {
	v4 := p.Addr().Is4()
	for q := range f.blocks {
		if q.Bits() == p.Bits() && q.Addr().Is4() == v4 {
			return nil
		}
	}
	s := f.set
	lengths := &s.lengths6
	if v4 {
		lengths = &s.lengths4
	}
	i := slices.Index(lengths[:], uint32(p.Bits()))
	if i < 1 {
		return nil
	}
	copy(lengths[i:], lengths[i+1:])
	lengths[lengthsMost-1] = 0
	return f.load(s)
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

// moment is until when an entry stands; 0 for ever.
func moment(until time.Time) uint64 {
	if until.IsZero() {
		return 0
	}
	return max(1, monotonic(until))
}

func full(err error) error {
	if errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("%w: raise packet.entries4 or packet.entries6", ErrFull)
	}
	return err
}
