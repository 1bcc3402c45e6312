package replay

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/sketch"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const (
	clientSlots = 1 << 20 // clients that are told apart
	regular     = 10 * time.Minute
	shown       = 10 // of a kind
	counting    = 256
)

// client is what is kept of one: where its address is registered, when it came first, and
// whether it was refused.
type client struct {
	from    netip.Addr // whose country and network these are; it may have others of its prefix
	country traffic.Country
	network uint32
	since   clock.Instant // 0: it has not been counted yet
	refused bool
	regular bool // it had come for long before it was refused, if it was
}

// hits counts whom it hit. Its memory is bounded: of more clients than it has places
// for, the rest are not told apart.
type hits struct {
	clients map[uint64]*client // by traffic.ClientKey
	slab    []client

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
		clients: map[uint64]*client{}, countries: map[string]uint64{}, reasons: map[string]uint64{},
		agents: sketch.NewStrings(counting, 160, seed), paths: sketch.NewStrings(counting, 160, seed),
	}
}

// visit counts one request of a client; nil: there were too many to tell it apart.
func (h *hits) visit(c *client, v *traffic.Visit, d mitigation.Verdict) {
	h.requests.All++
	if c != nil {
		h.come(c, v.At)
	}
	if d.LetsIn() {
		if d.Action == mitigation.Slow {
			h.requests.Slowed++
		}
		return
	}
	h.requests.Refused++
	if c != nil && !c.refused {
		c.refused = true
		if h.out.Refused++; c.regular {
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
	case !c.regular && !c.refused && at.Sub(c.since) >= regular:
		c.regular = true
		h.out.Regulars++
	}
}

// client finds a client, or takes it up; nil where there are too many.
func (h *hits) client(from netip.Addr) *client {
	key, _ := traffic.ClientKey(from)
	if c := h.clients[key]; c != nil {
		return c
	}
	if len(h.clients) >= clientSlots {
		return nil
	}
	if len(h.slab) == 0 {
		h.slab = make([]client, 1024)
	}
	c := &h.slab[0]
	h.slab = h.slab[1:]
	h.clients[key] = c
	return c
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
