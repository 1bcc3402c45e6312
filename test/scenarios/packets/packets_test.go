package packets

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"seawall/internal/packet/craft"
)

// again is how often a window may be measured: something else may run on the
// same processors at the same time.
const again = 3

// TestFloods runs each flood for a short time at a rate that this machine's
// kernel could bear alone: it shows that the scenarios work, that the filter
// stops what it has a rung for, and that nobody else is hurt. `make bench-flood`
// runs them at full rate.
func TestFloods(t *testing.T) {
	const rate, lasts = 100_000, 2 * time.Second
	s := newStage(t)
	defer s.open(t, with)()
	for _, f := range floods() {
		t.Run(f.name, func(t *testing.T) {
			var missed []string
			for range again {
				m, err := s.watch(f.name, rate, lasts)
				if err != nil {
					t.Fatal(err)
				}
				if m.SSH.Failed > 0 {
					s.must(t, s.world, order{Do: "log in"})
				}
				missed = m.missed(rate, bars{lost: 0.25, visits: 0.001})
				stopped := float64(m.kept()) / float64(m.received())
				t.Logf("%d sent, %d received, %.1f %% of them stopped", m.Sent, m.received(), 100*stopped)
				if stopped < f.stopped {
					missed = append(missed, "too few are stopped")
				}
				if len(missed) == 0 {
					return
				}
				t.Log(strings.Join(missed, "; "))
			}
			t.Errorf("missed %d times: %s", again, strings.Join(missed, "; "))
		})
	}
}

// TestShots looks at frames as the generator makes them: no two alike, from
// those who are spoofed, with the checksums that they should have.
func TestShots(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loading programs into the kernel needs root")
	}
	for _, f := range floods() {
		turns, err := newTurns()
		if err != nil {
			t.Fatal(err)
		}
		defer turns.Close()
		p, err := load(1, f.shots, turns)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		defer p.Close()
		for i, s := range f.shots {
			for cpu := range runtime.NumCPU() {
				if err := turns.Put(uint32(cpu), uint32(i)); err != nil {
					t.Fatal(err)
				}
			}
			used := bytes.Clone(s.frame) // as it comes back from who has written into it
			clear(used[:min(len(used), renewed)])
			seen := map[string]bool{}
			for range 8 {
				out := make([]byte, len(s.frame))
				if _, err := p.Run(&ebpf.RunOptions{Data: used[beheads:], DataOut: out}); err != nil {
					t.Fatal(err)
				}
				seen[string(out)] = true
				checkFrame(t, f.name, out, s.whole())
			}
			if len(seen) < 7 { // of 65,536 two may be the same
				t.Errorf("%s, shot %d: only %d of 8 frames differ", f.name, i, len(seen))
			}
		}
	}
}

// whole says whether a shot is no fragment: it has a checksum beside IPv4's own.
func (s shot) whole() bool {
	return slices.ContainsFunc(s.sums, func(one sum) bool { return one.at != ipSum })
}

// checkFrame looks at addresses and, of a whole packet, at the checksums.
func checkFrame(t *testing.T, name string, b []byte, whole bool) {
	t.Helper()
	begin, proto, addresses := 34, b[23], b[26:34]
	source, _ := netip.AddrFromSlice(b[26:30])
	spoofed := source.As4()[1] == 19 || source.As4()[2] >= 128
	if binary.BigEndian.Uint16(b[12:]) == 0x86dd {
		begin, proto, addresses = 54, b[20], b[22:54]
		source, _ = netip.AddrFromSlice(b[22:38])
		spoofed = b[26] >= 128
	} else if n := craft.Checksum(0, b[14:34]); n != 0 {
		t.Errorf("%s: the IP header's checksum is off by %#x", name, n)
	}
	if !spoofed {
		t.Errorf("%s: sent from %s, which may be a visitor", name, source)
	}
	if !whole {
		return
	}
	segment := b[begin:]
	head := append(append([]byte{}, addresses...), 0, proto)
	head = binary.BigEndian.AppendUint16(head, uint16(len(segment)))
	if n := craft.Checksum(^craft.Checksum(0, head), segment); n != 0 {
		t.Errorf("%s: the checksum is off by %#x", name, n)
	}
}
