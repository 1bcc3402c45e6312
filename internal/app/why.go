package app

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"seawall/internal/attack"
	"seawall/internal/dashboard"
	"seawall/internal/defense"
	"seawall/internal/kit/sealed"
	"seawall/internal/mitigation"
	"seawall/internal/request/refuse"
	"seawall/internal/traffic"
)

// memory is what is asked about the parts of a reference code.
type memory interface {
	// Find tells of a mitigation, ended ones too, and whether it is in force.
	Find(id mitigation.ID) (m mitigation.Mitigation, active, known bool)
	// Recent tells whose short hash this is, iff refused in the last hour.
	Recent(hash uint64) (netip.Prefix, bool)
}

// explainer puts the answer of `seawall why` together.
type explainer struct {
	dashboard.Why
	zone *time.Location // of the clock times
}

func (e *explainer) say(format string, args ...any) {
	e.Sentences = append(e.Sentences, fmt.Sprintf(format, args...))
}

// why tells in plain words what a reference code stands for, with clock times
// of the given zone.
func why(box *sealed.Box, mem memory, zone *time.Location, code string) (dashboard.Why, error) {
	ref, err := refuse.DecodeRef(box, code)
	if err != nil {
		return dashboard.Why{}, dashboard.Kind(dashboard.ErrNotFound,
			fmt.Errorf("%q is no reference code of this Seawall; check it for typing errors", code))
	}
	e := &explainer{dashboard.Why{Code: code, At: ref.At, Reason: ref.Reason}, zone}
	who := "A visitor"
	if p, ok := mem.Recent(uint64(ref.Prefix)); ok {
		e.Prefix = p.String()
		who = "A visitor from " + e.Prefix
	}
	e.say("%s was turned away at %s (to the minute).", who, ref.At.In(zone).Format("15:04 on 2 January 2006"))
	e.say("Why: %s", reasonText(ref.Reason))
	switch {
	case ref.ID != 0:
		e.mitigation(mem, ref.ID)
	case ref.Reason == mitigation.ReasonBan:
		e.say("It stood on the deny list of the configuration (admit.deny).")
	}
	e.remedy(ref.Reason)
	return e.Why, nil
}

func reasonText(r mitigation.Reason) string {
	switch r {
	case mitigation.ReasonBan:
		return "its address is banned."
	case mitigation.ReasonClientBudget:
		return "its address, or somebody who shares it, asked for more than one client's budget."
	case mitigation.ReasonNeighbours:
		return "the wider network around its address asked for more than its budget."
	case mitigation.ReasonMitigation:
		return "its request looked like those of an attack."
	case mitigation.ReasonRule:
		return "a rule of the configuration does not let in such requests."
	case mitigation.ReasonOriginFull:
		return "the site was busy and the line in front of it was full; the door had let it in."
	}
	return "of the kind " + r.String() + "."
}

// mitigation tells what refused it, since when, and with what evidence.
func (e *explainer) mitigation(mem memory, id mitigation.ID) {
	m, active, known := mem.Find(id)
	if !known {
		e.say("It was mitigation #%d, which is no longer remembered.", id)
		return
	}
	e.Mitigation, e.Active = &m, active
	state := "It is still in force."
	switch {
	case !active:
		state = "It is no longer in force."
	case !m.Until.IsZero():
		state = fmt.Sprintf("It is in force until %s unless renewed.", m.Until.In(e.zone).Format("15:04:05"))
	}
	what := m.Match.String()
	if _, ok := m.Banned(); m.Match == nil || ok && !active {
		what = "an address"
	}
	e.say("By mitigation #%d (%s %s), ordered by %s at %s. %s",
		id, m.Action, what, byWhom(&m), m.From.In(e.zone).Format("15:04:05 on 2 January"), state)
	if m.Note != "" {
		e.say("Its reason: %s", m.Note)
	}
	if f := m.Finding; f != nil {
		var facts []string
		for _, x := range f.Facts {
			facts = append(facts, fmt.Sprintf("%s %s (usual %s)", x.Name, number(x.Value, x.Unit), number(x.Usual, x.Unit)))
		}
		e.say("Evidence: %s", strings.Join(facts, "; "))
	}
	if s := m.Signature; s != nil {
		e.signature(s)
	}
}

