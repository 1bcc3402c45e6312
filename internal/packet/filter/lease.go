package filter

import (
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
)

// vouch is struct vouch of bpf/common.h.
type vouch struct {
	Until, Seed, CheckUntil        uint64
	Armed, Every                   uint32
	SyncookiesWere, TimestampsWere uint32
}

// Renew prolongs the lease: for d from now on, packets are stopped even if
// nobody is heard of.
func (f *Filter) Renew(d time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.vouch.Seed, f.vouch.Until = f.set.seed, 0
	if d > 0 {
		f.vouch.Until = monotonic(time.Now().Add(d))
	}
	return f.say()
}

// say writes the lease; it needs mu.
func (f *Filter) say() error {
	if err := f.maps[mapLease].Put(uint32(0), f.vouch); err != nil {
		return fmt.Errorf("renew the packet filter's lease: %w", err)
	}
	return nil
}

// SampleEvery has one packet in n, of those for protected ports, shown; 0: none.
func (f *Filter) SampleEvery(n uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.vouch.Every == n {
		return nil
	}
	f.vouch.Every = n
	return f.say()
}

// vouched reads what an earlier process has pinned. What cannot be read is of
// another shape.
func vouched(pins string) (v vouch, err error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(pins, mapLease), nil)
	if err != nil {
		return v, err
	}
	defer m.Close()
	return v, m.Lookup(uint32(0), &v)
}

// inherit learns the seed of the tables that an earlier process has pinned, and
// what it changed.
func (f *Filter) inherit() {
	if f.pins == "" {
		return
	}
	if v, err := vouched(f.pins); err == nil && v.Seed&1 == 1 {
		f.set.seed, f.vouch = v.Seed, v
		f.vouch.CheckUntil = math.MaxUint64 // what was since the crash is not known
	}
}
