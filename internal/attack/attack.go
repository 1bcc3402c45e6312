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
// are packets, and "page requests" those that ask for a connection.
type Signature struct {
	Match      *match.Match `json:"match"`
	Coverage   float64      `json:"coverage"`   // share of the flood's requests that it hits
	Collateral float64      `json:"collateral"` // share of ordinary requests that it hits
	Bound      float64      `json:"bound"`      // what Collateral may truly be at most, with 95 % certainty, given how few were tested
	Newcomers  float64      `json:"newcomers"`  // share of ordinary page requests that it would hit if each were a first visit
	Flood      int          `json:"flood"`      // samples of the flood that it was tested on
	Ordinary   int          `json:"ordinary"`   // samples of ordinary traffic that it was tested on
}
