package baseline

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"seawall/internal/traffic"
)

// TestSamplesOutliveARestart, without what leads to anybody.
func TestSamplesOutliveARestart(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	s.networks = 3
	live(b, s, 100*time.Minute, 6, "")
	w := s.second(60, 0)
	for i := range w.Samples {
		v := &w.Samples[i].Visit
		v.Client = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 0, byte(7 + i%3), 0, 8, 15: 9})
		v.Peer = v.Client
		v.Country, v.Network, v.HTTP, v.JA4 = traffic.Country{'G', 'B'}, 64500, traffic.HTTP2, "t13d1516h2_8daaf6152771_d8a2da3f94cd"
		v.HeaderOrder, v.QueryShape, v.OpeningHTTP2, v.Secure = 1<<63, 77, 78, true
		v.UserAgent = "\xff\xfe no text"
		if v.Path = "/news"; i == 7 {
			v.Path = "/new-password/dGhpcyBpcyBhIHNlY3JldA"
		}
	}
	for range 3 {
		b.Learn(w, false)
		w.At, w.Wall = w.At.Add(time.Minute), w.Wall.Add(time.Minute)
		w.Samples[7].Visit.Path = "/news" // the other one came once
	}
	data := b.MarshalSamples()
	for _, secret := range []string{"192.0.2.", "192.0.3.", "q=1", "new-password", string(netip.MustParseAddr("2001:db8:7:8::9").AsSlice()[:8])} {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("%q is in what is saved", secret)
		}
	}
	c := New(DefaultConfig())
	if err := c.UnmarshalSamples(data); err != nil {
		t.Fatal(err)
	}
	b.day.show()
	b.week.show()
	for _, x := range []struct{ got, want []traffic.Sample }{{c.Normal().OrdinaryDay, b.day.items}, {c.Normal().OrdinaryWeek, b.week.items}} {
		if len(x.want) < 1000 || len(x.got) != len(x.want) {
			t.Fatalf("%d samples were loaded, saved were %d", len(x.got), len(x.want))
		}
		six := 0
		for i := range x.want {
			if x.want[i].Visit.Client.Is6() {
				six++
			}
			if strings.HasPrefix(x.want[i].Visit.Path, "/new-password") {
				x.want[i].Visit.Path = ""
			}
			if !reflect.DeepEqual(x.got[i], x.want[i]) {
				t.Fatalf("loaded %+v,\nsaved %+v", x.got[i], x.want[i])
			}
		}
		if six == 0 {
			t.Error("nothing of IPv6 was saved")
		}
	}
	if again := c.MarshalSamples(); !bytes.Equal(again, data) {
		t.Errorf("saved again: %d bytes, were %d", len(again), len(data))
	}

	// It learns on where it was, and after days off only what is younger than a week is left.
	live(c, s, 30*time.Minute, 6, "/later")
	n := c.Normal()
	if of(n.OrdinaryDay, "/later") < 100 || of(n.OrdinaryDay, "/style.css") < 300 {
		t.Errorf("%d samples, %d of them new", len(n.OrdinaryDay), of(n.OrdinaryDay, "/later"))
	}
	for _, off := range []struct {
		days      int
		day, week bool
	}{{0, true, true}, {2, false, true}, {9, false, false}, {-1, false, false}} {
		d := New(DefaultConfig())
		if err := d.UnmarshalSamples(data); err != nil {
			t.Fatal(err)
		}
		w := newSite().second(80, 0)
		w.Wall = s.wall.AddDate(0, 0, off.days)
		d.Learn(w, true)
		if n := d.Normal(); len(n.OrdinaryDay) > 0 != off.day || len(n.OrdinaryWeek) > 0 != off.week {
			t.Errorf("after %d days: %d and %d samples", off.days, len(n.OrdinaryDay), len(n.OrdinaryWeek))
		}
	}
}

