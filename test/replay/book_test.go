package replay

import (
	"bufio"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"seawall/internal/packet/craft"
)

// book writes a capture.
type book struct {
	w   *bufio.Writer
	f   *os.File
	rng *rand.Rand
	n   int

	second []timed // not written yet
}

type timed struct {
	at    time.Time
	frame []byte
}

func newBook(t testing.TB, name string) *book {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	b := &book{w: bufio.NewWriterSize(f, 1<<20), f: f, rng: rand.New(rand.NewPCG(1, 2))}
	head := make([]byte, 24)
	for i, n := range []uint32{0xa1b23c4d, 4<<16 | 2, 0, 0, 262144, 1} {
		binary.LittleEndian.PutUint32(head[4*i:], n)
	}
	_, _ = b.w.Write(head)
	return b
}

// frame keeps a frame until the end of its second, for they come in any order.
func (b *book) frame(at time.Time, frame []byte) {
	b.second = append(b.second, timed{at, slices.Clone(frame)})
}

// write writes what came up to a moment.
func (b *book) write(until time.Time) {
	slices.SortStableFunc(b.second, func(x, y timed) int { return x.at.Compare(y.at) })
	n, _ := slices.BinarySearchFunc(b.second, until, func(x timed, u time.Time) int { return x.at.Compare(u) })
	for _, f := range b.second[:n] {
		b.put(f.at, f.frame)
	}
	b.second = slices.Delete(b.second, 0, n)
}

func (b *book) put(at time.Time, frame []byte) {
	var head [16]byte
	for i, n := range []uint32{uint32(at.Unix()), uint32(at.Nanosecond()), uint32(len(frame)), uint32(len(frame))} {
		binary.LittleEndian.PutUint32(head[4*i:], n)
	}
	_, _ = b.w.Write(head[:])
	_, _ = b.w.Write(frame)
	b.n++
}

func (b *book) done(t testing.TB) string {
	t.Helper()
	b.write(morning.Add(24 * time.Hour))
	if err := b.w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := b.f.Close(); err != nil {
		t.Fatal(err)
	}
	return b.f.Name()
}

var server = netip.MustParseAddr("198.51.100.1")

// visitors are those of a second: each opens a connection, asks and is answered.
func (b *book) visitors(at time.Time, n int) {
	for i := range n {
		who := netip.AddrFrom4([4]byte{84, 1, byte(b.rng.IntN(250)), byte(1 + b.rng.IntN(250))})
		at, port := at.Add(time.Duration(i)*time.Second/time.Duration(n)), uint16(32768+b.rng.IntN(28000))
		options := [][]byte{{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7}, {2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2}}[b.rng.IntN(2)]
		up := craft.Frame{Source: who, Dest: server, SPort: port, DPort: 443, TTL: byte(44 + b.rng.IntN(15)), Window: []uint16{64240, 65535, 29200}[b.rng.IntN(3)]}
		down := craft.Frame{Source: server, Dest: who, SPort: 443, DPort: port, TTL: 64}
		for k, step := range []struct {
			f       *craft.Frame
			flags   byte
			payload int
		}{
			{&up, craft.SYN, 0}, {&down, craft.SYN | craft.ACK, 0}, {&up, craft.ACK, 0}, {&up, craft.PSH | craft.ACK, 300 + b.rng.IntN(300)},
			{&down, craft.ACK, 1400}, {&up, craft.ACK, 0}, {&up, craft.PSH | craft.ACK, 60 + b.rng.IntN(100)}, {&down, craft.PSH | craft.ACK, 700},
			{&up, craft.FIN | craft.ACK, 0}, {&down, craft.FIN | craft.ACK, 0}, {&up, craft.ACK, 0},
		} {
			f := *step.f
			f.Flags, f.Payload = step.flags, make([]byte, step.payload)
			if k == 0 {
				f.TCPOptions = options
			}
			for j := range f.Payload {
				f.Payload[j] = byte(b.rng.Uint32())
			}
			b.frame(at.Add(time.Duration(k)*5*time.Millisecond), f.Bytes())
		}
	}
}

// syns are a second of a flood from made-up sources, with an option each, as a program
// makes them.
func (b *book) syns(at time.Time, n int) {
	frame := craft.Frame{Source: server, Dest: server, SPort: 1, DPort: 443, Flags: craft.SYN, TTL: 57, Window: 512, TCPOptions: []byte{2, 4, 5, 180}}.Bytes()
	for i := range n {
		binary.BigEndian.PutUint32(frame[26:], 0x05000000|b.rng.Uint32N(1<<24))
		binary.BigEndian.PutUint16(frame[34:], uint16(1024+b.rng.IntN(60000)))
		b.frame(at.Add(time.Duration(i)*time.Second/time.Duration(n)), frame)
	}
}

// When the flood of capturing begins and ends, and the capture, in seconds.
const synsFrom, synsTo, capturedFor = 40, 50, 70

// capturing makes a capture of a site with 40 visitors a second, and ten seconds of a
// flood of so many SYNs a second.
func capturing(t testing.TB, name string, flood int) string {
	t.Helper()
	b := newBook(t, name)
	for s := range capturedFor {
		at := morning.Add(time.Duration(s) * time.Second)
		b.visitors(at, 40)
		if s >= synsFrom && s < synsTo {
			b.syns(at, flood)
		}
		b.write(at.Add(time.Second))
	}
	return b.done(t)
}
