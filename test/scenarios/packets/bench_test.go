package packets

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// BenchmarkFlood prints what visitors, and the host's own, meet under each
// flood: without the filter, with an ideal one, and with Seawall. FLOOD_RATE is
// packets a second; FLOOD_ONLY is a part of the names of those
// wanted; FLOOD_COST shows what a packet costs in the filter.
func BenchmarkFlood(b *testing.B) {
	rate := 1_000_000
	if text := os.Getenv("FLOOD_RATE"); text != "" {
		var err error
		if rate, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	s := newStage(b)
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "flood\tat the host\tsent/s\treceived/s\tstopped/s\tvisits\tfailed\tSYN again\tconnect p50\tp99\tanswer p99\tDNS\tSSH\tmail")
	for _, f := range floods() {
		if !strings.Contains(f.name, os.Getenv("FLOOD_ONLY")) {
			continue
		}
		s.compare(b, w, f, rate)
	}
}

// How long a window is.
const (
	quiet = 5 * time.Second
	loud  = 10 * time.Second
)

// compare prints the rows of one flood, and what is to be said of them. Where
// not even the ideal filter is good enough the machine has other things to do,
// and Seawall is not judged; that is tried again.
func (s *stage) compare(b *testing.B, w *tabwriter.Writer, f flood, rate int) {
	b.Helper()
	for try := 1; ; try++ {
		end := s.open(b, without)
		s.row(b, w, f.name, without, rate, loud)
		end()
		end = s.open(b, ideal)
		before := s.row(b, w, "none", ideal, 0, quiet)
		best := s.row(b, w, f.name, ideal, rate, loud).missed(rate, asked(before))
		end()
		end = s.open(b, with)
		before = s.row(b, w, "none", with, 0, quiet)
		m := s.row(b, w, f.name, with, rate, loud)
		end()
		missed := m.missed(rate, asked(before))
		w.Flush()
		fmt.Printf("%s: Seawall's filter: %s\n", f.name, m.reasons())
		switch {
		case len(missed) == 0:
			fmt.Printf("%s: ok\n", f.name)
			return
		case len(best) == 0:
			fmt.Printf("%s: MISSED: %s\n", f.name, strings.Join(missed, "; "))
			return
		}
		fmt.Printf("%s: not judged: the ideal filter misses too: %s\n", f.name, strings.Join(best, "; "))
		if try == again {
			return
		}
	}
}

// row measures and prints one row.
func (s *stage) row(b *testing.B, w *tabwriter.Writer, flood string, at side, rate int, lasts time.Duration) window {
	b.Helper()
	m, err := s.watch(flood, rate, lasts)
	if err != nil {
		b.Fatal(err)
	}
	print(w, flood, at, m)
	if m.SSH.Failed > 0 { // for whoever comes next
		s.must(b, s.world, order{Do: "log in"})
	}
	return m
}

func print(w *tabwriter.Writer, what string, at side, m window) {
	per := func(n uint64) string {
		if m.Took == 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f", float64(n)/m.Took.Seconds())
	}
	share := func(n int) string { return fmt.Sprintf("%.2f %%", 100*float64(n)/float64(m.Visits.All)) }
	good := func(n tries) string { return fmt.Sprintf("%d of %d", n.All-n.Failed, n.All) }
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", what, at,
		per(uint64(m.Sent)), per(m.received()), per(m.kept()),
		m.Visits.All, share(m.Visits.All-m.Visits.Served), share(m.Visits.Repeated),
		ms(at50, m.Visits.Connect), ms(at99, m.Visits.Connect), ms(at99, m.Visits.Answer),
		good(m.DNS), good(m.SSH), good(m.Mail))
}

// reasons is what the filter did, per second, most first; with when SYNs were
// repeated, and what else went wrong first.
func (w window) reasons() string {
	done := w.done()
	names := slices.SortedFunc(maps.Keys(done), func(a, b string) int { return cmp.Compare(done[b], done[a]) })
	var out []string
	for _, name := range names {
		out = append(out, fmt.Sprintf("%s %.0f/s", name, float64(done[name])/w.Took.Seconds()))
	}
	if n := int64(w.after.Runs) - int64(w.before.Runs); n > 0 {
		out = append(out, fmt.Sprintf("%d ns a packet", int64(w.after.Ran-w.before.Ran)/n))
	}
	for i, at := range w.Visits.RepeatedAt {
		if i == 0 {
			out = append(out, "SYNs repeated at")
		}
		if i < 10 {
			out[len(out)-1] += fmt.Sprintf(" %.1f", at.Seconds())
		}
	}
	return strings.Join(out, ", ")
}

const (
	at50 = 0.50
	at99 = 0.99
)

// quantile of what is sorted; 0 of nothing.
func quantile(q float64, of []time.Duration) time.Duration {
	if len(of) == 0 {
		return 0
	}
	return of[min(int(q*float64(len(of))), len(of)-1)]
}

func ms(q float64, of []time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(quantile(q, of))/1e6)
}
