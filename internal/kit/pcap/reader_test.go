package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// writer writes captures of both kinds for tests.
type writer struct {
	order binary.AppendByteOrder
	b     []byte
	ends  []int // of the blocks
}

func (w *writer) u32(n ...uint32) {
	for _, n := range n {
		w.b = w.order.AppendUint32(w.b, n)
	}
}

func (w *writer) classic(magic uint32, link Link) {
	w.u32(magic, 2<<16|4, 0, 0, 65535, uint32(link))
}

func (w *writer) record(seconds, fraction, length uint32, frame string) {
	w.u32(seconds, fraction, uint32(len(frame)), length)
	w.b = append(w.b, frame...)
}

// block writes a block of pcapng.
func (w *writer) block(kind uint32, body []byte) {
	body = append(body, make([]byte, (4-len(body)%4)%4)...)
	n := uint32(12 + len(body))
	w.u32(kind, n)
	w.b = append(w.b, body...)
	w.u32(n)
	w.ends = append(w.ends, len(w.b))
}

func (w *writer) section() {
	body := w.order.AppendUint32(nil, byteOrder)
	w.block(section, append(w.order.AppendUint16(body, 1), make([]byte, 10)...))
}

func (w *writer) iface(link Link, snap uint32, options ...[]byte) {
	body := w.order.AppendUint32(w.order.AppendUint16(w.order.AppendUint16(nil, uint16(link)), 0), snap)
	w.block(interfaces, append(body, bytes.Join(options, nil)...))
}

func (w *writer) option(code uint16, value []byte) []byte {
	b := w.order.AppendUint16(w.order.AppendUint16(nil, code), uint16(len(value)))
	return append(append(b, value...), make([]byte, (4-len(value)%4)%4)...)
}

func (w *writer) packet(number uint32, at uint64, kept, length uint32, frame string, options ...[]byte) {
	var body []byte
	for _, n := range []uint32{number, uint32(at >> 32), uint32(at), kept, length} {
		body = w.order.AppendUint32(body, n)
	}
	body = append(append(body, frame...), make([]byte, (4-len(frame)%4)%4)...)
	w.block(enhanced, append(body, bytes.Join(options, nil)...))
}

// orders are both byte orders.
func orders() map[string]binary.AppendByteOrder {
	return map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian}
}

// read reads all packets, copied, with what each bad one said, and how it ended.
func read(b []byte) (all []Packet, bad []string, end error) {
	r, err := NewReader(iotest.HalfReader(bytes.NewReader(b)))
	if err != nil {
		return nil, nil, err
	}
	for {
		var p Packet
		err := r.Next(&p)
		var one *Bad
		switch {
		case errors.As(err, &one):
			bad = append(bad, one.Why)
		case err != nil:
			return all, bad, err
		default:
			p.Bytes = bytes.Clone(p.Bytes)
			all = append(all, p)
		}
	}
}

func TestClassic(t *testing.T) {
	for name, order := range orders() {
		for magic, unit := range map[uint32]int64{0xa1b2c3d4: 1000, 0xa1b23c4d: 1} {
			w := &writer{order: order}
			w.classic(magic, 4<<28|Cooked) // with the length of a checksum
			w.record(1_600_000_000, 123_456, 1500, "first")
			w.record(4_294_967_295, 999_999, 3, "longer than it was")
			if !Begins(w.b) {
				t.Errorf("%s, %x: no capture begins so", name, magic)
			}
			all, bad, end := read(w.b)
			if len(all) != 2 || len(bad) > 0 || end != io.EOF {
				t.Fatalf("%s, %x: %+v, %q, %v", name, magic, all, bad, end)
			}
			if p := all[0]; p.At != 1_600_000_000_000_000_000+123_456*unit || !p.Timed || p.Link != Cooked || p.Length != 1500 || string(p.Bytes) != "first" {
				t.Errorf("%s, %x: %+v", name, magic, p)
			}
			if p := all[1]; p.At != 4_294_967_295_000_000_000+999_999*unit || p.Length != 18 {
				t.Errorf("%s, %x: %+v", name, magic, p)
			}
			for n := range len(w.b) {
				all, _, end := read(w.b[:n])
				between := n == 24 || n == 24+16+5
				if end == nil || (end == io.EOF) != between || len(all) > 1 {
					t.Errorf("%s, cut at %d: %d packets, %v", name, n, len(all), end)
				}
			}
		}
	}
	w := &writer{order: binary.LittleEndian}
	w.classic(0xa1b2c3d4, Ethernet)
	w.u32(1, 1, longest+1, 60)
	if _, _, end := read(w.b); end == nil || !strings.Contains(end.Error(), "packet 1 is said to have 262145 bytes") {
		t.Errorf("a packet of 256 KiB and one: %v", end)
	}
}

