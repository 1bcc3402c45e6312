package filter

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"text/tabwriter"

	"seawall/internal/match"
)

// signed loads the filter with n signatures; text has a place for the number of
// each.
func signed(b *testing.B, n int, text string, enforce bool) *Filter {
	b.Helper()
	f := ours(b, 0, 443)
	var list []Signature
	for i := range n {
		m, err := match.Parse(fmt.Sprintf(text, i+1))
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, Signature{ID: uint32(i + 1), Match: m, Enforce: enforce})
	}
	if err := f.SetSignatures(list); err != nil {
		b.Fatal(err)
	}
	return f
}

// BenchmarkSignatures prints what signatures add to the cost of a packet that
// passes every other rung: nanoseconds of BPF_PROG_TEST_RUN, sources rotated,
// what the packet costs without signatures subtracted.
func BenchmarkSignatures(b *testing.B) {
	const beyond = 1 << 24 // sources on no list
	frame := ack(443, 16)  // its window is 0, its TTL 64, and it has 6 bytes of payload
	copy(frame[54:], []byte{0x30, 0x82})
	var paths []*path
	add := func(name string, f *Filter, stops bool) {
		paths = append(paths, &path{name: name, program: rotate(b, f.program, true, beyond, listed), frame: frame, stops: stops})
	}
	add("none", ours(b, 0, 443), false)
	for _, c := range []struct{ name, text string }{
		{"wrong at the first test", `packet.protocol == "udp" && packet.ttl == %d`},
		{"wrong at the last of five", `packet.protocol == "tcp" && packet.flags == "A" && packet.ttl in [63, 64] && packet.port == 443 && packet.window == %d`},
		{"wrong in the payload", `packet.protocol == "tcp" && packet.payload.startsWith("3082%02x")`},
	} {
		for _, n := range []int{1, 8, 32} {
			add(fmt.Sprintf("%d, %s", n, c.name), signed(b, n, c.text, true), false)
		}
	}
	const hits = `packet.protocol == "tcp" && packet.ttl == 64 && packet.window <= %d`
	add("1 that hits and stops", signed(b, 1, hits, true), true)
	add("32 that hit and count", signed(b, 32, hits, false), false)

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range rounds {
		for _, p := range paths {
			verdict, took, err := p.program.Benchmark(p.frame, repeats/4, func() {})
			if err != nil {
				b.Fatal(err)
			}
			if (verdict == xdpDrop) != p.stops {
				b.Fatalf("%s: verdict %d", p.name, verdict)
			}
			p.runs = append(p.runs, took)
		}
	}
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for i, p := range paths {
		if i == 0 {
			fmt.Fprintf(w, "%s\t%d ns with the wrapping, subtracted below\n", p.name, median(p.runs))
			continue
		}
		fmt.Fprintf(w, "%s\t%d ns\n", p.name, median(p.runs)-median(paths[0].runs))
	}
	w.Flush()
}
