package demo

import (
	"io"
	"net/netip"
	"time"

	"seawall/internal/demo/flood"
	"seawall/internal/demo/site"
	"seawall/internal/kit/problem"
)

// Kind is what happens after the quiet phase.
type Kind string

// The kinds.
const (
	Heavy  Kind = "heavy"  // 200 sources at 50 requests/s each
	Wide   Kind = "wide"   // 2,000 sources at 2 requests/s each: too slow for limits per address
	Crowd  Kind = "crowd"  // no flood: ten times as many visitors arrive
	One    Kind = "one"    // one client goes over its budget
	Rotate Kind = "rotate" // the same, but each request from another /64 of one /48
	Many   Kind = "many"   // each request from another address of the whole Internet
	None   Kind = "none"   // nothing
)

// Front is what stands in front of the site.
type Front string

// The fronts.
const (
	FrontSeawall Front = "seawall"
	FrontNone    Front = "none"    // the same with no Seawall, for the comparison
	FrontOther   Front = "through" // a server that runs already, at Options.Through
)

// Options says what to show. It crosses process boundaries as JSON.
type Options struct {
	Kind    Kind   `json:"kind"`
	Guise   Guise  `json:"guise,omitempty"` // of Wide
	Front   Front  `json:"front"`
	Through string `json:"through,omitempty"` // valid iff Front is FrontOther

	Seconds int `json:"seconds"` // length of the flood, or of the crowd's coming
	Quiet   int `json:"quiet"`   // seconds before it
	After   int `json:"after"`   // seconds after it, at least
	Settle  int `json:"settle"`  // most seconds until all must be withdrawn

	Visitors  int     `json:"visitors"`
	Newcomers int     `json:"newcomers"` // visitors who first come during the flood
	Rate      float64 `json:"rate"`      // requests a second of each visitor

	Requests  uint64  `json:"requests,omitempty"`   // of One, Rotate and Many; 0: as many as the time allows
	FloodRate float64 `json:"flood_rate,omitempty"` // of One, Rotate and Many, in all; 0: as fast as answered

	// RefuseAfter is how many requests of Many have been answered when a person
	// orders what remains refused; 0: nobody does. A request that the site
	// answers costs this machine ten times what a refused one does, and the
	// tables that the measurement is about see both alike.
	RefuseAfter uint64 `json:"refuse_after,omitempty"`

	Site       site.Config `json:"site"`
	SiteListen string      `json:"site_listen"`      // "127.0.0.1:0" picks a free port
	Memory     int64       `json:"memory,omitempty"` // Seawall's ceiling in bytes; 0: its default

	JSON   bool   `json:"-"`       // print the Summary as JSON and nothing else
	Keep   bool   `json:"-"`       // stay up afterwards, to be looked at
	LookAt string `json:"look_at"` // where a person's browser gets in; "" nowhere
}

// DefaultOptions is the demo as `seawall demo` shows it.
func DefaultOptions() Options {
	return Options{
		Kind: Heavy, Front: FrontSeawall,
		Seconds: 20, Quiet: 10, After: 5, Settle: 60,
		Visitors: 40, Newcomers: 8, Rate: 2,
		Site: site.DefaultConfig(), SiteListen: "127.0.0.1:0", LookAt: "127.0.0.1:0",
	}
}

// crowdFactor is how many times as many visitors a flash crowd is.
const crowdFactor = 10

// relayed says whether addresses are told by PROXY protocol. The floods that
// change address with every request tell them by X-Forwarded-For instead.
func (o Options) relayed() bool { return o.Kind != One && o.Kind != Rotate && o.Kind != Many }

// Validate says what is wrong with o.
func (o Options) Validate() problem.List {
	var l problem.List
	switch o.Kind {
	case Heavy, Wide, Crowd, One, Rotate, Many, None:
	default:
		l.Add("kind", "heavy, wide, crowd or none", "%q is no kind of demo", o.Kind)
	}
	if err := dress(&flood.Config{}, o.Guise); err != nil || o.Guise != GuisePlain && o.Kind != Wide {
		l.Add("guise", "queries, agents, pages or pulses, with the kind wide", "%q is no guise of the kind %q", o.Guise, o.Kind)
	}
	switch o.Front {
	case FrontSeawall, FrontNone:
	case FrontOther:
		loopback(&l, "through", o.Through)
	default:
		l.Add("front", "seawall, none or through", "%q cannot stand in front", o.Front)
	}
	longest := int(flood.MostTime / time.Second)
	if !o.relayed() {
		longest = int(flood.MostSpreadTime / time.Second)
	}
	between(&l, "seconds", o.Seconds, 1, longest)
	between(&l, "quiet", o.Quiet, 1, 600)
	between(&l, "after", o.After, 0, 600)
	between(&l, "settle", o.Settle, 0, 600)
	between(&l, "visitors", o.Visitors, 0, 1000)
	between(&l, "newcomers", o.Newcomers, 0, 1000)
	if o.Rate <= 0 || o.Rate > 20 {
		l.Add("rate", "more than 0, at most 20", "%v requests a second of each visitor", o.Rate)
	}
	if !o.relayed() && o.Visitors > 0 {
		l.Add("visitors", "0 with this kind", "visitors tell their addresses by PROXY protocol, which kind %q does not use", o.Kind)
	}
	loopback(&l, "site_listen", o.SiteListen)
	if o.LookAt != "" {
		loopback(&l, "look_at", o.LookAt)
	}
	l.Under("site", o.Site.Validate())
	return l
}

func between(l *problem.List, key string, n, low, high int) {
	if n < low || n > high {
		l.Add(key, "", "%d is not between %d and %d", n, low, high)
	}
}

// loopback allows numeric loopback addresses with a port, and nothing else.
func loopback(l *problem.List, key, addr string) {
	a, err := netip.ParseAddrPort(addr)
	switch {
	case err != nil:
		l.Add(key, "write it like 127.0.0.1:8080", "%q is no address with a port", addr)
	case !a.Addr().Unmap().IsLoopback():
		l.Add(key, "the demo stays on this machine: write it like 127.0.0.1:8080", "%s is not a loopback address", a.Addr())
	}
}

// ShieldSpec is what Seawall must be started with.
type ShieldSpec struct {
	Dir       string // empty, private, removed afterwards: for its configuration and data
	Listen    string // where it serves
	Admin     string // where its admin API is
	Origin    string // the site: "http://127.0.0.1:1234"
	Relay     bool   // connections from loopback begin with a PROXY header
	Forwarded bool   // X-Forwarded-For is believed from loopback
	Memory    int64  // ceiling in bytes; 0: the default
}

// Env is what the demo needs of the program around it.
type Env struct {
	Executable string                     // this program
	Role       func(role string) []string // arguments that make it call RunRole(role)
	// Shield returns the arguments that make the program run as Seawall; it may
	// write files into spec.Dir.
	Shield func(spec ShieldSpec) ([]string, error)
	// Addresses returns n different addresses registered in a country.
	Addresses func(country string, n int) []netip.Addr

	Out      io.Writer  // the view and the summary
	Terminal bool       // Out is a terminal
	Width    func() int // its columns; valid iff Terminal
}

// tickEvery is how often everything is sampled.
const tickEvery = 250 * time.Millisecond