func TestPcapng(t *testing.T) {
	for name, order := range orders() {
		w := &writer{order: order}
		w.section()
		w.block(0x80000bad, make([]byte, buffer)) // nobody knows it
		w.iface(Ethernet, 0)
		w.iface(Raw, 4, w.option(1, []byte("a comment")), w.option(ifTSResol, []byte{9}), w.option(ifTSOffset, order.AppendUint64(nil, 1000)))
		w.iface(Null, 0, w.option(ifTSResol, []byte{0x80 | 10}))
		w.packet(0, 1_600_000_000_123_456, 3, 1500, "one")
		w.packet(1, 1_600_000_000_123_456_789, 4, 4, "two.", w.option(1, []byte("what")), w.option(epbFlags, order.AppendUint32(nil, 2)), w.option(0, nil))
		w.packet(2, 5<<10|512, 0, 9, "", w.option(epbFlags, order.AppendUint32(nil, 1)))
		w.block(simple, append(order.AppendUint32(nil, 5), "three..."...))
		w.block(5, make([]byte, 8)) // statistics
		w.section()                 // what was said before counts no longer
		w.iface(Cooked2, 0, w.option(ifTSResol, []byte{0}))
		w.packet(0, 7, 1, 1, "x")
		all, bad, end := read(w.b)
		if len(all) != 5 || len(bad) > 0 || end != io.EOF {
			t.Fatalf("%s: %+v, %q, %v", name, all, bad, end)
		}
		for i, want := range []Packet{
			{At: 1_600_000_000_123_456_000, Timed: true, Link: Ethernet, Length: 1500, Bytes: []byte("one")},
			{At: 1_600_001_000_123_456_789, Timed: true, Link: Raw, Length: 4, Way: Out, Bytes: []byte("two.")},
			{At: 5_500_000_000, Timed: true, Link: Null, Length: 9, Way: In, Bytes: []byte{}},
			{Link: Ethernet, Length: 5, Bytes: []byte("three")},
			{At: 7_000_000_000, Timed: true, Link: Cooked2, Length: 1, Bytes: []byte("x")},
		} {
			got := all[i]
			same := bytes.Equal(got.Bytes, want.Bytes)
			got.Bytes, want.Bytes = nil, nil
			if !same || got.At != want.At || got.Timed != want.Timed || got.Link != want.Link || got.Length != want.Length || got.Way != want.Way {
				t.Errorf("%s: packet %d is %+v, want %+v", name, i+1, all[i], want)
			}
		}
	}
}

// A packet that cannot be had ends nothing; what says no longer where packets begin does.
func TestBroken(t *testing.T) {
	w := &writer{order: binary.LittleEndian}
	w.section()
	w.iface(Ethernet, 0)
	w.iface(Ethernet, 0, w.option(ifTSResol, []byte{0x80 | 64}))
	w.packet(7, 1, 3, 3, "one")
	w.packet(0, 1, 300, 300, "two")
	w.packet(1, 1, 5, 5, "three")
	w.packet(0, 1<<63, 4, 4, "four") // 292,471 years from 1970 on
	w.block(enhanced, []byte("five"))
	w.block(enhanced, make([]byte, buffer)) // six
	w.packet(0, 1, 5, 5, "seven")
	all, bad, end := read(w.b)
	if len(all) != 1 || string(all[0].Bytes) != "seven" || len(bad) != 6 || end != io.EOF {
		t.Errorf("%+v, %q, %v", all, bad, end)
	}
	whole := w.b
	for n := 24; n < 400; n++ {
		if _, _, end := read(whole[:n]); (end == io.EOF) != slices.Contains(w.ends, n) {
			t.Errorf("cut at %d, where blocks end at %v: %v", n, w.ends, end)
		}
	}
	for say, change := range map[string]func(){
		"ends with one of 0":     func() { w.block(enhanced, []byte("x")); copy(w.b[len(w.b)-4:], []byte{0, 0, 0, 0}) },
		"there is none of that ": func() { w.u32(enhanced, 13, 0) },
		"its byte order":         func() { w.block(section, make([]byte, 16)) },
		"described in":           func() { w.block(interfaces, []byte("xxxx")) },
		"more than 4096": func() {
			for range mostInterfaces {
				w.iface(Ethernet, 0)
			}
		},
	} {
		w.b = bytes.Clone(whole)
		change()
		if _, _, end := read(w.b); end == nil || !strings.Contains(end.Error(), say) {
			t.Errorf("%s: %v", say, end)
		}
	}
	for _, b := range []string{"", "x", "no capture begins so, ever"} {
		if _, err := NewReader(strings.NewReader(b)); err == nil || Begins([]byte(b)) {
			t.Errorf("%q is taken for a capture", b)
		}
	}
}

