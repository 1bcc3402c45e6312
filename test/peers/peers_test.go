package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"
)

// options are what PEERS_ variables say; see docs/peers.md.
type options struct {
	program string
	rounds  int
	seconds int
	only    string // part of the names of the rows wanted
	idle    int    // connections that are kept open
	settle  time.Duration
	accept  string
	pin     bool

	differing string // file with the script of that name
}

// newOptions builds the program, unless one is named.
func newOptions(t testing.TB) options {
	t.Helper()
	number := func(name string, otherwise int) int {
		text := os.Getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s is %q, and no number from 1", name, text)
		}
		return n
	}
	o := options{
		program: os.Getenv("PEERS_PROGRAM"),
		rounds:  number("PEERS_ROUNDS", 11), seconds: number("PEERS_SECONDS", 1), idle: number("PEERS_IDLE", 10_000),
		only: os.Getenv("PEERS_ONLY"), settle: 3 * time.Second, accept: "*/*", pin: os.Getenv("PEERS_PIN") != "off",
	}
	o.differing = filepath.Join(t.TempDir(), "differing.lua")
	if err := os.WriteFile(o.differing, []byte(differing), 0o600); err != nil {
		t.Fatal(err)
	}
	if a := os.Getenv("PEERS_ACCEPT"); a != "" {
		o.accept = a
	}
	if o.program == "" {
		o.program = filepath.Join(t.TempDir(), "seawall")
		build := exec.Command("go", "build", "-o", o.program, "seawall/cmd/seawall")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build the program: %v\n%s", err, out)
		}
	}
	return o
}

// once is how many requests one connection must bear before anything is measured:
// more than the number after which some servers close one by default.
const once = 1500

// measure makes one run and takes the shield's processor time over it.
func (s *stand) measure(r row, p *shield, o options, from *atomic.Int64) (sample, error) {
	quiet, err := newWatch(s.processes)
	if err != nil {
		return sample{}, err
	}
	before, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	var n tally
	if r.opens {
		n, err = newcomers(s, p, o, from)
	} else {
		n, err = run(r, p, o)
	}
	lasted := time.Since(began)
	if err != nil {
		return sample{}, err
	}
	after, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	until, err := newWatch(s.processes)
	if err != nil {
		return sample{}, err
	}
	if err := n.check(s.refuses); err != nil {
		return sample{}, err
	}
	got := sampleOf(n, after-before, lasted)
	got.others = quiet.share(until)
	// And still as it was.
	return got, s.steady(p, r.version, o, 1)
}

// row runs rounds of one row, in turns; each round begins with another shield.
// Who fails once takes no further part.
func (s *stand) row(t testing.TB, r row, o options) measured {
	m := measured{row: r, samples: map[string][]sample{}, faults: map[string]string{}}
	var from atomic.Int64
	fail := func(p *shield, err error) {
		m.faults[p.name] = "failed"
		t.Errorf("%s: %s: %v", r.name, p.name, err)
	}
	for _, p := range s.shields {
		if err := s.steady(p, r.version, o, once); err != nil {
			fail(p, err)
		}
	}
	// A first one is for the caches, tables and heaps of all, and not counted.
	warm := o
	warm.seconds = 1
	for _, p := range s.shields {
		if m.faults[p.name] != "" {
			continue
		}
		if _, err := s.measure(r, p, warm, &from); err != nil {
			fail(p, err)
		}
	}
	for round := range o.rounds {
		for i := range s.shields {
			p := s.shields[(round+i)%len(s.shields)]
			if m.faults[p.name] != "" {
				continue
			}
			got, err := s.measure(r, p, o, &from)
			if err != nil {
				fail(p, err)
				continue
			}
			m.samples[p.name] = append(m.samples[p.name], got)
		}
	}
	return m
}

// ready checks that what shields and wrk agree on is the same for all.
func (s *stand) ready(t testing.TB) {
	t.Helper()
	for _, p := range s.shields {
		if err := agreed(p); err != nil {
			t.Fatal(err)
		}
	}
}

const idleRow = "idle HTTPS connection"

// BenchmarkPeers prints what a request costs Seawall, nginx and HAProxy, and what
// an idle connection takes of memory.
func BenchmarkPeers(b *testing.B) {
	for _, tool := range []string{"wrk", "h2load", "openssl"} {
		where(b, tool)
	}
	o := newOptions(b)
	roomFor(b, o.idle)
	at := newPlaces(b, o.pin)
	wanted := slices.DeleteFunc(rows(), func(r row) bool { return !strings.Contains(r.name, o.only) })
	fmt.Printf("\n%d rounds of %d s each; %s, %s, a certificate for ECDSA P-256\n", o.rounds, o.seconds, suite, group)

	var all []measured
	for _, refuses := range []bool{true, false} {
		these := slices.DeleteFunc(slices.Clone(wanted), func(r row) bool { return r.refuses != refuses })
		if len(these) == 0 {
			continue
		}
		b.Run(map[bool]string{true: "refuse", false: "proxy"}[refuses], func(b *testing.B) {
			s := newStand(b, at, o, refuses)
			s.ready(b)
			if refuses {
				fmt.Printf("a refusal is %d with %d bytes\n", s.status, s.length)
			}
			for _, r := range these {
				all = append(all, s.row(b, r, o))
			}
		})
	}
	if strings.Contains(idleRow, o.only) {
		// Fresh ones: what load has left behind would hide what connections take.
		b.Run("idle", func(b *testing.B) { newStand(b, at, o, false).remember(b, o) })
	}
	if len(all) > 0 {
		fmt.Println()
		table(os.Stdout, all)
	}
}

// remember prints what an idle connection takes.
func (s *stand) remember(b *testing.B, o options) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s, HTTP/1.1, of %d\tresident memory\t\n", idleRow, o.idle)
	for _, p := range s.shields {
		n, err := idle(s, p, o)
		if err != nil {
			b.Errorf("%s: %v", p.name, err)
			fmt.Fprintf(w, "%s\tfailed\t\n", p.name)
			continue
		}
		fmt.Fprintf(w, "%s\t%.1f KiB\t\n", p.name, n/1024)
	}
	w.Flush()
}
