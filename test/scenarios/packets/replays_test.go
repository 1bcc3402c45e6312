package packets

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// shares prints percentages.
func shares(of []float64) string {
	var out []string
	for _, s := range of {
		out = append(out, fmt.Sprintf("%.2f", 100*s))
	}
	return strings.Join(out, " ") + " %"
}

// TestReplays replays floods that others captured against the whole program and
// the kernel's filter, visitors beside them: found, named and stopped within a
// second, and nobody else loses anything. `make bench-flood` does so for longer.
func TestReplays(t *testing.T) {
	const lasts = 3 * time.Second
	for _, c := range capturedFloods() {
		captureFile(t, c.file)
	}
	s := newStage(t)
	for _, c := range capturedFloods() {
		t.Run(c.name, func(t *testing.T) {
			var missed []string
			for range again {
				var w replayWindow
				w, missed = s.replayOnce(t, c, learns, lasts)
				f, after, _ := w.found(c.vector)
				t.Logf("%s, %s, found after %s; stopped in each second %s, enough from %s on; %s", f.Vector, f.What,
					after.Round(time.Millisecond), shares(w.seconds()), w.enoughFrom(), w.reasons())
				t.Log(f.Doing)
				for match, note := range w.look.Orders {
					t.Logf("%s: %s", match, note)
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

// replayOnce starts a Seawall that knows nothing, lets it learn, and replays.
func (s *stage) replayOnce(t testing.TB, c captured, quiet, lasts time.Duration) (w replayWindow, missed []string) {
	t.Helper()
	defer s.open(t, with)()
	if err := s.calm(quiet); err != nil {
		t.Fatal(err)
	}
	w, err := s.replay(captureFile(t, c.file), lasts)
	if err != nil {
		t.Fatal(err)
	}
	if w.SSH.Failed > 0 {
		s.must(t, s.world, order{Do: "log in"})
	}
	return w, w.missedReplay(c)
}

// BenchmarkReplay prints what becomes of each captured flood, and what visitors
// and the host's own meet beside it. FLOOD_ONLY is a part of the names of those
// wanted.
func BenchmarkReplay(b *testing.B) {
	const quiet, lasts = 15 * time.Second, 10 * time.Second
	for _, c := range capturedFloods() {
		captureFile(b, c.file)
	}
	s := newStage(b)
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "capture\tpackets\tsent/s\tvector\tfound after\t99 % from\tstopped in each second\tvisits\tfailed\tSYN again\tDNS\tSSH\tmail")
	for _, c := range capturedFloods() {
		if !strings.Contains(c.name, os.Getenv("FLOOD_ONLY")) {
			continue
		}
		m, missed := s.replayOnce(b, c, quiet, lasts)
		f, after, _ := m.found(c.vector)
		good := func(n tries) string { return fmt.Sprintf("%d of %d", n.All-n.Failed, n.All) }
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%s\t%.2f s\t%.1f s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", c.name, m.capture.Frames,
			float64(m.capture.Sent)/m.capture.Took.Seconds(), f.Vector, after.Seconds(), m.enoughFrom().Seconds(), shares(m.seconds()),
			m.Visits.All, m.Visits.All-m.Visits.Served, m.Visits.Repeated, good(m.DNS), good(m.SSH), good(m.Mail))
		w.Flush()
		fmt.Printf("%s: %s; Seawall's filter: %s\n", c.name, f.What, m.reasons())
		for _, match := range slices.Sorted(maps.Keys(m.look.Orders)) {
			fmt.Printf("%s: %s\n", match, m.look.Orders[match])
		}
		if len(missed) > 0 {
			fmt.Printf("%s: MISSED: %s\n", c.name, strings.Join(missed, "; "))
		} else {
			fmt.Printf("%s: ok\n", c.name)
		}
	}
}