// Units of times, to the bounds of what can be said in them.
func TestTimes(t *testing.T) {
	for _, c := range []struct {
		unit   byte
		offset int64
		at     uint64
		want   int64 // -1: none
	}{
		{0, 0, 1, 1_000_000_000}, {3, 0, 1500, 1_500_000_000}, {9, 0, 1, 1}, {10, 0, 19, 1}, {12, 0, 1_000_000_001_000, 1_000_000_001},
		{19, 0, 1 << 63, 922_337_203}, {20, 0, 1, -1}, {0x80, 0, 3, 3_000_000_000}, {0x80 | 1, 0, 3, 1_500_000_000}, {0x80 | 63, 0, 1<<63 | 1<<62, 1_500_000_000},
		{0x80 | 64, 0, 1, -1}, {0, 0, 1 << 63, -1}, {6, -1, 1, -1}, {6, -1, 1_000_001, 1000}, {6, 1 << 62, 1, -1}, {6, -1 << 63, 1, -1},
		{0, 0, 9_223_372_035, 9_223_372_035_000_000_000}, {0, 0, 9_223_372_036, -1},
	} {
		i := iface{unit: c.unit, offset: c.offset}
		i.scale()
		if got, ok := i.time(c.at); ok != (c.want >= 0) || ok && got != c.want {
			t.Errorf("%d in %s and %d s: %d, %v; want %d", c.at, i.units(), c.offset, got, ok, c.want)
		}
	}
}

func TestLinkNames(t *testing.T) {
	for l, want := range map[Link]string{Ethernet: "1 (Ethernet)", 127: "127 (802.11, Wi-Fi)", 4711: "4711"} {
		if l.String() != want {
			t.Errorf("%q, want %q", l.String(), want)
		}
	}
}

// Whatever the bytes are, what is read is no more than they are, and it ends.
func FuzzReader(f *testing.F) {
	for _, order := range orders() {
		w := &writer{order: order}
		w.classic(0xa1b23c4d, Ethernet)
		w.record(1, 2, 3, "frame")
		f.Add(w.b)
		w = &writer{order: order}
		w.section()
		w.iface(Ethernet, 0, w.option(ifTSResol, []byte{0x80 | 20}), w.option(ifTSOffset, order.AppendUint64(nil, 3)))
		w.packet(0, 1<<40, 5, 9, "frame", w.option(epbFlags, order.AppendUint32(nil, 1)))
		w.block(simple, append(order.AppendUint32(nil, 5), "frame"...))
		f.Add(w.b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		all, bad, end := read(b)
		n := 0
		for _, p := range all {
			n += 12 + len(p.Bytes)
			if p.Length < len(p.Bytes) || p.Timed && p.At < 0 {
				t.Fatalf("%+v", p)
			}
		}
		if n+12*len(bad) > len(b) || end == nil {
			t.Fatalf("%d bytes and %d bad ones from %d, %v", n, len(bad), len(b), end)
		}
	})
}

// BenchmarkReader reads packets of small frames.
func BenchmarkReader(b *testing.B) {
	const packets = 100_000
	frame := strings.Repeat("x", 60)
	old := &writer{order: binary.LittleEndian}
	old.classic(0xa1b2c3d4, Ethernet)
	ng := &writer{order: binary.LittleEndian}
	ng.section()
	ng.iface(Ethernet, 0)
	for i := range uint32(packets) {
		old.record(i, i, 60, frame)
		ng.packet(0, uint64(i)<<20, 60, 60, frame)
	}
	for name, file := range map[string][]byte{"pcap": old.b, "pcapng": ng.b} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			from := bytes.NewReader(file)
			r, _ := NewReader(from)
			var p Packet
			for b.Loop() {
				if err := r.Next(&p); err == io.EOF {
					from.Reset(file)
					if r, err = NewReader(from); err != nil {
						b.Fatal(err)
					}
				} else if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
