package doctor

import (
	"cmp"
	"fmt"
	"slices"
)

// Level says how something is.
type Level string

// The levels. What cannot be found out counts as missing.
const (
	Good    Level = "good"
	Poor    Level = "poor"
	Missing Level = "missing"
)

// Finding is one line of the report.
type Finding struct {
	Subject string `json:"subject"`
	Level   Level  `json:"level"`
	What    string `json:"what"`
	Do      string `json:"do,omitempty"` // commands in backquotes; may be there when all is good, too

	// weight orders what is not good: what helps most against a flood comes
	// first. 0 to 100.
	weight int
}

// Weights of findings, from what lets a small flood win to what is only tidy.
const (
	open    = 90 // attackers can walk around Seawall
	lost    = 80 // a defence that was asked for cannot work
	costly  = 60 // a flood costs several times what it needs to
	weak    = 40 // a limit that a flood reaches early
	unknown = 20 // nobody could tell
	tidy    = 10
)

// notes gathers the findings of one subject.
type notes struct {
	subject string
	list    []Finding
}

func (n *notes) good(what string, args ...any) {
	n.list = append(n.list, Finding{Subject: n.subject, Level: Good, What: fmt.Sprintf(what, args...)})
}

func (n *notes) poor(weight int, do, what string, args ...any) {
	n.list = append(n.list, Finding{n.subject, Poor, fmt.Sprintf(what, args...), do, weight})
}

func (n *notes) missing(weight int, do, what string, args ...any) {
	n.list = append(n.list, Finding{n.subject, Missing, fmt.Sprintf(what, args...), do, weight})
}

// Report is everything that was found.
type Report struct {
	Findings []Finding `json:"findings"`
	// Measured is what was measured; nil where measuring was left out.
	Measured *Measured `json:"measured,omitempty"`
	Good     int       `json:"good"`
	Poor     int       `json:"poor"`
	Missing  int       `json:"missing"`
	// First is what to do first; nil where nothing is amiss.
	First *Finding `json:"first,omitempty"`
}

// sum counts the findings and picks the one to see to first.
func (r *Report) sum() {
	for _, f := range r.Findings {
		switch f.Level {
		case Good:
			r.Good++
		case Poor:
			r.Poor++
		case Missing:
			r.Missing++
		}
	}
	amiss := slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Level == Good || f.Do == "" })
	if len(amiss) == 0 {
		return
	}
	// Of equal weight, what is missing comes before what is poor.
	slices.SortStableFunc(amiss, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.Level, b.Level))
	})
	r.First = &amiss[0]
}
