package traffic

import (
	"time"

	"seawall/internal/kit/clock"
)

// Heavy is one heavy hitter of a field. Count may be too high by at most Error.
type Heavy struct {
	Key   string `json:"key"`
	Count uint64 `json:"count"`
	Error uint64 `json:"error,omitempty"`
}

// Origin is how the site behind Seawall fared during a window.
type Origin struct {
	Asked    uint64        `json:"asked"`     // requests sent to it
	Failed   uint64        `json:"failed"`    // no usable answer, or too slow
	Shed     uint64        `json:"shed"`      // let in, but the line was full
	InFlight int           `json:"in_flight"` // at the window's end
	Waiting  int           `json:"waiting"`   // in line at the window's end
	Behind   int           `json:"behind"`    // of Waiting, suspects, who wait behind everybody else
	Limit    int           `json:"limit"`     // most that may be in flight; 0 none
	Healthy  int           `json:"healthy"`   // origins that pass their health checks
	P50      time.Duration `json:"p50"`       // of the time to its first byte
	P95      time.Duration `json:"p95"`
	P99      time.Duration `json:"p99"`
}

// Felt is what one class of visitors felt during a window.
type Felt struct {
	Offered uint64        `json:"offered"` // requests they made, but those that are asked to come back with a cookie
	Served  uint64        `json:"served"`  // answered by origin or cache, not by an error of ours or a 5xx
	P50     time.Duration `json:"p50"`     // of the time from head read to answer finished, served ones only
	P99     time.Duration `json:"p99"`
}

// Stopped is whom the door stopped: turned away, or put behind everybody else.
type Stopped struct {
	Refused    uint64 `json:"refused"` // requests turned away
	Slowed     uint64 `json:"slowed"`
	Challenged uint64 `json:"challenged"` // asked to come back with a cookie
	Cleared    uint64 `json:"cleared"`    // of Refused, those of visitors with a clearance
	// Reasons counts all of them by mitigation.Reason's name.
	Reasons map[string]uint64 `json:"reasons"`
}

// Trial is what became of whom a challenge asked. Answers come a moment later than the
// question, and may fall into the next window.
type Trial struct {
	Asked    uint64 `json:"asked"`
	Answered uint64 `json:"answered"` // came back with a clearance
}

// Window sums up a stretch of traffic, a second as a rule. Whoever receives
// one may read it for ever and never write to it.
type Window struct {
	At   clock.Instant `json:"-"`    // its end
	Wall time.Time     `json:"at"`   // its end, for people
	Span time.Duration `json:"span"` // its length

	Offered    uint64            `json:"offered"`    // requests that met the door
	Admitted   uint64            `json:"admitted"`   // let in, slowed ones among them
	Slowed     uint64            `json:"slowed"`     // let in behind everybody else
	Challenged uint64            `json:"challenged"` // asked to come back with a cookie
	Refused    uint64            `json:"refused"`    // turned away by the door
	Ruled      uint64            `json:"ruled"`      // of Refused, by rules of the configuration
	Reasons    map[string]uint64 `json:"reasons"`    // by mitigation.Reason's name
	Hits       map[uint32]uint64 `json:"hits"`       // requests that each mitigation met, or on a dry run would have, by its ID
	Cleared    map[uint32]uint64 `json:"cleared"`    // of Hits, those of visitors with a clearance
	Trials     map[uint32]Trial  `json:"trials"`     // of mitigations that challenge, by ID; the silent are left out
	RefusedIn  map[string]uint64 `json:"refused_in"` // refused, by the country that the address is registered in
	Stopped    Stopped           `json:"stopped"`    // by budgets and mitigations, not by rules
	Would      Stopped           `json:"would"`      // what watch mode let in, and would otherwise have been stopped
	BytesIn    uint64            `json:"bytes_in"`   // of bodies
	BytesOut   uint64            `json:"bytes_out"`  // of bodies
	Status     [6]uint64         `json:"status"`     // answers by hundreds; [0] none

	ByKind      [Kinds]uint64      `json:"by_kind"` // offered
	ByClearance [Clearances]uint64 `json:"by_clearance"`
	ByStanding  [Standings]uint64  `json:"by_standing"`
	Felt        [Clearances]Felt   `json:"felt"` // by clearance: who is hurt

	Clients uint64          `json:"clients"` // distinct client prefixes, estimated
	Top     [Fields][]Heavy `json:"top"`     // largest first
	Origin  Origin          `json:"origin"`

	Packets Packets `json:"packets"`
	Links   Links   `json:"links"`

	Samples []Sample `json:"-"`    // an even sample of what was offered
	Lost    uint64   `json:"lost"` // requests that only the plain counters saw
}

// Steady returns n as a rate per second, as if nothing more came in what a window is shorter
// than a second: what comes in a burst is no more a second for being seen early.
func (w *Window) Steady(n uint64) float64 {
	if w.Span <= 0 {
		return 0
	}
	return float64(n) / max(w.Span.Seconds(), 1)
}

// Rate returns n as a rate per second over the window.
func (w *Window) Rate(n uint64) float64 {
	if w.Span <= 0 {
		return 0
	}
	return float64(n) / w.Span.Seconds()
}

// Normal is what is usual here and now. It is replaced, never changed.
type Normal struct {
	Learned time.Duration `json:"learned"` // how much ordinary traffic it rests on
	Frozen  bool          `json:"frozen"`  // an attack runs, so nothing is learnt

	Requests  float64       `json:"requests"`   // a second, median
	Peak      float64       `json:"peak"`       // a second, 95th percentile
	Clients   float64       `json:"clients"`    // distinct prefixes a second, 95th percentile
	PerClient float64       `json:"per_client"` // requests a second of a busy ordinary client
	OriginP50 time.Duration `json:"origin_p50"`
	OriginP95 time.Duration `json:"origin_p95"`
	Capacity  float64       `json:"capacity"` // highest rate the origin was seen to bear in comfort; 0 unknown

	AssetShare     float64 `json:"asset_share"`     // of requests, that are for assets
	ClearanceShare float64 `json:"clearance_share"` // of requests, that bring our cookie back

	// Share is how much of ordinary traffic has a key, by field; not of FieldClient.
	Share [Fields]map[string]float64 `json:"-"`
	// Ordinary is a rolling, even sample of ordinary traffic for testing
	// signatures on. Read only.
	Ordinary []Sample `json:"-"`
	// OrdinaryDay and OrdinaryWeek are samples that are spread evenly over the last 24
	// hours, and the last 7 days, of what was learnt from: at most 2,000 each, which
	// outlive a restart. They tell of visits only, and neither when they were nor what
	// became of them. Addresses are cut to /24 and /48, and there are no queries and no
	// clearance numbers. Read only.
	OrdinaryDay  []Sample `json:"-"`
	OrdinaryWeek []Sample `json:"-"`

	Packets PacketNormal `json:"packets"`
	Links   LinkNormal   `json:"links"`
}
