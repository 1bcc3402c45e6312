package defense

import (
	"errors"
	"fmt"
	"regexp"

	"seawall/internal/defense/decide"
	"seawall/internal/kit/problem"
	"seawall/internal/kit/urlpath"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Rule is what the operator wants done about requests, or packets, of a kind.
type Rule struct {
	Name   string `yaml:"name" json:"name"`
	Match  string `yaml:"match" json:"match"`   // an expression, see match
	Action string `yaml:"action" json:"action"` // admit, slow or refuse; of packets: drop
	Note   string `yaml:"note" json:"note"`     // why, for whoever looks it up
	DryRun bool   `yaml:"dry_run" json:"dry_run"`
	// Sure says that it may hit more than a few of the ordinary requests.
	Sure bool `yaml:"sure" json:"sure"`
}

// Rules are those of a configuration, in its order.
type Rules []Rule

// What a rule may be called, so that it can be named in a sentence.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

const mostNote = 300 // bytes

// Validate lists what is wrong with them.
func (rs Rules) Validate() problem.List {
	var l problem.List
	if n := len(rs); n > decide.MostRules {
		l.Add("", "join some with in [...], or take some out", "holds %d rules, more than %d", n, decide.MostRules)
	}
	if n := rs.aboutPackets(); n > decide.MostPacketRules {
		l.Add("", "join some with in [...], or take some out",
			"holds %d rules about packets, more than %d: the packet filter has room for 32 signatures, and the machine needs some against floods", n, decide.MostPacketRules)
	}
	first := map[string]int{}
	for i := range rs {
		key := fmt.Sprintf("[%d]", i)
		if earlier, taken := first[rs[i].Name]; taken && rs[i].Name != "" {
			l.Add(key+".name", "give each rule its own name", "%q is the name of rules[%d], too", rs[i].Name, earlier)
		} else {
			first[rs[i].Name] = i
		}
		l.Under(key, rs[i].Validate())
	}
	return l
}

// aboutPackets is how many there are that take one of the packet filter's signatures,
// as one on a dry run does.
func (rs Rules) aboutPackets() (n int) {
	for i := range rs {
		if m, err := match.Parse(rs[i].Match); err == nil && m.OnPackets() {
			n++
		}
	}
	return n
}

// Validate lists what is wrong with one of them.
func (r *Rule) Validate() problem.List {
	var l problem.List
	if !nameForm.MatchString(r.Name) {
		l.Add("name", "write letters, digits, dots, - and _, at most 64, such as no-xmlrpc", "%q is no name", r.Name)
	}
	if len(r.Note) > mostNote {
		l.Add("note", "", "has %d bytes, more than %d", len(r.Note), mostNote)
	}
	m := r.readMatch(&l)
	action, known := ruleActions[r.Action]
	switch {
	case !known:
		l.Add("action", "write admit, slow, challenge or refuse; drop for packets", "%q is no action of a rule", r.Action)
	case m == nil:
	case m.OnPackets() && action != mitigation.Drop:
		l.Add("action", "write drop; dry_run: true only counts", "packets cannot be met with %s", r.Action)
	case !m.OnPackets() && action == mitigation.Drop:
		l.Add("action", "write refuse", "requests cannot be dropped, only packets can (packet.length, packet.ttl and the like)")
	}
	return l
}

var ruleActions = map[string]mitigation.Action{
	"admit": mitigation.Admit, "slow": mitigation.Slow, "challenge": mitigation.Challenge, "refuse": mitigation.Refuse, "drop": mitigation.Drop,
}

// readMatch parses the expression; nil: it cannot be used.
func (r *Rule) readMatch(l *problem.List) *match.Match {
	m, err := match.Parse(r.Match)
	var term *match.Error
	switch {
	case errors.As(err, &term):
		what := fmt.Sprintf("column %d: %s", term.Column, term.What)
		if term.Term != "" {
			what = fmt.Sprintf("column %d: `%s` %s", term.Column, term.Term, term.What)
		}
		l.Add("match", term.Hint, "%s", what)
	case err != nil:
		l.Add("match", "", "%v", err)
	case len(m.Tests()) == 0:
		l.Add("match", `name at least one condition, such as path == "/xmlrpc.php"`, "hits everybody")
	default:
		if path, odd := unjudged(m); odd {
			l.Add("match", fmt.Sprintf("write %q", urlpath.Clean(path)), "no path is ever %q: paths are judged in their normal form", path)
			break
		}
		return m
	}
	return nil
}

// unjudged is a path that a match compares whole and that no visit has, since it is not
// in its normal form.
func unjudged(m *match.Match) (string, bool) {
	for _, t := range m.Tests() {
		keys, whole := t.Keys()
		if !whole || t.Field() != traffic.FieldPath {
			continue
		}
		for _, path := range keys {
			if !urlpath.Normal(path) {
				return path, true
			}
		}
	}
	return "", false
}

// Parsed is them as decide takes them. They are valid.
func (rs Rules) Parsed() []decide.Rule {
	out := make([]decide.Rule, 0, len(rs))
	for _, r := range rs {
		if m := r.readMatch(new(problem.List)); m != nil {
			out = append(out, decide.Rule{Name: r.Name, Match: m, Action: ruleActions[r.Action], Note: r.Note, DryRun: r.DryRun})
		}
	}
	return out
}
