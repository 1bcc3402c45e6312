package geo

import (
	"bufio"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"seawall/internal/traffic"
)

func embeddedTable(t testing.TB) *Table {
	t.Helper()
	tab, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// The sample was written by tools/geodata from the sources, not from the table.
func TestEmbeddedTableSaysWhatItsSourcesSay(t *testing.T) {
	tab := embeddedTable(t)
	f, err := os.Open("testdata/sample.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	known := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		cols := strings.Split(lines.Text(), "\t")
		c, n := tab.Lookup(netip.MustParseAddr(cols[0]))
		if c.String() != cols[1] || strconv.FormatUint(uint64(n), 10) != cols[2] {
			t.Errorf("%s: %v %d, want %s %s", cols[0], c, n, cols[1], cols[2])
		}
		if n != 0 {
			known++
		}
	}
	if known < 1000 {
		t.Errorf("only %d of the sampled addresses have a network", known)
	}
}

func TestEmbeddedTable(t *testing.T) {
	tab := embeddedTable(t)
	if len(embedded) > 8<<20 {
		t.Errorf("the table has %d bytes; 8 MiB is the most that is committed", len(embedded))
	}
	if a := tab.About(); a.Day.Year() < 2026 || len(a.Sources) != 2 {
		t.Errorf("About says %+v", a)
	}
	for _, c := range []struct {
		addr    string
		country string
		name    string
	}{
		{"1.1.1.1", "AU", "Cloudflare, Inc."},
		{"::ffff:1.1.1.1", "AU", "Cloudflare, Inc."},
		{"10.0.0.1", "??", ""},
		{"127.0.0.1", "??", ""},
		{"0.0.0.0", "??", ""},
		{"255.255.255.255", "??", ""},
		{"::1", "??", ""},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "??", ""},
	} {
		country, n := tab.Lookup(netip.MustParseAddr(c.addr))
		if country.String() != c.country || tab.NetworkName(n) != c.name {
			t.Errorf("%s: %v, %d %q; want %s, %q", c.addr, country, n, tab.NetworkName(n), c.country, c.name)
		}
	}
	if c, n := tab.Lookup(netip.Addr{}); c != (traffic.Country{}) || n != 0 {
		t.Errorf("no address: %v %d", c, n)
	}
}

