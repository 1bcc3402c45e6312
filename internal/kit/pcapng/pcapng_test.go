package pcapng

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// frame is an Ethernet frame with a SYN from 198.51.100.7 to 203.0.113.1.
func frame() []byte {
	return append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 8, 0},
		0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 7, 203, 0, 113, 1,
		0x9c, 0x40, 1, 0xbb, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2, 0xfa, 0xf0, 0, 0, 0, 0)
}

func example() []byte {
	at := time.Date(2026, 8, 31, 12, 0, 0, 123456789, time.UTC)
	b := AppendHead(nil, "test", "a comment", "an interface", 160)
	for _, p := range []Packet{
		{At: at, Length: 54, Bytes: frame(), Comment: "stopped: state; one of 512", Verdict: Dropped},
		{At: at.Add(time.Second), Length: 1514, Bytes: frame()[:37], Verdict: Passed},
	} {
		b = AppendPacket(b, &p)
	}
	return AppendStatistics(b, &Totals{From: at, Till: at.Add(time.Second), Received: 1024, Accepted: 3, Lost: 1, Delivered: 2})
}

// tcpdump reads what is written.
func TestTcpdumpReads(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump is not installed")
	}
	file := filepath.Join(t.TempDir(), "a.pcapng")
	if err := os.WriteFile(file, example(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tcpdump, "-nn", "-tttt", "--nano", "-e", "-r", file)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"2026-08-31 12:00:00.123456789", "length 54: 198.51.100.7.40000 > 203.0.113.1.443", "Flags [S]"} {
		if !strings.Contains(lines[1], want) {
			t.Errorf("no %q in %s", want, lines[1])
		}
	}
	if !strings.Contains(lines[0], "link-type EN10MB (Ethernet), snapshot length 160") || !strings.Contains(lines[2], "length 1514: ") {
		t.Errorf("%s", out)
	}
}

func TestBlocks(t *testing.T) {
	whole := example()
	var kinds []Kind
	var again []byte
	r := NewBlocks(iotest.OneByteReader(bytes.NewReader(whole)))
	for {
		kind, block, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kinds, again = append(kinds, kind), append(again, block...)
		if kind != Statistics {
			continue
		}
		got := ReadTotals(block)
		if len(block) != StatisticsLen || got != (Totals{Received: 1024, Accepted: 3, Lost: 1, Delivered: 2}) {
			t.Errorf("%d bytes, %+v", len(block), got)
		}
	}
	want := []Kind{Section, Interface, Enhanced, Enhanced, Statistics}
	if !bytes.Equal(again, whole) || len(kinds) != len(want) {
		t.Errorf("%v", kinds)
	}
	for i := range want {
		if kinds[i] != want[i] {
			t.Errorf("block %d is a %d", i, kinds[i])
		}
	}
}

// However a file is cut, the blocks before the cut come whole, and then an error
// that is io.EOF only between blocks.
func TestBlocksCut(t *testing.T) {
	whole := example()
	for n := range len(whole) {
		r, got := NewBlocks(bytes.NewReader(whole[:n])), 0
		var err error
		for err == nil {
			var block []byte
			if _, block, err = r.Next(); err == nil {
				got += len(block)
			}
		}
		if between := got == n; between != (err == io.EOF) || !between && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d, %d bytes in whole blocks: %v", n, got, err)
		}
	}
}

func FuzzBlocks(f *testing.F) {
	f.Add(example())
	f.Add([]byte{5, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, all := NewBlocks(bytes.NewReader(b)), 0
		for {
			kind, block, err := r.Next()
			if err != nil {
				break
			}
			if all += len(block); all > len(b) {
				t.Fatal("more came out than went in")
			}
			if kind == Statistics {
				ReadTotals(block)
			}
		}
	})
}
