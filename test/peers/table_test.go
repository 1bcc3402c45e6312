package peers

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// sample is what one run showed of one shield.
type sample struct {
	cost float64 // processor time an answer, microseconds
	rate float64 // answers a second
	busy float64 // share of one processor that the shield used
	// others is the share of the machine that all others used meanwhile.
	others float64
}

func sampleOf(n tally, cpu, lasted time.Duration) sample {
	return sample{
		cost: cpu.Seconds() * 1e6 / float64(n.answers),
		rate: float64(n.answers) / lasted.Seconds(),
		busy: cpu.Seconds() / lasted.Seconds(),
	}
}

// row is one line of the table, and the promise that it is held to.
type row struct {
	name    string
	refuses bool
	version version
	opens   bool    // new connections, instead of requests on open ones
	differ  bool    // no two requests are alike
	against string  // whom the promise is about; "" there is none
	most    float64 // times what that one takes
}

// rows is what is measured, and asked.
func rows() []row {
	return []row{
		{name: "refuse HTTP/1.1", refuses: true, version: http11, against: nginx, most: 1.0},
		{name: "refuse HTTP/1.1, none alike", refuses: true, version: http11, differ: true},
		{name: "refuse HTTPS/1.1", refuses: true, version: https11, against: nginx, most: 1.2},
		{name: "refuse HTTPS/2", refuses: true, version: https2, against: nginx, most: 1.5},
		{name: "new HTTPS connection", refuses: true, version: https11, opens: true, against: nginx, most: 1.3},
		{name: "proxy HTTP/1.1", version: http11, against: haproxy, most: 1.6},
		{name: "proxy HTTPS/1.1", version: https11, against: haproxy, most: 1.4},
		{name: "proxy HTTPS/2", version: https2, against: haproxy, most: 2.5},
	}
}

// measured is a row with what came of it.
type measured struct {
	row
	samples map[string][]sample // by shield
	faults  map[string]string   // what one of them could not do; its samples are void then
}

// names are the columns, in their order.
func names() []string { return []string{ours, nginx, haproxy} }

// of is the median of one figure of a shield, with the least and the most;
// whether there is one.
func (m measured) of(name string, figure func(sample) float64) (middle, least, greatest float64, ok bool) {
	if m.faults[name] != "" {
		return 0, 0, 0, false
	}
	var all []float64
	for _, s := range m.samples[name] {
		all = append(all, figure(s))
	}
	return median(all)
}

func median(all []float64) (middle, least, greatest float64, ok bool) {
	n := len(all)
	if n == 0 {
		return 0, 0, 0, false
	}
	slices.Sort(all)
	return (all[(n-1)/2] + all[n/2]) / 2, all[0], all[n-1], true
}

func cost(s sample) float64 { return s.cost }

// ratio is how many times what another takes Seawall takes: in each round, in which
// the machine's pace is nearly the same for both, and of those the median. It has two
// digits: what is printed is what is judged.
func (m measured) ratio(to string) (float64, bool) {
	if m.faults[ours] != "" || m.faults[to] != "" {
		return 0, false
	}
	var all []float64
	a, b := m.samples[ours], m.samples[to]
	for i := range min(len(a), len(b)) {
		if b[i].cost > 0 {
			all = append(all, a[i].cost/b[i].cost)
		}
	}
	middle, _, _, ok := median(all)
	return math.Round(middle*100) / 100, ok
}

// others is the median of what others used of the machine, over all runs.
func (m measured) others() float64 {
	var all []float64
	for _, name := range names() {
		for _, s := range m.samples[name] {
			all = append(all, s.others)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// why says why there is no ratio.
func (m measured) why(to string) string {
	for _, name := range []string{ours, to} {
		if what := m.faults[name]; what != "" {
			return what
		}
	}
	return "not measured"
}

// table writes what was measured.
func table(w io.Writer, all []measured) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "microseconds of processor time each: median (least to most)\n\t%s\tto nginx\tto HAProxy\n", strings.Join(names(), "\t"))
	cells := func(m measured, cell func(name string) string) {
		fmt.Fprint(t, m.name)
		for _, name := range names() {
			fmt.Fprint(t, "\t")
			if what := m.faults[name]; what != "" {
				fmt.Fprint(t, what)
			} else {
				fmt.Fprint(t, cell(name))
			}
		}
	}
	for _, m := range all {
		cells(m, func(name string) string {
			middle, least, greatest, ok := m.of(name, cost)
			if !ok {
				return "-"
			}
			return fmt.Sprintf("%.1f (%.1f to %.1f)", middle, least, greatest)
		})
		for _, to := range []string{nginx, haproxy} {
			if r, ok := m.ratio(to); ok {
				fmt.Fprintf(t, "\t%.2f", r)
			} else {
				fmt.Fprint(t, "\t-")
			}
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintf(t, "\na second, as it came (share of its processor)\n\t%s\tothers' share of the machine\n", strings.Join(names(), "\t"))
	for _, m := range all {
		cells(m, func(name string) string {
			rate, _, _, ok := m.of(name, func(s sample) float64 { return s.rate })
			busy, _, _, _ := m.of(name, func(s sample) float64 { return s.busy })
			if !ok {
				return "-"
			}
			return fmt.Sprintf("%.0f (%.2f)", rate, busy)
		})
		fmt.Fprintf(t, "\t%.2f\n", m.others())
	}
	fmt.Fprint(t, "\npromise\tasked\tmeasured\t\n")
	reached, promised := 0, 0
	for _, m := range all {
		if m.against == "" {
			continue
		}
		promised++
		name := m.name + ", against " + m.against
		asked := fmt.Sprintf("at most %.1f times", m.most)
		r, ok := m.ratio(m.against)
		switch {
		case !ok:
			fmt.Fprintf(t, "%s\t%s\t%s\t\n", name, asked, m.why(m.against))
			continue
		case r > m.most:
			fmt.Fprintf(t, "%s\t%s\t%.2f times\tMISSED\n", name, asked, r)
		default:
			fmt.Fprintf(t, "%s\t%s\t%.2f times\tok\n", name, asked, r)
		}
		if r <= 1 {
			reached++
		}
	}
	fmt.Fprintf(t, "goal 1.0x\tat most 1.0 times\t%d of %d reached\t\n", reached, promised)
	t.Flush()
}
