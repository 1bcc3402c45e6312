package dashboard

import (
	"context"
	"io"
	"net/netip"
	"time"

	"seawall/internal/defense"
	"seawall/internal/mitigation"
)

// Shield is the running program as the operator sees it. Its methods are safe
// for concurrent use.
type Shield interface {
	// Status returns what GET /api/v1/status shows, ready for encoding/json.
	Status() any
	// Mitigations returns what is being done now.
	Mitigations() any
	// Normal returns what is normal here: over the last hour, day and week.
	Normal() any
	// Attacks returns the running attack and the recent ones.
	Attacks() any
	// Clients returns the heaviest clients of the last second.
	Clients() any
	// Verdicts returns how many visits met which verdict since the start.
	Verdicts() any
	// Why tells what a reference code stands for.
	Why(code string) (Why, error)
	// Letter tells whom the last days stopped, or would have in watch mode.
	Letter(days int) (Letter, error)
	// Events streams what happens until ctx ends; it drops rather than waits.
	Events(ctx context.Context) <-chan any
	// Capture begins to record the headers of sampled packets until ctx ends. What
	// it returns writes them as a pcapng file while they come, in whole blocks. An
	// error may be of the kind ErrNotNow.
	Capture(ctx context.Context, o CaptureOrder) (io.WriterTo, error)
	// Ready says whether requests are being served, and why not.
	Ready() error

	Ban(o PrefixOrder) (mitigation.Mitigation, error)
	Allow(o PrefixOrder) (mitigation.Mitigation, error)
	Unban(p netip.Prefix) ([]mitigation.Mitigation, error)
	// Act orders an action (slow, challenge or refuse) on whatever matches.
	Act(o MatchOrder) (mitigation.Mitigation, error)
	// Try says what rules would have met lately, and puts none in force.
	Try(rules Rules) ([]Trial, error)
	// Pin makes what the machine did a person's order; last 0: until it is lifted.
	Pin(id mitigation.ID, last time.Duration, note string) ([]mitigation.Mitigation, error)
	Lift(id mitigation.ID) ([]mitigation.Mitigation, error)
	Undo(since time.Duration) ([]mitigation.Mitigation, error)
	// SetOff lets everything through (true), or defends again (false).
	SetOff(off bool) error
	// Confirm says that the machine can be reached with its packets filtered.
	Confirm() error
	Reload() error
	// Upgrade starts the program anew, which takes over, and returns the new
	// process's number once it has checked itself and the configuration. An error
	// says why it will not take over.
	Upgrade() (pid int, err error)
}

// PrefixOrder is a person's order about one prefix. For 0 means until lifted.
type PrefixOrder struct {
	Prefix netip.Prefix
	For    time.Duration
	Note   string
}

// MatchOrder is a person's order about whatever matches an expression.
type MatchOrder struct {
	Match  string
	Action mitigation.Action
	For    time.Duration
	Note   string
}

// What rules are and would have met, in the words of the API and of the commands.
type (
	Rules = defense.Rules
	Trial = defense.Trial
	Span  = defense.Span
)

// What a letter tells.
type (
	Letter  = defense.Letter
	Day     = defense.Day
	Stopped = defense.Stopped
)

// Why is what one reference code stands for, for the operator's eyes.
type Why struct {
	Code   string            `json:"code"`
	At     time.Time         `json:"at"` // to the minute
	Reason mitigation.Reason `json:"reason"`
	// Mitigation is what refused the visit, where one did and it is still remembered.
	Mitigation *mitigation.Mitigation `json:"mitigation,omitempty"`
	Active     bool                   `json:"active"` // still in force
	// Prefix is the visitor's, iff it is still in memory (an hour at most).
	Prefix string `json:"prefix,omitempty"`
	// Sentences tell all of this in plain words, the remedy last.
	Sentences []string `json:"sentences"`
	// LetIn is the command that lets this visitor in.
	LetIn string `json:"let_in"`
}
