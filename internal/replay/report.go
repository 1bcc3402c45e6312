package replay

import (
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense"
	"seawall/internal/mitigation"
)

// Report is what a replay showed.
type Report struct {
	Files []File    `json:"files"`
	From  time.Time `json:"from"` // of the first and the last request
	To    time.Time `json:"to"`
	Late  uint64    `json:"late"` // lines, not packets, whose time was before that of an earlier one

	Requests Requests         `json:"requests"`
	Attacks  []defense.Attack `json:"attacks"`  // in the order in which they began
	Crowds   int              `json:"crowds"`   // many visitors that were no attack
	Findings []Found          `json:"findings"` // what was found besides, in the order in which it began
	Done     []Done           `json:"done"`     // mitigations, in the order in which they would have been made
	Hit      Hit              `json:"hit"`      // whom they would have hit

	Packets       *Packets               `json:"packets,omitempty"`        // of captures; nil: there were none
	PacketAttacks []defense.PacketAttack `json:"packet_attacks,omitempty"` // as Attacks
	Steps         []defense.Record       `json:"steps"`                    // of the loop: what was seen and decided, and when

	Took time.Duration `json:"-"`
}

// Found is what a detector found: a part of an attack, or what is none.
type Found struct {
	Vector attack.Vector `json:"vector"`
	What   string        `json:"what"` // as it was seen last
	Since  time.Time     `json:"since"`
	Until  *time.Time    `json:"until"` // nil: it was there at the end
}

// File is one of the logs.
type File struct {
	Name     string    `json:"name"`
	Form     string    `json:"form"`
	Lines    uint64    `json:"lines"`
	Packets  uint64    `json:"packets,omitempty"` // of a capture
	Bad      uint64    `json:"bad"`
	Examples []BadLine `json:"bad_examples,omitempty"`
	Skipped  string    `json:"skipped,omitempty"` // why nothing of it was read
	Cut      string    `json:"cut,omitempty"`     // why no more of it was

	capture bool // it is one, and no log
}

// BadLine is a line, or a packet, that could not be read.
type BadLine struct {
	Line   uint64 `json:"line,omitempty"`
	Packet uint64 `json:"packet,omitempty"` // its number
	Why    string `json:"why"`
	Text   string `json:"text"`
}

// Requests are all that were replayed, by what would have become of them.
type Requests struct {
	All     uint64 `json:"all"`
	Refused uint64 `json:"refused"`
	Slowed  uint64 `json:"slowed"`
	// Challenged is how many would have been asked to come back with a cookie. In a log
	// nobody does.
	Challenged uint64 `json:"challenged"`
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

	OfPackets bool   `json:"of_packets,omitempty"` // its match is about packets; else about requests
	Packets   uint64 `json:"packets,omitempty"`    // that it met
	// Of the ordinary packets that were there to test it on when it was made, and of
	// those of them that ask for a connection, the share that it hits.
	Ordinary   int     `json:"ordinary,omitempty"`
	Collateral float64 `json:"collateral,omitempty"`
	Openings   float64 `json:"openings,omitempty"`
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
