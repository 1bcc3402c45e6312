package app

import (
	"net/http"
	"sync/atomic"

	"seawall/internal/mitigation"
	"seawall/internal/packet"
	"seawall/internal/request/admit"
	"seawall/internal/request/identify"
	"seawall/internal/request/listen"
	"seawall/internal/request/refuse"
	"seawall/internal/traffic"
)

// door is the face that listen knows: who is it, what happens to it, and what
// does somebody see who is not let in. The deciders stand in the order in which
// a request meets them in admit.Decide. What a reload replaces is read through
// one pointer, so that a visit meets either the old settings or the new ones.
type door struct {
	now    atomic.Pointer[generation]
	admit  *admit.Admit
	filter atomic.Pointer[packet.Packet] // nil: there is none yet
	last   atomic.Bool                   // each answer is its connection's last: another process serves
}

// generation is what a reload replaces as one.
type generation struct {
	identify *identify.Identify
	refuse   *refuse.Refuse
	rooms    rooms
}

func (d *door) Identify(v *traffic.Visit, h traffic.Headers) { d.now.Load().identify.Identify(v, h) }

// Greet is asked before a TLS handshake.
func (d *door) Greet(v *traffic.Visit) mitigation.Verdict {
	d.now.Load().identify.Locate(v)
	verdict := d.admit.Greet(v)
	// Whom the packet filter always lets pass: the operator.
	if f := d.filter.Load(); !verdict.LetsIn() && f != nil && f.Spares(v.Client) {
		return mitigation.Verdict{Reason: mitigation.ReasonAllowList, Rank: mitigation.RankKnown}
	}
	return verdict
}

func (d *door) TurnedAway(v *traffic.Visit) { d.admit.TurnedAway(v) }

func (d *door) Decide(v *traffic.Visit) mitigation.Verdict { return d.admit.Decide(v) }

// ServeHTTP takes who was let in through the rooms.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.last.Load() && r.Header.Get("Upgrade") == "" {
		w.Header().Set("Connection", "close")
	}
	d.now.Load().rooms.first.ServeHTTP(w, r)
}

var _ listen.Road = (*door)(nil)

// Straight takes past them who needs none of them.
func (d *door) Straight(s listen.Straight) bool {
	return !d.last.Load() && d.now.Load().rooms.straight(s)
}

func (d *door) Refuse(buf []byte, v *traffic.Visit, verdict mitigation.Verdict, h traffic.Headers) mitigation.Answer {
	now := d.now.Load()
	a := now.refuse.Refuse(buf, v, verdict, h)
	if verdict.Action == mitigation.Challenge {
		// Where its neighbours have had their share of cookies there is none: it comes back
		// without, and is not asked a second time.
		a.Cookie = now.identify.Cookie(v)
	}
	a.Close = a.Close || d.last.Load()
	return a
}
