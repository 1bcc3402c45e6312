package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"seawall/internal/kit/pcap"
)

// captured makes a capture of packets that have a byte each, by the seconds at which
// they came.
func captured(link uint32, at ...float64) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0xa1b2c3d4)
	for _, n := range []uint32{2<<16 | 4, 0, 0, 65535, link} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	for i, s := range at {
		for _, n := range []uint32{uint32(s), uint32((s - float64(uint32(s))) * 1e6), 1, 60} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		b = append(b, byte(i))
	}
	return b
}

// untimed makes a capture of packets of which only their bytes are known.
func untimed(n int) []byte {
	var b []byte
	block := func(kind uint32, body ...byte) {
		b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, kind), uint32(12+len(body)))
		b = binary.LittleEndian.AppendUint32(append(b, body...), uint32(12+len(body)))
	}
	block(0x0a0d0d0a, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255)
	block(1, 1, 0, 0, 0, 0, 0, 0, 0)
	for range n {
		block(3, 4, 0, 0, 0, 1, 2, 3, 4)
	}
	return b
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func onlyEthernet(l pcap.Link) bool { return l == pcap.Ethernet }

// wind reads captures to their ends and tells when each packet came, in seconds since
// the first one could.
func wind(t *testing.T, p *pace, files ...string) (all []string, about []*File, late uint64) {
	t.Helper()
	l := &tapes{pace: p}
	defer l.end()
	for _, f := range files {
		s, err := open(t.Context(), f, nil, func(int64) {})
		if err != nil {
			t.Fatal(err)
		}
		s.tape.reads = onlyEthernet
		if err := l.add(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		about = append(about, s.about)
	}
	for s := l.first(); s != nil; s = l.first() {
		all = append(all, fmt.Sprintf("%g", float64(s.tape.at)/1e9))
		if err := l.advance(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return all, about, l.late
}

// Captures are read as one, by time, however they are compressed; one that breaks off
// ends there, and that is said.
func TestTapes(t *testing.T) {
	var packed bytes.Buffer
	z, _ := zstd.NewWriter(&packed)
	_, _ = z.Write(captured(1, 3, 6))
	_ = z.Close()
	cut := captured(1, 2, 5, 8)
	all, about, late := wind(t, nil, written(t, "a.pcap", captured(1, 1, 4, 7)), written(t, "b.pcap.gz", gzipped(cut[:len(cut)-3])), written(t, "c.pcap.zst", packed.Bytes()))
	if got := strings.Join(all, " "); got != "1 2 3 4 5 6 7" || late != 0 {
		t.Errorf("%s, %d late", got, late)
	}
	for i, want := range []File{{Packets: 3}, {Packets: 2, Cut: "it ends within packet 3"}, {Packets: 2}} {
		if f := about[i]; f.Packets != want.Packets || f.Cut != want.Cut || f.Bad > 0 || f.Form != "pcap" || !f.capture {
			t.Errorf("%+v", f)
		}
	}
}

// A packet that is alone far ahead is left out; where those after it are there too, time
// has passed.
func TestTapeLeaps(t *testing.T) {
	for _, c := range []struct {
		at   []float64
		want string
		late uint64
	}{
		{[]float64{1, 1e9, 2, 3}, "1 2 3", 1},
		{[]float64{1, 1e9, 2, 1e9, 3}, "1 2 3", 2},
		{[]float64{1, 2e9, 2}, "1 2", 1},
		{[]float64{1, 2, 1e9}, "1 2 1e+09", 0}, // nothing came after it that could tell
		{[]float64{1, 1e9, 1e9}, "1 1e+09 1e+09", 0},
		{[]float64{1, 4000, 4001, 5}, "1 4000 4001 5", 0},
		{[]float64{1, 4000, 8000, 10_000}, "1 4000 8000 10000", 0},
		{[]float64{3, 2, 1}, "3 2 1", 0},
	} {
		all, _, late := wind(t, nil, written(t, "x", captured(1, c.at...)))
		if got := strings.Join(all, " "); got != c.want || late != c.late {
			t.Errorf("%v are read as %s, %d left out", c.at, got, late)
		}
	}
}

// Packets that cannot be used are counted and shown, and end nothing.
func TestBadPackets(t *testing.T) {
	b := captured(1, 1, 2)
	ng := untimed(2)
	all, about, _ := wind(t, &pace{rate: 1}, written(t, "x", ng))
	if len(all) != 2 || about[0].Bad > 0 || about[0].Form != "pcapng" {
		t.Errorf("%v, %+v", all, about[0])
	}
	// A block that is of no interface between two that are.
	bad := append(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 6), 32), 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	bad = binary.LittleEndian.AppendUint32(bad, 32)
	all, about, _ = wind(t, &pace{rate: 1}, written(t, "x", append(ng[:len(ng)-20:len(ng)-20], append(bad, ng[len(ng)-20:]...)...)))
	if f := about[0]; len(all) != 2 || f.Packets != 3 || f.Bad != 1 || len(f.Examples) != 1 || f.Examples[0].Packet != 2 || f.Examples[0].Why != "it is of interface 9, and there are 1" {
		t.Errorf("%v, %+v", all, f)
	}
	for say, c := range map[string][]byte{
		"type 127 (802.11, Wi-Fi), nothing is known here": captured(127, 1),
		"it holds no packets":                             captured(1),
		"breaks off within its first packet":              b[:40],
		"--rate says how many come in a second":           untimed(3),
	} {
		s, err := open(t.Context(), written(t, "x", c), nil, func(int64) {})
		if err != nil {
			t.Fatal(err)
		}
		s.tape.reads = onlyEthernet
		l := &tapes{}
		if err := l.add(t.Context(), s); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v", say, err)
		}
		s.end()
	}
}

// A capture is played at a pace once, or over and over for so long; what its own clock
// says is no matter then.
func TestPace(t *testing.T) {
	file := written(t, "x", captured(1, 100, 5, 1e9))
	again := func() (*source, error) { return open(t.Context(), file, nil, func(int64) {}) }
	for want, p := range map[string]*pace{
		"100 100.25 100.5":                       {rate: 4},
		"100 100.25 100.5 100.75 101 101.25":     {rate: 4, long: 1500 * time.Millisecond, again: again},
		"100 100.25":                             {rate: 4, long: 500 * time.Millisecond, again: again},
		"100 100.5 101 101.5 102 102.5 103":      {rate: 2, long: 3100 * time.Millisecond, again: again},
		"100 101 102 103 104 105 106 107 108 10": {rate: 1, long: 9 * time.Second, again: again},
	} {
		all, _, _ := wind(t, p, file)
		if got := strings.Join(all, " "); got != strings.TrimSuffix(want, " 10") {
			t.Errorf("at %d a second for %v: %s", p.rate, p.long, got)
		}
	}
	for err, o := range map[error]Options{errPaceOne: {Rate: 1}, errPaceLong: {Rate: 1, For: 1}} {
		files := []string{"-"}
		if err == errPaceOne {
			files = []string{"a", "b"}
		}
		if _, got := Run(context.Background(), files, o); got != err {
			t.Errorf("%v: %v", err, got)
		}
	}
	log := written(t, "access.log", []byte(logLine("203.0.113.1", day, "/")))
	if _, err := Run(context.Background(), []string{log}, Options{Rate: 1}); err != errPaceLog {
		t.Errorf("a log at a pace: %v", err)
	}
}
