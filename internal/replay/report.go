package replay

import (
	"time"

	"seawall/internal/defense"
	"seawall/internal/mitigation"
)

// Report is what a replay showed.
type Report struct {
	Files []File    `json:"files"`
	From  time.Time `json:"from"` // of the first and the last request
	To    time.Time `json:"to"`
	Late  uint64    `json:"late"` // lines whose time was before that of an earlier one

	Requests Requests         `json:"requests"`
	Attacks  []defense.Attack `json:"attacks"` // in the order in which they began
	Crowds   int              `json:"crowds"`  // many visitors that were no attack
	Done     []Done           `json:"done"`    // mitigations, in the order in which they would have been made
	Hit      Hit              `json:"hit"`     // whom they would have hit
	Steps    []defense.Record `json:"steps"`   // of the loop: what was seen and decided, and when

	Took time.Duration `json:"-"`
}

// File is one of the logs.
type File struct {
	Name     string    `json:"name"`
	Form     string    `json:"form"`
	Lines    uint64    `json:"lines"`
	Bad      uint64    `json:"bad"`
	Examples []BadLine `json:"bad_examples,omitempty"`
	Skipped  string    `json:"skipped,omitempty"` // why nothing of it was read
	Cut      string    `json:"cut,omitempty"`     // why no more of it was
}

// BadLine is a line that could not be read.
type BadLine struct {
	Line uint64 `json:"line"`
	Why  string `json:"why"`
	Text string `json:"text"`
}

// Requests are all that were replayed, by what would have become of them.
type Requests struct {
	All     uint64 `json:"all"`
	Refused uint64 `json:"refused"`
	Slowed  uint64 `json:"slowed"`
}

// Done is a mitigation that would have been made.
type Done struct {
	ID       mitigation.ID     `json:"id"`
	Match    string            `json:"match"`
	Action   mitigation.Action `json:"action"` // the hardest
	Note     string            `json:"note"`
	Rule     string            `json:"rule,omitempty"`    // its name, if the configuration orders it
	DryRun   bool              `json:"dry_run,omitempty"` // it would only have counted
	From     time.Time         `json:"from"`
	Until    *time.Time        `json:"until"` // nil: it stood at the end
	Requests uint64            `json:"requests"`
}

// Hit is whom mitigations and budgets would have met.
type Hit struct {
	Clients   uint64 `json:"clients"`  // that asked for anything at all
	Refused   uint64 `json:"refused"`  // of those, with a request refused
	Regulars  uint64 `json:"regulars"` // clients that had come for at least ten minutes before it
	RegularsR uint64 `json:"regulars_refused"`

	Countries []Share `json:"countries"` // of refused requests
	Agents    []Share `json:"agents"`
	Paths     []Share `json:"paths"`
	Reasons   []Share `json:"reasons"`
}

// Share is how many of the refused requests have something in common. Where it was
// counted with a bound, Count is at most so many.
type Share struct {
	Key   string `json:"key"`
	Count uint64 `json:"count"`
}
