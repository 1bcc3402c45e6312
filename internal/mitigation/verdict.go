package mitigation

import (
	"fmt"
	"time"
)

// ID numbers a mitigation for as long as the data folder lives; 0 is none.
type ID uint32

// Action is what happens to a visit.
type Action uint8

// The actions, mildest first.
const (
	Admit     Action = iota // let in
	Slow                    // let in behind everybody else; of packets: only counted
	Challenge               // ask for a sign of being no flood: to come back with a clearance
	Queue                   // a place in the waiting room
	ServeCopy               // the last good copy
	Refuse                  // an answer that says why, and when to come back
	Drop                    // nothing: the connection is closed; of packets: they go no further
	Actions
)

var actionNames = [Actions]string{"admit", "slow", "challenge", "queue", "serve-copy", "refuse", "drop"}

func (a Action) String() string {
	if a < Actions {
		return actionNames[a]
	}
	return "action?"
}

// MarshalText writes the action's name.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *Action) UnmarshalText(b []byte) error {
	for i, n := range actionNames {
		if n == string(b) {
			*a = Action(i)
			return nil
		}
	}
	return fmt.Errorf("unknown action %q", b)
}

// Reason is why; it is also the label of metrics and part of reference codes,
// so numbers are never reused.
type Reason uint8

// The reasons.
const (
	ReasonNone           Reason = 0  // nothing to say: let in
	ReasonOff            Reason = 1  // seawall off: everything passes
	ReasonAllowList      Reason = 2  // an allow entry
	ReasonBan            Reason = 3  // a ban, by a person or the machine
	ReasonClientBudget   Reason = 4  // this client's own budget is used up
	ReasonNeighbours     Reason = 5  // the budget of the wider network is used up
	ReasonMitigation     Reason = 6  // an active mitigation against an attack
	ReasonOriginFull     Reason = 7  // the line for the site is full
	ReasonACME           Reason = 8  // certificate validation passes always
	ReasonTrustedMonitor Reason = 9  // health checks of the operator
	ReasonRule           Reason = 10 // a rule of the configuration
	Reasons                     = 11
)

var reasonNames = [Reasons]string{
	"none", "off", "allow-list", "ban", "client-budget", "neighbours-budget",
	"mitigation", "origin-full", "acme", "trusted-monitor", "rule",
}

func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "reason?"
}

// MarshalText writes the reason's name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Reason) UnmarshalText(b []byte) error {
	for i, n := range reasonNames {
		if n == string(b) {
			*r = Reason(i)
			return nil
		}
	}
	return fmt.Errorf("unknown reason %q", b)
}

// Rank is the place in line for the origin: lower goes first.
type Rank uint8

// The ranks, first in line first.
const (
	RankKnown    Rank = iota // known since before the attack, or allowed by the operator
	RankProven               // brought our cookie back, or behaves well
	RankNewcomer             // nothing is known
	RankSuspect              // slowed by a mitigation
	Ranks
)

var rankNames = [Ranks]string{"known", "proven", "newcomer", "suspect"}

func (r Rank) String() string {
	if r < Ranks {
		return rankNames[r]
	}
	return "rank?"
}

// Verdict is the door's word on one visit. It is small and copied freely.
type Verdict struct {
	Action     Action
	Reason     Reason
	Rank       Rank
	ID         ID            // the mitigation behind it; 0 none
	RetryAfter time.Duration // valid iff Action is Refuse or Queue
	Would      Would         // valid iff it lets in
}

// Would is what would have happened to a visit that is let in because the machine
// stops nobody, only watches. The zero Would is nothing.
type Would struct {
	Action Action
	Reason Reason
	ID     ID // the mitigation behind it; 0 none
}

// RetrySeconds is RetryAfter as visitors are told it, rounded up.
func (v Verdict) RetrySeconds() int {
	return int((v.RetryAfter + time.Second - 1) / time.Second)
}

// LetsIn says whether the visit goes on to the rooms.
func (v Verdict) LetsIn() bool { return v.Action == Admit || v.Action == Slow }
