package decide

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// MostRules is how many rules there can be: as many as the door has places for.
const MostRules = 64

// MostPacketRules is how many of them may be about packets: half as many as the packet
// filter has room for signatures, so that the other half is left to the machine.
const MostPacketRules = 16

// ErrRule says that only the configuration ends a rule.
var ErrRule = errors.New("it is a rule of the configuration")

// Rule is a mitigation that the configuration orders. It stands until the
// configuration says otherwise, and is no business of the machine's caps.
type Rule struct {
	Name   string // each has its own
	Match  *match.Match
	Action mitigation.Action
	Note   string
	DryRun bool // only counted
}

// Rules makes exactly these rules stand: new ones begin, those that are not among
// them end, and those that say the same go on with their number and their hits. One
// that says something else is another rule, since reference codes tell of the old
// one by its number; only its note may change.
func (d *Decider) Rules(now Moment, rules []Rule, n *traffic.Normal) Output {
	want := make(map[string]*Rule, len(rules))
	for i := range rules {
		want[rules[i].Name] = &rules[i]
	}
	ended, kept := 0, map[string]bool{}
	for _, id := range d.ids() {
		e := d.active[id]
		if e.kind != kindRule {
			continue
		}
		r := want[e.m.Name]
		if r == nil || kept[e.m.Name] || !e.is(r) {
			why := "taken out of the configuration"
			if r != nil {
				why = "changed in the configuration"
			}
			d.end(now, e, why, mitigation.ByRule)
			ended++
			continue
		}
		kept[r.Name] = true
		if e.m.Note != r.note() {
			e.m.Note = r.note()
			d.publish(e)
		}
	}
	begun := 0
	for i := range rules {
		if r := &rules[i]; !kept[r.Name] {
			kept[r.Name] = true
			share, _ := collateral(r.Match, n)
			d.begin(now, kindRule, mitigation.Mitigation{
				Match: r.Match, Action: r.Action, By: mitigation.ByRule, Note: r.note(), Name: r.Name, Shadow: r.DryRun, Expected: share,
			}, 0)
			begun++
		}
	}
	if begun+ended > 0 {
		d.note("order", fmt.Sprintf("Rules of the configuration: %d begin, %d end, %s.", begun, ended, stand(len(kept))),
			map[string]float64{"begun": float64(begun), "ended": float64(ended), "rules": float64(len(kept))})
	}
	return d.take()
}

func stand(n int) string {
	if n == 1 {
		return "1 stands"
	}
	return fmt.Sprintf("%d stand", n)
}

// is says that the entry does what r says.
func (e *entry) is(r *Rule) bool {
	return e.m.Match.Equal(r.Match) && e.m.Action == r.Action && e.m.Shadow == r.DryRun
}

func (r *Rule) note() string {
	if r.Note == "" {
		return "A rule of the configuration: " + r.Name + "."
	}
	return r.Note
}

// fixed says why an order cannot end a rule.
func (e *entry) fixed() error {
	return fmt.Errorf("#%d is %q: %w; take it out of the file (or write dry_run: true) and run `seawall reload`", e.m.ID, e.m.Name, ErrRule)
}

// ruleAbout finds a rule about exactly p; nil: there is none.
func (d *Decider) ruleAbout(p netip.Prefix) *entry {
	ids := d.ids()
	i := slices.IndexFunc(ids, func(id mitigation.ID) bool {
		q, ok := d.active[id].m.Banned()
		return ok && q == p && d.active[id].kind == kindRule
	})
	if i < 0 {
		return nil
	}
	return d.active[ids[i]]
}