func TestAddressesAreOfTheirCountryAndSpread(t *testing.T) {
	tab := embeddedTable(t)
	for _, name := range []string{"RU", "BR"} {
		c, _ := traffic.ParseCountry(name)
		got := tab.Addresses(c, 2000, 7)
		if len(got) != 2000 {
			t.Fatalf("%s: %d addresses, want 2000", name, len(got))
		}
		wide := map[netip.Prefix]bool{}
		seen := map[netip.Addr]bool{}
		networks := map[uint32]bool{}
		for _, a := range got {
			country, n := tab.Lookup(a)
			if country != c {
				t.Errorf("%v is in %v, not %s", a, country, name)
			}
			if seen[a] {
				t.Errorf("%v comes twice", a)
			}
			seen[a], networks[n] = true, true
			wide[traffic.PrefixOf(a, traffic.LevelWide)] = true
		}
		if len(wide) < 1900 || len(networks) < 200 {
			t.Errorf("%s: only %d /24s and %d networks", name, len(wide), len(networks))
		}
		if again := tab.Addresses(c, 2000, 7); again[0] != got[0] || again[1999] != got[1999] {
			t.Errorf("%s: the same seed gives other addresses", name)
		}
		if other := tab.Addresses(c, 10, 8); other[0] == got[0] {
			t.Errorf("%s: another seed gives the same addresses", name)
		}
	}
	if got := tab.Addresses(traffic.Country{'Q', 'Q'}, 10, 1); got != nil {
		t.Errorf("a country that there is not has %v", got)
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	tab := embeddedTable(t)
	a, b := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2a00:1450:4001::1")
	if n := testing.AllocsPerRun(100, func() {
		tab.Lookup(a)
		tab.Lookup(b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Every single changed byte of a small table is noticed.
func TestDamageIsAnError(t *testing.T) {
	good := string(smallTable(t))
	if _, err := Load(good); err != nil {
		t.Fatal(err)
	}
	for i := range len(good) {
		bad := []byte(good)
		bad[i] ^= 0x41
		if _, err := Load(string(bad)); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := Load(good[:i]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := Load(good + "x"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte too many: %v", err)
	}
}

func smallTable(t testing.TB) []byte {
	b := NewBuilder(About{Sources: []string{"a test"}})
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 100 {
		first := netip.AddrFrom4([4]byte{10, byte(i), byte(rng.Uint32() & 0xf0), 0})
		last := netip.AddrFrom4([4]byte{10, byte(i), 255, byte(rng.Uint32())})
		add(t, b, Range{first, last, traffic.Country{'A', 'A' + byte(i%26)}, uint32(i % 7)})
	}
	for i := range 100 {
		p := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(i)}), 24+rng.IntN(41))
		first, last := Ends(p)
		add(t, b, Range{first, last, traffic.Country{'B', 'A' + byte(i%26)}, uint32(i)})
		b.Name(uint32(i), "network "+strconv.Itoa(i))
	}
	return b.Bytes()
}

func add(t testing.TB, b *Builder, r Range) {
	t.Helper()
	if err := b.Add(r); err != nil {
		t.Fatal(err)
	}
}

func TestBuilderRefusesDisorder(t *testing.T) {
	addr := netip.MustParseAddr
	b := NewBuilder(About{})
	add(t, b, Range{First: addr("10.0.0.0"), Last: addr("10.0.0.255"), Network: 1})
	for _, r := range []Range{
		{First: addr("10.0.0.255"), Last: addr("10.0.1.0")},
		{First: addr("9.0.0.0"), Last: addr("9.0.0.1")},
		{First: addr("11.0.0.1"), Last: addr("11.0.0.0")},
		{First: addr("11.0.0.1"), Last: addr("2001::")},
		{},
	} {
		if err := b.Add(r); err == nil {
			t.Errorf("%v to %v was taken", r.First, r.Last)
		}
	}
	add(t, b, Range{First: addr("255.255.255.255"), Last: addr("255.255.255.255"), Network: 2})
	if err := b.Add(Range{First: addr("0.0.0.0"), Last: addr("0.0.0.0")}); err == nil {
		t.Error("a range after the last address was taken")
	}
	// The /64 of a range that begins inside of it belongs to who has its first address.
	add(t, b, Range{First: addr("2001:db8::30"), Last: addr("2001:db8::31"), Network: 3})
	add(t, b, Range{First: addr("2001:db8::32"), Last: addr("2001:db8:0:1::"), Network: 4})
	add(t, b, Range{First: addr("ffff:ffff:ffff:ffff::"), Last: addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Network: 5})
	tab, err := Load(string(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]uint32{
		"0.0.0.0": 0, "9.255.255.255": 0, "10.0.0.0": 1, "10.0.0.255": 1, "10.0.1.0": 0,
		"255.255.255.254": 0, "255.255.255.255": 2,
		"2001:db8::30": 0, "2001:db8:0:1::ff": 4, "2001:db8:0:2::": 0,
		"ffff:ffff:ffff:fffe::": 0, "ffff:ffff:ffff:ffff::1": 5,
	} {
		if _, n := tab.Lookup(addr(a)); n != want {
			t.Errorf("%s: network %d, want %d", a, n, want)
		}
	}
}

// Whatever passes Load can be looked through without a fault; that is all that
// stands between a stranger's table and a panic in the door.
func FuzzLoad(f *testing.F) {
	f.Add(smallTable(f))
	f.Add([]byte(magic))
	f.Add(NewBuilder(About{}).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= headerBytes {
			// Give every input a true checksum, so that the rest is tested.
			binary.LittleEndian.PutUint32(data[len(magic):], checksum(string(data[len(magic)+4:])))
		}
		tab, err := Load(string(data))
		if err != nil {
			return
		}
		next := uint64(0)
		tab.v4.each(func(first, last uint64, place uint32) bool {
			if first != next || last < first {
				t.Fatalf("range %d to %d after %d", first, last, next)
			}
			if got := tab.v4.find(first); got != place {
				t.Fatalf("find(%d) = %d, want %d", first, got, place)
			}
			if got := tab.v4.find(last); got != place {
				t.Fatalf("find(%d) = %d, want %d", last, got, place)
			}
			next = last + 1
			return true
		})
		tab.v6.each(func(first, last uint64, place uint32) bool {
			if got := tab.v6.find(last); got != place {
				t.Fatalf("find(%d) = %d, want %d", last, got, place)
			}
			return true
		})
		_, n := tab.Lookup(netip.MustParseAddr("10.1.2.3"))
		tab.NetworkName(n)
		tab.Lookup(netip.MustParseAddr("2001:db8::1"))
	})
}

func BenchmarkLookup(b *testing.B) {
	tab := embeddedTable(b)
	rng := rand.New(rand.NewPCG(5, 6))
	v4, v6 := make([]netip.Addr, 1<<16), make([]netip.Addr, 1<<16)
	for i := range v4 {
		var x [4]byte
		binary.BigEndian.PutUint32(x[:], rng.Uint32())
		v4[i] = netip.AddrFrom4(x)
		y := [16]byte{0: 0x20 | byte(rng.Uint32()&0xf)}
		binary.BigEndian.PutUint64(y[1:], rng.Uint64())
		v6[i] = netip.AddrFrom16(y)
	}
	// Addresses that are in use, not air.
	var starts []uint64
	tab.v6.each(func(first, _ uint64, place uint32) bool {
		if place != 0 {
			starts = append(starts, first)
		}
		return true
	})
	for i := range v6 {
		var y [16]byte
		binary.BigEndian.PutUint64(y[:], starts[rng.IntN(len(starts))]+rng.Uint64()>>40)
		v6[i] = netip.AddrFrom16(y)
	}
	for _, c := range []struct {
		name  string
		addrs []netip.Addr
	}{{"v4", v4}, {"v6", v6}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				tab.Lookup(c.addrs[i&(1<<16-1)])
				i++
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Embedded(); err != nil {
			b.Fatal(err)
		}
	}
}

// A length of one byte is read by a way of its own, and passes where it says the same when
// written again.
func TestLengthsOfOneByte(t *testing.T) {
	wrong := 0
	for _, v4 := range []bool{true, false} {
		for b := range byte(0x80) {
			s := string(b)
			want, next := length(s, 0, v4)
			ok := string(appendLength(nil, want, v4)) == s
			if n, at, good := safeLength(s, 0, v4); good != ok || good && (n != want || at != next) {
				t.Errorf("v4 %v, %#x: %d to %d, %v; want %d to %d, %v", v4, b, n, at, good, want, next, ok)
			}
			if !ok {
				wrong++
			}
		}
	}
	if wrong == 0 {
		t.Error("none of them loses a bit")
	}
}
