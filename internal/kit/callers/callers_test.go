package callers

import (
	"hash/fnv"
	"net/netip"
	"testing"
)

func who(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

// count is what is kept of who, that one more request came from: zero where nothing was.
func count[V any](table *Table[V], who netip.Prefix) *V {
	v, known := table.Count(who, 1)
	if !known {
		*v = *new(V)
	}
	return v
}

// Who comes often stays, however many come once; and the size is what it was.
func TestTable(t *testing.T) {
	table := New[int](64)
	for i := range 10 {
		for range 5 {
			*count(table, who(i))++
		}
	}
	for i := range 100_000 {
		*count(table, who(1000+i))++
	}
	entries, often := 0, 0
	table.Each(func(p netip.Prefix, n uint64, v *int) {
		entries++
		if n == 5 && *v == 5 {
			often++
		}
	})
	if entries != 64 || often != 10 {
		t.Errorf("%d entries, %d of ten who came often", entries, often)
	}
	table.Clear()
	if *count(table, who(1)) != 0 {
		t.Error("what was cleared is still there")
	}
}

func TestPrefixesOfAllSorts(t *testing.T) {
	table := New[string](8)
	for _, p := range []netip.Prefix{{}, who(1), netip.MustParsePrefix("2001:db8::/64"), netip.MustParsePrefix("10.0.0.1/24")} {
		if v := count(table, p); *v != "" {
			t.Errorf("%v is taken for %s", p, *v)
		} else {
			*v = p.String()
		}
		if v := count(table, p); *v != p.String() {
			t.Errorf("%v has %q", p, *v)
		}
	}
}

// The hash is FNV-1a, in as few steps as it takes: what it was, so that a recording goes on
// giving the same.
func TestHash(t *testing.T) {
	for _, text := range []string{"203.0.113.0/24", "0.0.0.0/0", "::ffff:203.0.113.9/120", "2001:db8::/48", "::/0", "::1/128"} {
		p := netip.MustParsePrefix(text)
		f := fnv.New64a()
		b := p.Addr().As16()
		_, _ = f.Write(append(b[:], byte(p.Bits())))
		want := f.Sum64()
		want = (want ^ want>>33) * 0xff51afd7ed558ccd
		if want ^= want >> 33; hash(p) != want {
			t.Errorf("%s: %x, want %x", text, hash(p), want)
		}
	}
}
