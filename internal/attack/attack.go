package attack

import (
	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/traffic"
)

// Vector is a way of attacking, or of merely being a great many.
type Vector string

// The vectors that detectors of this version find.
const (
	// HTTPFlood: more requests than the site can bear, of an unusual kind.
	HTTPFlood Vector = "http-flood"
	// FlashCrowd: more visitors than usual, ordinary ones. Never a reason to
	// refuse anybody.
	FlashCrowd Vector = "flash-crowd"
	// SynFlood: connections asked for by the thousands, and not made.
	SynFlood Vector = "syn-flood"
	// Reflection: answers that nobody here asked for, sent by others in whose
	// name the attacker had asked.
	Reflection Vector = "reflection"
	// PacketFlood: packets of no connection, more than the machine can bear.
	PacketFlood Vector = "packet-flood"
	// CacheBusting: requests with ever new queries, which no cache has.
	CacheBusting Vector = "cache-busting"
	// CostlyRequests: few requests, each for a page that keeps the origin busy.
	CostlyRequests Vector = "costly-requests"
	// FormFlood: passwords tried, or forms sent, more than the site can bear.
	FormFlood Vector = "form-flood"
	// PasswordGuessing: passwords tried too slowly to be a flood. For people to
	// know of; never a reason to refuse anybody.
	PasswordGuessing Vector = "password-guessing"
	// Scanning: pages asked for that are not there, in search of a weakness. As
	// above.
	Scanning Vector = "scanning"
	// Scraping: page after page read by a program. As above.
	Scraping Vector = "scraping"
	// PulseWave: a flood that comes, goes and comes again. Its requests are another
	// vector's; this one only says when.
	PulseWave Vector = "pulse-wave"
	// ConnectionFlood: connections opened by the hundreds that ask for nothing.
	ConnectionFlood Vector = "connection-flood"
	// HandshakeFlood: TLS handshakes begun and not made, or made for nothing.
	HandshakeFlood Vector = "handshake-flood"
	// SlowAttack: connections that keep us waiting in the middle of a request.
	SlowAttack Vector = "slow-attack"
	// ProtocolAbuse: what the protocols allow and nobody honest does, or what is no
	// protocol at all.
	ProtocolAbuse Vector = "protocol-abuse"
	// CarpetBombing: a flood from, or to, so many addresses of a few networks that
	// none of them stands out.
	CarpetBombing Vector = "carpet-bombing"
)

// Vectors lists all of them.
func Vectors() []Vector {
	return []Vector{
		HTTPFlood, FlashCrowd, SynFlood, Reflection, PacketFlood,
		CacheBusting, CostlyRequests, FormFlood, PasswordGuessing, Scanning, Scraping, PulseWave,
		ConnectionFlood, HandshakeFlood, SlowAttack, ProtocolAbuse, CarpetBombing,
	}
}

// Fact is one measured reason, beside what is usual.
type Fact struct {
	Name  string  `json:"name"` // in plain words: "requests offered"
	Value float64 `json:"value"`
	Usual float64 `json:"usual"`
	Unit  string  `json:"unit"` // "/s", "ms", "share"
}

// Packets says whether the vector is one of packets, not of requests.
func (v Vector) Packets() bool { return v == SynFlood || v == Reflection || v == PacketFlood }

// Requests says whether the vector is a flood of requests, which something may be
// done about.
func (v Vector) Requests() bool {
	switch v {
	case HTTPFlood, CacheBusting, CostlyRequests, FormFlood:
		return true
	}
	return false
}

// Connections says whether the vector is one of connections, whatever is asked for by
// them.
func (v Vector) Connections() bool {
	switch v {
	case ConnectionFlood, HandshakeFlood, SlowAttack, ProtocolAbuse, CarpetBombing:
		return true
	}
	return false
}

// Title names the vector at the beginning of a sentence.
func (v Vector) Title() string {
	switch v {
	case HTTPFlood:
		return "A flood of requests"
	case FlashCrowd:
		return "A crowd"
	case SynFlood:
		return "A SYN flood"
	case Reflection:
		return "A reflected flood"
	case PacketFlood:
		return "A flood of packets"
	case CacheBusting:
		return "Cache busting"
	case CostlyRequests:
		return "A flood of costly requests"
	case FormFlood:
		return "A flood of forms"
	case PasswordGuessing:
		return "Password guessing"
	case Scanning:
		return "Scanning"
	case Scraping:
		return "Scraping"
	case PulseWave:
		return "A flood in pulses"
	case ConnectionFlood:
		return "A flood of connections"
	case HandshakeFlood:
		return "A flood of handshakes"
	case SlowAttack:
		return "A slow attack"
	case ProtocolAbuse:
		return "Abuse of the protocols"
	case CarpetBombing:
		return "Carpet bombing"
	}
	return string(v)
}