// TestSecretLinksAreNotWritten: a path that fewer than three networks asked for may be a
// link by which somebody sets a new password, however often it was asked for.
func TestSecretLinksAreNotWritten(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	s.networks = 4
	w := s.second(200, 0)
	link := func(at int, method, path string, from ...string) {
		for i, a := range from {
			v := &w.Samples[at+i].Visit
			v.Method, v.Path, v.Client = method, path, netip.MustParseAddr(a)
		}
	}
	link(0, "GET", "/reset/once", "198.51.100.7")
	link(10, "GET", "/reset/twice", "198.51.100.7")
	link(20, "POST", "/reset/twice", "198.51.100.7")
	link(30, "GET", "/reset/often", "198.51.100.7", "198.51.100.8", "198.51.100.9", "198.51.100.7", "198.51.100.8")
	link(40, "GET", "/reset/mapped", "198.51.100.7", "::ffff:198.51.100.7", "203.0.113.9", "::ffff:203.0.113.9")
	link(50, "GET", "/reset/six", "2001:db8:1:2::3", "2001:db8:1:3::3", "2001:db8:1:4::3", "203.0.113.9")
	link(60, "GET", "/about", "2001:db8:1:2::3", "198.51.100.7", "203.0.113.9")
	w.Samples[70].Visit.Path, w.Samples[71].Visit.Path, w.Samples[72].Visit.Path = "/nobody", "/nobody", "/nobody"
	for i := range 3 {
		w.Samples[70+i].Visit.Client = netip.Addr{} // unknown, and so none of three
	}
	for range 12 {
		b.Learn(w, false)
		w.At, w.Wall = w.At.Add(time.Minute), w.Wall.Add(time.Minute)
	}
	c := New(DefaultConfig())
	if err := c.UnmarshalSamples(b.MarshalSamples()); err != nil {
		t.Fatal(err)
	}
	before, after := b.Normal(), c.Normal()
	for _, x := range []struct{ before, after []traffic.Sample }{{before.OrdinaryDay, after.OrdinaryDay}, {before.OrdinaryWeek, after.OrdinaryWeek}} {
		for _, path := range []string{"/reset/once", "/reset/twice", "/reset/often", "/reset/mapped", "/reset/six", "/nobody"} {
			if was, is := of(x.before, path), of(x.after, path); was == 0 || is != 0 {
				t.Errorf("%s is in %d samples, and in %d of those that were written", path, was, is)
			}
		}
		for _, path := range []string{"/about", "/style.css"} {
			if was, is := of(x.before, path), of(x.after, path); was == 0 || is != was {
				t.Errorf("%s is in %d samples, and in %d of those that were written", path, was, is)
			}
		}
		if len(x.after) != len(x.before) {
			t.Errorf("%d of %d samples were written", len(x.after), len(x.before))
		}
	}
}

// TestSamplesAreBounded: the longest that there can be can be read back.
func TestSamplesAreBounded(t *testing.T) {
	b := New(DefaultConfig())
	for _, s := range b.spans() {
		for i := range s.slots {
			sl := slot{number: 300_000 + int64(i), seen: 1 << 40}
			for j := range mostSpan / len(s.slots) {
				long := func(c string) string { return fmt.Sprintf("%010d", len(s.slots)<<32+i<<16+j) + strings.Repeat(c, 200) }
				v := traffic.Visit{
					Client: netip.MustParseAddr("2001:db8:ffff::"), Network: 1<<32 - 1, Country: traffic.Country{'Z', 'Z'}, HeaderOrder: 1<<64 - 1, QueryShape: 1<<64 - 1, OpeningHTTP2: 1<<64 - 1,
					Method: long("m"), Host: long("h"), Path: long("p"), UserAgent: long("u"), JA4: long("j"),
				}
				sl.items = append(sl.items, v.Keep(traffic.Outcome{}, false))
				sl.items[j].Visit.Client = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 0xff, byte(j % 3)})
				if j%3 > 0 { // three networks asked for it, so that it is written
					sl.items[j].Visit.Path = sl.items[j-1].Visit.Path
				}
			}
			s.slots[sl.number%int64(len(s.slots))], s.now = sl, sl.number
		}
	}
	data := b.MarshalSamples()
	t.Logf("%d bytes at most", len(data))
	if err := New(DefaultConfig()).UnmarshalSamples(data); err != nil {
		t.Error(err)
	}
}

func BenchmarkMarshalSamples(b *testing.B) {
	bl, s := New(DefaultConfig()), newSite()
	live(bl, s, 40*time.Minute, 4, "")
	b.ReportAllocs()
	for b.Loop() {
		bl.MarshalSamples()
	}
}

func signed(body []byte) []byte { return append(fmt.Appendf(nil, keptHead, checksum(body)), body...) }

