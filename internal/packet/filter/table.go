package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// bucketBytes is the size of a bucket: a cache line.
const bucketBytes = 64

// until says until when an entry stands: ticks of the kernel's monotonic clock,
// and in the highest bit whether a person ordered it. 0 is no entry.
type until uint32

const (
	tick     = 1 << 27 // nanoseconds
	byPerson = until(1 << 31)
	forEver  = byPerson - 1
)

// untilOf rounds up, and takes what is nine years away for for ever.
func untilOf(t time.Time, person bool) until {
	u := forEver
	if !t.IsZero() {
		u = until(min(uint64(forEver), monotonic(t)/tick+1))
	}
	if person {
		u |= byPerson
	}
	return u
}

// over says whether its time has passed at now, in nanoseconds.
func (u until) over(now uint64) bool {
	u &^= byPerson
	return u != forEver && uint64(u) <= now/tick
}

// table is a family's blocked clients, in memory that the program reads while
// it is written: each word is written at once. A key is an IPv4 address, or the
// upper half of an IPv6 address, as the processor reads it from the packet.
type table struct {
	memory *ebpf.Memory
	mask   uint64 // buckets, less one
	seed   uint64
	slots  int // entries of a bucket
	key    int // bytes of a key
	size   int // bytes of an entry: the key, the until, and nothing
}

// buckets is how many buckets hold n entries of size bytes. A third to two
// thirds of the slots stay empty, so that it hardly ever takes more than a few
// moves to make room.
func buckets(n, size int) uint32 {
	b := uint32(1)
	for int(b)*bucketBytes < n*size*3/2 {
		b <<= 1
	}
	return b
}

func tableOf(m *ebpf.Map, seed uint64, key, size int) (table, error) {
	memory, err := m.Memory()
	if err != nil {
		return table{}, fmt.Errorf("map the packet filter's table: %w", err)
	}
	return table{memory, uint64(m.MaxEntries() - 1), seed, bucketBytes / size, key, size}, nil
}

// places are the two buckets of a key; mix in bpf/lists.h does the same.
func (t *table) places(key uint64) [2]int64 {
	h := key * t.seed
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return [2]int64{int64(h >> 40 & t.mask), int64(h & 0xffffff & t.mask)}
}

func (t *table) at(bucket int64, slot int) int64 { return bucket*bucketBytes + int64(slot*t.size) }

func (t *table) read(at int64) (key uint64, u until, err error) {
	var b [16]byte
	if _, err := t.memory.ReadAt(b[:t.size], at); err != nil {
		return 0, 0, err
	}
	if t.key == 4 {
		return uint64(binary.NativeEndian.Uint32(b[:])), until(binary.NativeEndian.Uint32(b[4:])), nil
	}
	return binary.NativeEndian.Uint64(b[:]), until(binary.NativeEndian.Uint32(b[8:])), nil
}

func (t *table) writeKey(at int64, key uint64) error {
	b := binary.NativeEndian.AppendUint64(nil, key)
	if t.key == 4 {
		b = binary.NativeEndian.AppendUint32(nil, uint32(key))
	}
	_, err := t.memory.WriteAt(b, at)
	return err
}

func (t *table) writeUntil(at int64, u until) error {
	_, err := t.memory.WriteAt(binary.NativeEndian.AppendUint32(nil, uint32(u)), at+int64(t.key))
	return err
}

// find looks for a key and for a free place, in the emptier of its buckets.
func (t *table) find(key uint64) (here, free int64, err error) {
	here, free = -1, -1
	most := 0
	for _, bucket := range t.places(key) {
		empty, first := 0, int64(-1)
		for i := range t.slots {
			at := t.at(bucket, i)
			k, u, err := t.read(at)
			switch {
			case err != nil:
				return -1, -1, err
			case u == 0:
				if empty++; first < 0 {
					first = at
				}
			case k == key:
				return at, -1, nil
			}
		}
		if empty > most {
			most, free = empty, first
		}
	}
	return here, free, nil
}

// moves is how many entries are moved one after the other to make room for one.
const moves = 3

