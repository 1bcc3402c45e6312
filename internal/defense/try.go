package defense

import (
	"cmp"
	"maps"
	"math"
	"net/netip"
	"slices"

	"seawall/internal/defense/baseline"
	"seawall/internal/defense/decide"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Trial says what a rule would have met of what was ordinary lately.
type Trial struct {
	Rule
	Spans []Span `json:"spans"`
	// TooMuch says that the rule keeps out more of a span than a mitigation of the
	// machine ever may, and that nobody says that it is meant so.
	TooMuch bool `json:"too_much"`
}

// Span is what a rule would have met of one sample of ordinary traffic. Nothing in it
// leads to an address, nor is a path shown that fewer than three networks asked for: it
// may be a secret (see baseline.Askers).
type Span struct {
	Of     string `json:"of"`     // hour, day, week
	Tested int    `json:"tested"` // requests, or packets, of the sample
	Hits   int    `json:"hits"`   // of them, that the rule would have met
	// Share is Hits of Tested. Low and High are between what it truly is, with 95 %
	// certainty, given how few were tested.
	Share float64 `json:"share"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`

	// What follows is of requests only.
	Clients  int       `json:"clients"`  // distinct prefixes among Hits; of what is older than an hour, networks
	Cleared  int       `json:"cleared"`  // of Hits, with a clearance
	Paths    []Counted `json:"paths"`    // most met first
	Agents   []Counted `json:"agents"`   // user agents
	Examples []Example `json:"examples"` // unlike each other, as far as there are such
}

// Counted is a value and how often it was met.
type Counted struct {
	Key   string `json:"key"`
	Count int    `json:"count"`
}

// Example is one request that a rule would have met.
type Example struct {
	Method    string `json:"method"`
	Host      string `json:"host"`
	Path      string `json:"path"` // "" where too few asked for it
	UserAgent string `json:"user_agent"`
	Kind      string `json:"kind"`
	Country   string `json:"country"`
	Clearance string `json:"clearance"`
}

const (
	mostShown    = 5 // paths and user agents
	mostExamples = 3
)

// reservoir is a sample of ordinary requests with the name of its span.
type reservoir struct {
	of    string
	items []traffic.Sample
}

// leastOfDays is how many requests of a day, or a week, must be kept for what they show to
// count: of fewer, one alone is several times what a rule may hit.
const leastOfDays = 300

// reservoirs lists those that are kept.
func reservoirs(n *traffic.Normal) []reservoir {
	out := []reservoir{{"hour", n.Ordinary}}
	for _, r := range []reservoir{{"day", n.OrdinaryDay}, {"week", n.OrdinaryWeek}} {
		if len(r.items) >= leastOfDays {
			out = append(out, r)
		}
	}
	return out
}

// Try says what rules would have met lately. It changes nothing, is safe for
// concurrent use, and does not wait for the loop.
func (l *Loop) Try(rules Rules) ([]Trial, error) {
	if err := rules.Validate().Err(); err != nil {
		return nil, err
	}
	n := l.status.Load().Normal
	out := make([]Trial, len(rules))
	for i, r := range rules.Parsed() {
		out[i] = try(rules[i], &r, n)
	}
	return out, nil
}

func try(r Rule, parsed *decide.Rule, n *traffic.Normal) Trial {
	t := Trial{Rule: r}
	if parsed.Match.OnPackets() {
		t.Spans = []Span{tryPackets("hour", parsed.Match, n.Packets.Ordinary)}
	} else {
		for _, of := range reservoirs(n) {
			t.Spans = append(t.Spans, trySpan(of.of, parsed.Match, of.items))
		}
	}
	keepsOut := !r.DryRun && parsed.Action >= mitigation.Refuse
	for i := range t.Spans {
		t.TooMuch = t.TooMuch || keepsOut && !r.Sure && t.Spans[i].Share > decide.Never
	}
	return t
}

func trySpan(of string, m *match.Match, items []traffic.Sample) Span {
	s := Span{Of: of, Tested: len(items), Examples: []Example{}}
	paths, agents, clients := map[string]int{}, map[string]int{}, map[netip.Prefix]bool{}
	askers := baseline.Askers{}
	for i := range items {
		askers.Add(&items[i].Visit)
	}
	for i := range items {
		v := &items[i].Visit
		if !m.Hits(v) {
			continue
		}
		s.Hits++
		path := askers.Path(v.Path)
		if path != "" {
			paths[path]++
		}
		agents[v.UserAgent]++
		clients[traffic.PrefixOf(v.Client, traffic.LevelClient)] = true
		if v.Clearance != traffic.ClearanceNone {
			s.Cleared++
		}
		s.show(v, path)
	}
	s.Clients = len(clients)
	s.Paths, s.Agents = most(paths), most(agents)
	s.weigh()
	return s
}

func tryPackets(of string, m *match.Match, items []traffic.Packet) Span {
	s := Span{Of: of, Tested: len(items), Paths: []Counted{}, Agents: []Counted{}, Examples: []Example{}}
	for i := range items {
		if m.HitsPacket(&items[i]) {
			s.Hits++
		}
	}
	s.weigh()
	return s
}

// show takes v, as one that asked for path, for an example, unless there is one like it.
func (s *Span) show(v *traffic.Visit, path string) {
	like := func(e Example) bool { return e.Path == path && e.UserAgent == v.UserAgent }
	if len(s.Examples) < mostExamples && !slices.ContainsFunc(s.Examples, like) {
		s.Examples = append(s.Examples, Example{
			Method: v.Method, Host: v.Host, Path: path, UserAgent: v.UserAgent,
			Kind: v.Kind.String(), Country: v.Country.String(), Clearance: v.Clearance.String(),
		})
	}
}

// weigh works out the share and between what it truly is: the score interval of
// Wilson (J. Am. Stat. Assoc. 22(158), 1927), with 95 % certainty.
func (s *Span) weigh() {
	if s.Tested == 0 {
		s.High = 1 // nothing is known
		return
	}
	const z = 1.959964 // of the normal distribution, for 95 %
	n, p := float64(s.Tested), float64(s.Hits)/float64(s.Tested)
	middle, half := p+z*z/(2*n), z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	s.Share = p
	s.Low, s.High = max((middle-half)/(1+z*z/n), 0), min((middle+half)/(1+z*z/n), 1)
}

// most lists what was counted most.
func most(counts map[string]int) []Counted {
	out := make([]Counted, 0, len(counts))
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, Counted{key, counts[key]})
	}
	slices.SortStableFunc(out, func(a, b Counted) int { return cmp.Compare(b.Count, a.Count) })
	return out[:min(len(out), mostShown)]
}