// kept makes a body of one string and a day of one slot; the week is empty.
func kept(numbers ...uint64) []byte {
	b := []byte{1, 2, '/', 'x'}
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func TestSamplesRefuseDamage(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	live(b, s, 5*time.Minute, 1, "")
	good := b.MarshalSamples()
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	sample := []uint64{0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	one := func(at int, to uint64) []uint64 {
		out := append([]uint64{1, 400_000, 1, 1}, sample...)
		out[4+at] = to
		return append(out, 0)
	}
	if err := New(DefaultConfig()).UnmarshalSamples(signed(kept(one(0, 0)...))); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"empty":            nil,
		"cut":              good[:len(good)-1],
		"a bit flipped":    flipped,
		"another version":  bytes.Replace(good, []byte("ordinary 1"), []byte("ordinary 2"), 1),
		"huge":             append(bytes.Clone(good), make([]byte, MostSamples)...),
		"nothing":          signed(nil),
		"more behind":      signed(kept(append(one(0, 0), 0)...)),
		"flags":            signed(kept(one(0, 4)...)),
		"version of HTTP":  signed(kept(one(1, 9)...)),
		"kind":             signed(kept(one(2, 4)...)),
		"clearance":        signed(kept(one(3, 3)...)),
		"standing":         signed(kept(one(4, 5)...)),
		"country":          signed(kept(one(5, 'g')...)),
		"network":          signed(kept(one(7, 1<<32)...)),
		"no such string":   signed(kept(one(13, 1)...)),
		"address":          signed(kept(append(append([]uint64{1, 400_000, 1, 1}, sample[:16]...), 4, 1, 2, 3, 4, 0)...)),
		"whole address":    signed(kept(append(append([]uint64{1, 400_000, 1, 1}, sample[:16]...), 16, 1, 2, 3, 4, 0)...)),
		"no sample":        signed(kept(1, 400_000, 1, 0, 0)),
		"more than seen":   signed(kept(append(append(append([]uint64{1, 400_000, 1, 2}, sample...), sample...), 0)...)),
		"too many samples": signed(kept(1, 400_000, 5000, 2001)),
		"too many slots":   signed(kept(49)),
		"a slot twice":     signed(kept(append(append(append(append([]uint64{2, 400_000, 1, 1}, sample...), 400_000, 1, 1), sample...), 0)...)),
		"no time":          signed(kept(append(append([]uint64{1, 0, 1, 1}, sample...), 0)...)),
		"a long string":    signed(append([]byte{1, 161, 1}, make([]byte, 200)...)),
		"many strings":     signed(binary.AppendUvarint(nil, 20_001)),
	} {
		c := New(DefaultConfig())
		if err := c.UnmarshalSamples(data); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: error %v", name, err)
		}
		if n := c.Normal(); len(n.OrdinaryDay)+len(n.OrdinaryWeek) > 0 {
			t.Errorf("%s: left its mark", name)
		}
	}
}

func FuzzUnmarshalSamples(f *testing.F) {
	b, s := New(DefaultConfig()), newSite()
	for range 12 { // a small one, or shrinking it takes all the time
		b.Learn(s.second(2, 0), false)
	}
	_, body, _ := bytes.Cut(b.MarshalSamples(), []byte("\n"))
	f.Add(body)
	f.Add(kept(append([]uint64{1, 400_000, 1, 1}, 3, 2, 1, 1, 1, 'G', 'B', 7, 1, 2, 3, 0, 0, 0, 0, 0, 3, 1, 2, 3, 0)...))
	f.Add([]byte{0, 0, 0})
	w := s.second(8, 0)
	f.Fuzz(func(t *testing.T, body []byte) {
		b := New(DefaultConfig())
		if b.UnmarshalSamples(body) == nil {
			t.Fatal("no checksum needed")
		}
		if b.UnmarshalSamples(signed(body)) != nil {
			return
		}
		n := b.Normal()
		if len(n.OrdinaryDay) > mostSpan || len(n.OrdinaryWeek) > mostSpan {
			t.Fatalf("%d and %d samples", len(n.OrdinaryDay), len(n.OrdinaryWeek))
		}
		for _, o := range append(n.OrdinaryDay[:len(n.OrdinaryDay):len(n.OrdinaryDay)], n.OrdinaryWeek...) {
			v := &o.Visit
			if len(v.Path) > keptString || len(v.UserAgent) > keptString || len(v.Host) > 80 || len(v.Method) > 16 || len(v.JA4) > 36 || v.RawQuery != "" || v.Peer.IsValid() {
				t.Fatalf("%+v", v)
			}
			if v.Client != traffic.PrefixOf(v.Client, traffic.LevelWide).Addr() && v.Client.IsValid() {
				t.Fatalf("an address: %v", v.Client)
			}
			for field := range traffic.Fields {
				v.Key(field)
			}
		}
		out := b.MarshalSamples()
		c := New(DefaultConfig())
		if err := c.UnmarshalSamples(out); err != nil {
			t.Fatalf("cannot be saved again: %v", err)
		}
		if !bytes.Equal(c.MarshalSamples(), out) {
			t.Fatal("saved again it is another")
		}
		b.Learn(w, false)
	})
}
