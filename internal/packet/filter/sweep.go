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
	for i := range f.tables {
		if err := f.tables[i].heal(); err != nil {
			return fmt.Errorf("read the packet filter's lists: %w", err)
		}
	}
	if err := f.recount(); err != nil {
		return err
	}
	return f.look()
}

func (f *Filter) entries() int {
	n := len(f.allows) + f.clients[0] + f.clients[1]
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
	err := errors.Join(
		each(f.maps[mapBlock4], now, func(k block4Key, _ until) { used[0][min(k.Bits, 128)]++ }),
		each(f.maps[mapBlock6], now, func(k block6Key, _ until) { used[1][min(k.Bits, 128)]++ }),
		f.recountAllowed(now),
	)
	for i := range f.tables {
		left, e := f.tables[i].sweep(now)
		f.clients[i], err = left, errors.Join(err, e)
	}
	if err != nil {
		return fmt.Errorf("read the packet filter's lists: %w", err)
	}
	f.used = used
	return nil
}

// each deletes the entries of a map that are over and tells of the others.
func each[K comparable](m *ebpf.Map, now uint64, tell func(K, until)) error {
	var k K
	var u until
	var gone []K // a map has a few thousand entries
	it := m.Iterate()
	for it.Next(&k, &u) {
		if u.over(now) {
			gone = append(gone, k)
		} else {
			tell(k, u)
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
	return nil
}