// signature tells what it was decided by.
func (e *explainer) signature(s *attack.Signature) {
	if s.OrdinaryDay+s.OrdinaryWeek == 0 {
		e.say("When it was decided it hit %.1f %% of the flood and %.2f %% of %d ordinary requests.",
			100*s.Coverage, 100*s.Collateral, s.Ordinary)
		return
	}
	text := fmt.Sprintf("When it was decided it hit %.1f %% of the flood, and of ordinary requests %.2f %% of %d of the last hour",
		100*s.Coverage, 100*s.CollateralHour, s.Ordinary)
	if s.OrdinaryDay > 0 {
		text += fmt.Sprintf(", %.2f %% of %d of the last 24 hours", 100*s.CollateralDay, s.OrdinaryDay)
	}
	if s.OrdinaryWeek > 0 {
		text += fmt.Sprintf(", %.2f %% of %d of the last 7 days", 100*s.CollateralWeek, s.OrdinaryWeek)
	}
	e.say("%s; and %d of %d visitors who were known then.", text, s.Known, s.KnownOf)
	if len(s.Examples) > 0 {
		e.say("The flood's requests were such as: %s", strings.Join(s.Examples, "; "))
	}
}

func number(v float64, unit string) string {
	if unit == "share" {
		return fmt.Sprintf("%.0f %%", 100*v)
	}
	return strings.TrimSpace(fmt.Sprintf("%.4g %s", v, unit))
}

func byWhom(m *mitigation.Mitigation) string {
	if m.Name != "" {
		return fmt.Sprintf("%s (rule %q)", byText(m.By), m.Name)
	}
	return byText(m.By)
}

func byText(by mitigation.By) string {
	switch by {
	case mitigation.ByMachine:
		return "the machine"
	case mitigation.ByOperator:
		return "a person"
	case mitigation.ByRule:
		return "the configuration"
	}
	return "another Seawall"
}

// remedy says how to let that visitor in.
func (e *explainer) remedy(r mitigation.Reason) {
	if r == mitigation.ReasonOriginFull {
		e.say("Nothing stands against this visitor: trying again is enough.")
		return
	}
	address := "ADDRESS"
	if e.Prefix != "" {
		address = e.Prefix
	} else {
		e.say("The address is no longer in memory (it is kept for an hour at most): ask the visitor for it.")
	}
	e.LetIn = "seawall allow " + address + " --for 24h"
	e.say("To let this visitor in: %s", e.LetIn)
	if e.Active && e.Mitigation.By == mitigation.ByMachine {
		e.say("To take back what the machine did: seawall undo --since %s",
			time.Since(e.Mitigation.From).Round(time.Minute)+time.Minute)
	}
}

// WhyOffline is `seawall why` with the daemon dead: it reads the keys and the
// journal in the data folder. No address is in memory then.
func WhyOffline(data, code string) (dashboard.Why, error) {
	box, err := sealed.Load(filepath.Join(data, keyFile))
	if err != nil {
		return dashboard.Why{}, fmt.Errorf("no Seawall answers, and the keys in %s cannot be read (name the folder with --data): %w", data, err)
	}
	past, err := defense.ReadPast(data)
	if err != nil {
		return dashboard.Why{}, err
	}
	return why(box, offline{past}, time.Local, code)
}

// NormalOffline is what `seawall normal` shows with the daemon dead.
func NormalOffline(data string) (*traffic.Learnt, error) {
	l, err := defense.ReadLearnt(data)
	if err != nil {
		return nil, fmt.Errorf("no Seawall answers, and %s (name the folder with --data): %w", data, err)
	}
	return l, nil
}

type offline struct{ *defense.Past }

func (offline) Recent(uint64) (netip.Prefix, bool) { return netip.Prefix{}, false }
