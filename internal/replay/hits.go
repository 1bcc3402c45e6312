package replay

import (
	"cmp"
	"slices"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/sketch"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const (
	longHere = 10 * time.Minute // for a client to be a regular one
	shown    = 10               // of a kind
	counting = 256
)

// hits counts whom it hit. Its memory is bounded: of more clients than it has places
// for, the rest are not told apart.
type hits struct {
	clients clients

	countries map[string]uint64 // there are few
	reasons   map[string]uint64
	agents    *sketch.Strings
	paths     *sketch.Strings
	out       Hit
	requests  Requests
}

func newHits() *hits {
	seed := sketch.FixedSeed(1)
	return &hits{
		clients: newClients(), countries: map[string]uint64{}, reasons: map[string]uint64{},
		agents: sketch.NewStrings(counting, 160, seed), paths: sketch.NewStrings(counting, 160, seed),
	}
}

// visit counts one request of a client; nil: there were too many to tell it apart.
func (h *hits) visit(c *client, v *traffic.Visit, d mitigation.Verdict) {
	h.requests.All++
	if c != nil {
		h.come(c, v.At)
	}
	switch {
	case d.Action == mitigation.Slow:
		h.requests.Slowed++
		return
	case d.Action == mitigation.Challenge:
		h.requests.Challenged++
		return
	case d.LetsIn():
		return
	}
	h.requests.Refused++
	if c != nil && !c.is(refused) {
		c.marks |= refused
		if h.out.Refused++; c.is(regular) {
			h.out.RegularsR++
		}
	}
	h.countries[v.Country.String()]++
	h.reasons[d.Reason.String()]++
	h.agents.Add(v.UserAgent, 1)
	h.paths.Add(v.Path, 1)
}

// come notes that a client came.
func (h *hits) come(c *client, at clock.Instant) {
	switch {
	case c.since == 0:
		c.since = at
		h.out.Clients++
	case !c.is(regular|refused) && at.Sub(c.since) >= longHere:
		c.marks |= regular
		h.out.Regulars++
	}
}

// hit writes it down.
func (h *hits) hit() Hit {
	out := h.out
	out.Countries, out.Reasons = most(h.countries), most(h.reasons)
	out.Agents, out.Paths = top(h.agents), top(h.paths)
	return out
}

func most(m map[string]uint64) []Share {
	out := []Share{}
	for k, n := range m {
		out = append(out, Share{k, n})
	}
	slices.SortFunc(out, func(a, b Share) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key)) })
	return out[:min(len(out), shown)]
}

func top(s *sketch.Strings) []Share {
	out := []Share{}
	for _, e := range s.Top(shown) {
		out = append(out, Share{e.Key, e.Count})
	}
	return out
}
