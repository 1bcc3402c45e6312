package mitigation

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"seawall/internal/attack"
	"seawall/internal/match"
)

// By is who ordered something.
type By string

// Who can order.
const (
	ByRule     By = "rule"     // the configuration file
	ByMachine  By = "machine"  // the control loop
	ByOperator By = "operator" // a person
	ByPeer     By = "peer"     // another Seawall of the fleet
)

// Person says that it is somebody's will, given as an order or written into the
// configuration, and not a program's.
func (b By) Person() bool { return b == ByOperator || b == ByRule }

// Mitigation is one thing that is done about one kind of traffic for a time.
// It is immutable once made; a change is a new Mitigation with the same ID.
// Times are wall time, because it is written to disk.
type Mitigation struct {
	ID     ID           `json:"id"`
	Match  *match.Match `json:"match"`
	Action Action       `json:"action"`
	From   time.Time    `json:"from"`
	Until  time.Time    `json:"until"` // zero: until withdrawn
	By     By           `json:"by"`
	Note   string       `json:"note"` // one plain sentence: why
	// Name is what the configuration calls it; valid iff By is ByRule.
	Name string `json:"name,omitempty"`
	// Shadow says that it is on a dry run: what it would have met is counted, and
	// nothing is done.
	Shadow bool `json:"dry_run,omitempty"`
	// Few says that a challenge asks one client in sixteen, to see who answers; the others
	// are slowed.
	Few bool `json:"few,omitempty"`
	// Direct says that the client banned was met at the other end of a
	// connection, so that its packets may be stopped before they make one.
	// Meant for the machine's bans; valid iff Banned.
	Direct bool `json:"direct,omitempty"`

	Finding   *attack.Finding   `json:"finding,omitempty"`   // what was found, iff By is ByMachine
	Signature *attack.Signature `json:"signature,omitempty"` // what it rests on, iff mined
	// Expected is the share of recent ordinary traffic that it would have hit
	// when it was decided.
	Expected float64 `json:"expected_collateral"`
}

// Expired says whether its time is over.
func (m *Mitigation) Expired(now time.Time) bool {
	return !m.Until.IsZero() && !now.Before(m.Until)
}

// Banned returns the prefix, iff the mitigation is about exactly one prefix of
// client addresses and nothing else, as bans and allow entries are.
func (m *Mitigation) Banned() (netip.Prefix, bool) { return m.Match.OnlyClient() }

func (m *Mitigation) String() string {
	return fmt.Sprintf("#%d %s %s (%s)", m.ID, m.Action, m.Match, m.By)
}

// Offence is the door's report that a client went on after being refused many
// times. Reports are lossy by design; the queue for them is bounded.
type Offence struct {
	Prefix  netip.Prefix // the client's own: /32 or /64
	Refused uint32       // times refused in the current minute
	Direct  bool         // the address was proven by a TCP handshake with us
}

// LeftOut is what Apply returns where what acts on mitigations has no room for all:
// these do not act. The one applied may be among them, or have taken another's place.
type LeftOut struct {
	IDs []ID   // in their order, at least one
	Why string // by what, and what to do: "the packet filter has room for ..."
}

func (l *LeftOut) Error() string {
	names := make([]string, len(l.IDs))
	for i, id := range l.IDs {
		names[i] = fmt.Sprintf("#%d", id)
	}
	return fmt.Sprintf("%s without effect: %s", strings.Join(names, ", "), l.Why)
}
