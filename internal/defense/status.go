package defense

import (
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
	"seawall/internal/defense/enforce"
	"seawall/internal/traffic"
)

// listed is how many mitigations a Status shows; Mitigations shows all.
const listed = 200

// Status is the loop at one moment, ready for encoding/json. Read only: it is
// shared.
type Status struct {
	State   string          `json:"state"` // calm, attack or off
	Mode    string          `json:"mode"`  // defend, or watch: nobody is stopped by the machine
	Now     time.Time       `json:"now"`
	Started time.Time       `json:"started"`
	Window  *traffic.Window `json:"window"` // the last second
	Normal  *traffic.Normal `json:"normal"`

	Attack  *Attack         `json:"attack"`  // nil while there is none
	Attacks []Attack        `json:"attacks"` // ended ones, newest first
	Crowd   *attack.Finding `json:"crowd"`   // nil while there is none

	PacketAttacks []PacketAttack `json:"packet_attacks"` // floods of packets that run
	PacketsEnded  []PacketAttack `json:"packets_ended"`  // ended ones, newest first

	Findings      []Found `json:"findings"`       // what else is found and runs, one of a vector
	FindingsEnded []Found `json:"findings_ended"` // ended ones, newest first

	Mitigations []decide.Listed `json:"mitigations"` // active, the first 200; machine's bans last
	Active      int             `json:"active"`      // how many in all
	Bans        int             `json:"bans"`        // how many of them are bans by the machine

	Enforce  enforce.Counts `json:"enforce"`
	Troubles []string       `json:"troubles"` // what does not work
	Records  []Record       `json:"records"`  // the last 100 steps, oldest first
}

// The states.
const (
	Calm        = "calm"
	UnderAttack = "attack"
	Off         = "off"
)

// The modes, as the configuration names them.
const (
	Defend = "defend"
	Watch  = "watch"
)

func (l *Loop) mode() string {
	if l.deps.Watch {
		return Watch
	}
	return Defend
}

// Status returns the loop as it stood within the last second. It is cheap and
// safe for concurrent use.
func (l *Loop) Status() Status {
	s := *l.status.Load()
	s.Now = l.moment().Wall
	return s
}

// publish builds the Status anew.
func (l *Loop) publish(now decide.Moment) {
	l.changed = false
	s := &Status{
		State: Calm, Mode: l.mode(), Now: now.Wall, Started: l.started,
		Window: l.window, Normal: l.baseline.Normal(),
		Attack: l.ledger.copy(), Attacks: slices.Clone(l.ledger.recent), Crowd: l.crowd,
		Mitigations: l.decider.List(listed), Enforce: l.enforcer.Counts(), Records: l.records.list(),
		Troubles: []string{},
	}
	s.Active, s.Bans = l.decider.Counts()
	s.PacketAttacks, s.PacketsEnded = l.packets.copies()
	s.Findings, s.FindingsEnded = l.found.copies()
	switch {
	case l.decider.Off():
		s.State = Off
	case s.Attack != nil || len(s.PacketAttacks) > 0:
		s.State = UnderAttack
	}
	if s.Attacks == nil {
		s.Attacks = []Attack{}
	}
	for what, text := range l.troubles {
		s.Troubles = append(s.Troubles, what+": "+text)
	}
	slices.Sort(s.Troubles)
	l.status.Store(s)
}
