package filter

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// Sweep takes off the lists what is over, so that they do not fill up with it;
// the program heeds the times by itself. It returns how many entries it took.
func (f *Filter) Sweep() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.entries()
	if err := f.recount(); err != nil {
		return 0, err
	}
	return before - f.entries(), f.look()
}

// recall finds what is on lists that an earlier process has left.
func (f *Filter) recall() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.recount(); err != nil {
		return err
	}
	return f.look()
}

func (f *Filter) entries() int {
	n := f.allowed
	for _, lengths := range f.used {
		for _, entries := range lengths {
			n += entries
		}
	}
	return n
}

// recount goes through the lists, deletes what is over and counts the rest.
func (f *Filter) recount() error {
	now := monotonic(time.Now())
	var used [2][129]int
	allowed := 0
	err := errors.Join(
		each(f.maps[mapBlock4], func(k block4Key, v blocked) bool { return !over(v.Until, now) && k.Bits <= 32 },
			func(k block4Key) { used[0][k.Bits]++ }),
		each(f.maps[mapBlock6], func(k block6Key, v blocked) bool { return !over(v.Until, now) && k.Bits <= 128 },
			func(k block6Key) { used[1][k.Bits]++ }),
		each(f.maps[mapAllow], func(_ [20]byte, until uint64) bool { return !over(until, now) },
			func([20]byte) { allowed++ }),
	)
	if err != nil {
		return fmt.Errorf("read the packet filter's lists: %w", err)
	}
	f.used, f.allowed = used, allowed
	return nil
}

func over(until, now uint64) bool { return until != 0 && until <= now }

// each counts the entries of a map that stand and deletes the others.
func each[K comparable, V any](m *ebpf.Map, stands func(K, V) bool, count func(K)) error {
	const most = 1 << 12 // remembered at a time
	for {
		var k K
		var v V
		var gone []K
		it := m.Iterate()
		for len(gone) < most && it.Next(&k, &v) {
			if !stands(k, v) {
				gone = append(gone, k)
			}
		}
		if err := it.Err(); err != nil {
			return err
		}
		for _, k := range gone {
			if err := m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return err
			}
		}
		if len(gone) < most {
			break
		}
	}
	var k K
	var v V
	it := m.Iterate()
	for it.Next(&k, &v) {
		count(k)
	}
	return it.Err()
}
