package filter

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// Tables of every load that buckets gives take all that they are made for, and
// lose nothing while entries are moved.
func TestTablesTakeWhatTheyAreMadeFor(t *testing.T) {
	for _, n := range []int{1024, 1500, 10_000, 21_845, 43_000, 100_000} {
		cfg := DefaultConfig()
		cfg.Entries4, cfg.Entries6 = n, n
		f, err := New(cfg, Guard{TCP: []uint16{80}}, "")
		if errors.Is(err, ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(uint64(n), 1))
		for i := range f.tables {
			table := &f.tables[i]
			keys := map[uint64]until{}
			for len(keys) < n {
				k := random.Uint64()
				if i == 0 {
					k &= 1<<32 - 1
				}
				if k == 0 || keys[k] != 0 {
					continue
				}
				keys[k] = until(1 + random.Uint32N(1<<20))
				if added, err := table.set(k, keys[k]); !added || err != nil {
					t.Fatalf("entry %d of %d: added %v, %v", len(keys), n, added, err)
				}
			}
			for k, u := range keys {
				at, _, err := table.find(k)
				if err != nil || at < 0 {
					t.Fatalf("an entry of %d is lost (%v)", n, err)
				}
				if _, got, _ := table.read(at); got != u {
					t.Fatalf("an entry of %d stands until %d instead of %d", n, got, u)
				}
			}
			if left, err := table.sweep(0); left != n || err != nil {
				t.Errorf("%d entries of %d, %v", left, n, err)
			}
			if left, err := table.sweep(1 << 60); left != 0 || err != nil {
				t.Errorf("%d entries are left after their time, %v", left, err)
			}
		}
		f.Close()
	}
}

// A move that a crash cut short leaves a key in two places, or in one without a
// time. Whoever comes next heals it, and both blocking anew and unblocking work
// where nobody has.
func TestMovesCutShort(t *testing.T) {
	for name, times := range map[string][2]until{"before its time was written": {0, forEver}, "before the old place was written over": {forEver, forEver}} {
		f, err := New(DefaultConfig(), Guard{TCP: []uint16{443}}, "")
		if errors.Is(err, ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.Close)
		tab := &f.tables[0]
		client := netip.MustParsePrefix("198.18.0.7/32")
		_, key, _ := f.client(client)
		for p := tab.places(key); p[0] == p[1]; p = tab.places(key) { // by chance
			client = netip.PrefixFrom(client.Addr().Next(), 32)
			_, key, _ = f.client(client)
		}
		frame := ack(443, 0x10)
		copy(frame[26:], client.Addr().AsSlice())
		passes := func(what string, want bool) {
			t.Helper()
			if got, err := f.Try(frame); got != want || err != nil {
				t.Errorf("%s, %s: passes %v, %v", name, what, got, err)
			}
		}
		tear := func() {
			for i, bucket := range tab.places(key) {
				if err := errors.Join(tab.writeKey(tab.at(bucket, i), key), tab.writeUntil(tab.at(bucket, i), times[i])); err != nil {
					t.Fatal(err)
				}
			}
		}
		tear()
		if err := f.Block(client, time.Time{}, true); err != nil {
			t.Fatal(err)
		}
		passes("blocked anew", false)
		if err := f.Unblock(client); err != nil {
			t.Fatal(err)
		}
		passes("unblocked", true)
		tear()
		if err := f.Unblock(client); err != nil {
			t.Fatal(err)
		}
		passes("unblocked without more", true)
		tear()
		if err := f.recall(); err != nil || f.clients[0] != 1 {
			t.Errorf("%s: %d clients after the next start, %v", name, f.clients[0], err)
		}
		passes("the next one", false)
	}
}

// Without the seed, tables are noise: it goes last.
func TestLeaseGoesLast(t *testing.T) {
	names := leaseLast()
	if len(names) != len(mapNames()) || names[len(names)-1] != mapLease {
		t.Errorf("%v", names)
	}
}

func TestUntil(t *testing.T) {
	now := monotonic(time.Now())
	for _, c := range []struct {
		in   time.Duration
		over bool
	}{{-time.Hour, true}, {-time.Second, true}, {time.Second, false}, {24 * time.Hour, false}, {20 * 365 * 24 * time.Hour, false}} {
		for _, person := range []bool{false, true} {
			u := untilOf(time.Now().Add(c.in), person)
			if u == 0 || u.over(now) != c.over || u&byPerson != 0 != person {
				t.Errorf("%v: %x, over %v", c.in, uint32(u), u.over(now))
			}
		}
	}
	if u := untilOf(time.Time{}, false); u.over(1 << 62) {
		t.Error("for ever is over")
	}
}