// Finding is a detector's claim about one window.
type Finding struct {
	Vector     Vector        `json:"vector"`
	Target     string        `json:"target"`     // the host, or "" for the whole site; of packets "port 443"
	Confidence float64       `json:"confidence"` // 0 to 1
	Since      clock.Instant `json:"-"`          // when it was first true
	Rate       float64       `json:"rate"`       // requests a second offered; packets a second
	Normal     float64       `json:"normal"`     // requests, or such packets, a second usual here
	Suffering  bool          `json:"suffering"`  // the origin is slower or failing
	Blatant    bool          `json:"blatant"`    // so plain that a tenth of a second shows it
	Facts      []Fact        `json:"facts"`
	Top        []Contributor `json:"top"`

	// What it asks for, in plain words ("one page, /donate"); of packets, what they
	// are ("answers of DNS servers").
	What string `json:"what,omitempty"`
	// Part is which of the requests it is about.
	Part Part `json:"part,omitzero"`
	// What Rate and Normal count, where that is neither requests nor packets a
	// second: "connections a second", "connections at a time".
	Unit string `json:"unit,omitempty"`
	// Kinds of packets, the most frequent first.
	Kinds []traffic.PacketKind `json:"kinds,omitempty"`
}

// Magnitude is how many times normal the traffic is.
func (f *Finding) Magnitude() float64 {
	if f.Normal <= 0 {
		return 0
	}
	return f.Rate / f.Normal
}

// Signature is a match that describes an attack. Of packets, "requests" below
// are packets, and "page requests" those that ask for a connection; what is said
// of spans, visitors and examples is of requests only.
type Signature struct {
	Match    *match.Match `json:"match"`
	Coverage float64      `json:"coverage"` // share of the flood's requests that it hits
	// Collateral is the share of ordinary requests that it hits: the largest of what
	// the samples of the last hour, day and week show. The latter two count where it
	// could be tested on 300 requests of theirs.
	Collateral float64 `json:"collateral"`
	// Low and High are the two-sided 95 % confidence interval (Wilson 1927) of
	// Collateral, in the sample that it is from, given how few were tested.
	Low  float64 `json:"collateral_low"`
	High float64 `json:"collateral_high"`
	// Bound is what Collateral may truly be at most, with 95 % certainty (one-sided).
	Bound     float64 `json:"bound"`
	Newcomers float64 `json:"newcomers"` // share of ordinary page requests that it would hit if each were a first visit
	Flood     int     `json:"flood"`     // samples of the flood that it was tested on
	Ordinary  int     `json:"ordinary"`  // samples of ordinary traffic of the last hour that it was tested on

	CollateralHour float64 `json:"collateral_hour"` // in the sample of the last hour
	CollateralDay  float64 `json:"collateral_day"`  // of the last 24 hours
	CollateralWeek float64 `json:"collateral_week"` // of the last 7 days
	OrdinaryDay    int     `json:"ordinary_day"`    // samples of the last 24 hours that it was tested on
	OrdinaryWeek   int     `json:"ordinary_week"`   // of the last 7 days

	// Known is how many visitors it would touch, of KnownOf: distinct client prefixes
	// (/32, /64) of the requests in the hour's sample that brought a clearance or came
	// from a client in good standing. Where the address has been cut, after an hour,
	// all of a /24 or /48 count as one.
	Known   int `json:"known"`
	KnownOf int `json:"known_of"`

	// Examples are the first lines of up to three requests of the flood that it hits,
	// cut, with the user agent behind them, and without queries and addresses.
	Examples []string `json:"examples,omitempty"`
}

// When says of which ordinary requests Collateral is, where it is not those of the last
// hour: " of the last 7 days".
func (s *Signature) When() string {
	switch s.Collateral {
	case s.CollateralHour:
	case s.CollateralWeek:
		return " of the last 7 days"
	case s.CollateralDay:
		return " of the last 24 hours"
	}
	return ""
}