// makeRoom moves an entry of a key's full buckets to its other bucket (Pagh and
// Rodler, "Cuckoo hashing", 2004), if need be after others have moved there, and
// returns the place that this leaves. What is moved stands in both places until
// the old one is written over.
func (t *table) makeRoom(key uint64, moves int) (int64, error) {
	here := t.places(key)
	for _, deep := range []bool{false, true} {
		for _, bucket := range here {
			for i := range t.slots {
				at := t.at(bucket, i)
				other, u, err := t.read(at)
				if err != nil {
					return 0, err
				}
				free, ok, err := t.elsewhere(other, bucket)
				if deep && moves > 1 && !ok && err == nil {
					free, err = t.makeRoom(other, moves-1)
					ok = err == nil
					if errors.Is(err, ErrFull) {
						err = nil
					}
				}
				switch {
				case err != nil:
					return 0, err
				case !ok:
				case free/bucketBytes == here[0] || free/bucketBytes == here[1]:
					return free, nil
				default:
					return at, errors.Join(t.writeUntil(free, 0), t.writeKey(free, other), t.writeUntil(free, u))
				}
			}
		}
	}
	return 0, ErrFull
}

// elsewhere finds an empty slot in the other bucket of a key.
func (t *table) elsewhere(key uint64, bucket int64) (int64, bool, error) {
	for _, to := range t.places(key) {
		for i := range t.slots {
			at := t.at(to, i)
			if _, u, err := t.read(at); err != nil || u == 0 && to != bucket {
				return at, err == nil, err
			}
		}
	}
	return 0, false, nil
}

// set makes a key stand, and says whether it did not before.
func (t *table) set(key uint64, u until) (added bool, err error) {
	here, free, err := t.find(key)
	switch {
	case err != nil:
		return false, err
	case here >= 0:
		return false, errors.Join(t.writeUntil(here, u), t.only(key, here))
	case free < 0:
		if free, err = t.makeRoom(key, moves); err != nil {
			return false, err
		}
	}
	// Empty first: no until may stand with a key that it is not meant for.
	if err := errors.Join(t.writeUntil(free, 0), t.writeKey(free, key), t.writeUntil(free, u), t.only(key, free)); err != nil {
		return false, err
	}
	return true, nil
}

// remove takes a key out, and says whether it was there.
func (t *table) remove(key uint64) (bool, error) {
	here, _, err := t.find(key)
	if err != nil || here < 0 {
		return false, err
	}
	if err := t.clear(here); err != nil {
		return false, err
	}
	return true, t.only(key, -1)
}

// only clears the places of a key but one. A move that was cut short leaves a key
// in two of them, or in one without a time, where the program may find it first.
func (t *table) only(key uint64, but int64) error {
	for _, bucket := range t.places(key) {
		for i := range t.slots {
			at := t.at(bucket, i)
			k, _, err := t.read(at)
			if err == nil && k == key && at != but {
				err = t.clear(at)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// heal ends what an earlier process had begun: each key stands in one place.
func (t *table) heal() error {
	for at := int64(0); at < int64(t.memory.Size()); at += int64(t.size) {
		key, u, err := t.read(at)
		if err == nil && key != 0 {
			if u == 0 {
				err = t.clear(at)
			} else {
				err = t.only(key, at)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *table) clear(at int64) error {
	if err := t.writeUntil(at, 0); err != nil {
		return err
	}
	return t.writeKey(at, 0)
}

// all tells of each key that stands.
func (t *table) all(tell func(key uint64)) error {
	for at := int64(0); at < int64(t.memory.Size()); at += int64(t.size) {
		key, u, err := t.read(at)
		if err != nil {
			return err
		}
		if u != 0 {
			tell(key)
		}
	}
	return nil
}

// sweep takes out what is over and returns how many entries are left.
func (t *table) sweep(now uint64) (left int, err error) {
	for at := int64(0); at < int64(t.memory.Size()); at += int64(t.size) {
		_, u, err := t.read(at)
		switch {
		case err != nil:
			return left, err
		case u == 0:
		case u.over(now):
			if err := t.clear(at); err != nil {
				return left, err
			}
		default:
			left++
		}
	}
	return left, nil
}
