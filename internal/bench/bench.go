package bench

import (
	"context"
	"fmt"
	"slices"
)

// Options says what to measure.
type Options struct {
	Scenarios []string // names; none means all
	Peers     bool     // nginx and HAProxy too, where installed, and no front at all
	Short     bool     // half as long floods and fewer clients, for tests
	Clients   uint64   // distinct clients of the memory scenario; 0: a million, 100,000 if Short

	// Progress is told what is measured next; nil for nobody.
	Progress func(what string)
}

// Env is what bench needs of the program around it.
type Env struct {
	Executable string                     // this program
	Role       func(role string) []string // arguments that make it play a role of the demo
}

// Report is what was measured.
type Report struct {
	Results []Result `json:"results"`
}

// Passed says whether every bar was met.
func (r Report) Passed() bool {
	for _, s := range r.Results {
		for _, b := range s.Bars {
			if !b.Passed {
				return false
			}
		}
	}
	return true
}

// Result is what one scenario showed.
type Result struct {
	Name  string   `json:"name"`
	Title string   `json:"title"`
	Rows  []Row    `json:"rows"` // one for each front
	Bars  []Bar    `json:"bars"` // of Seawall
	Notes []string `json:"notes,omitempty"`
}

// Row is how one front did. Valid where the scenario has visitors.
type Row struct {
	Front     string  `json:"front"`
	Served    float64 `json:"served"` // share of visitors' requests during the flood
	P50       float64 `json:"p50_ms"` // during the flood
	P99       float64 `json:"p99_ms"` // during the flood
	QuietP99  float64 `json:"quiet_p99_ms"`
	Newcomers float64 `json:"newcomers"` // share served of those who came during the flood; negative: nobody came
	Reached   float64 `json:"reached"`   // share of the flood that reached the site
	CPU       float64 `json:"cpu_cores"` // of the front; 0 where unknown
	RSS       int64   `json:"rss_bytes"` // of the front at most; 0 where unknown
}

// Bar is one promise.
type Bar struct {
	Name     string `json:"name"`
	Asked    string `json:"asked"`
	Measured string `json:"measured"`
	Passed   bool   `json:"passed"`
	// Timed: a waiting time, which says something only on a quiet machine.
	Timed bool `json:"timed,omitempty"`
}

// scenario measures one thing.
type scenario struct {
	name, title string
	run         func(ctx context.Context, b *bench, r *Result) error
}

// scenarios lists all of them, in the order in which they run.
func scenarios() []scenario {
	return []scenario{
		{"heavy", "200 sources at 50 requests/s each, site of 500 requests/s", heavy},
		{"wide", "2,000 sources at 2 requests/s each, site of 500 requests/s", wide("")},
		{"queries", "the same, each request with a query of its own", wide("queries")},
		{"agents", "the same, each request from what says it is another browser", wide("agents")},
		{"pages", "the same, at another page every five seconds", wide("pages")},
		{"pulses", "the same, for two seconds in four", wide("pulses")},
		{"crowd", "a flash crowd: ten times the visitors within 30 s", crowd},
		{"rotate", "one attacker going through the 65,536 /64s of a /48", rotate},
		{"memory", "very many distinct clients, each seen once", memory},
	}
}

// Names lists the scenarios.
func Names() []string {
	var list []string
	for _, s := range scenarios() {
		list = append(list, s.name)
	}
	return list
}

// bench is one run.
type bench struct {
	o   Options
	env Env
}

// Run measures. What could not be measured counts as a bar missed, with the
// reason, and the other scenarios still run; when ctx ends, Run returns what it
// has. An error means that the options are wrong.
func Run(ctx context.Context, o Options, env Env) (Report, error) {
	for _, n := range o.Scenarios {
		if !slices.Contains(Names(), n) {
			return Report{}, fmt.Errorf("bench: there is no scenario %q; there are %v", n, Names())
		}
	}
	b := &bench{o: o, env: env}
	var report Report
	for _, s := range scenarios() {
		if len(o.Scenarios) > 0 && !slices.Contains(o.Scenarios, s.name) {
			continue
		}
		r := Result{Name: s.name, Title: s.title}
		before := machine()
		if err := s.run(ctx, b, &r); err != nil {
			r.Bars = append(r.Bars, Bar{Name: "could be measured", Asked: "yes", Measured: err.Error()})
		}
		r.Notes = append(before.disturbed(machine()), r.Notes...)
		report.Results = append(report.Results, r)
		if ctx.Err() != nil {
			break
		}
	}
	return report, nil
}

func (b *bench) say(format string, args ...any) {
	if b.o.Progress != nil {
		b.o.Progress(fmt.Sprintf(format, args...))
	}
}
