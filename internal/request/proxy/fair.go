package proxy

import (
	"hash/maphash"
	"math"
	"net/netip"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// flows is how many clients are told from one another by what they had of the origin.
const flows = 1 << 13

// credit is how many requests of the typical cost a client may be ahead of the others
// before it matters: a page with a few of its parts.
const credit = 8

// fair keeps an account of how long each client has held places at the origin, so that
// under overload those who had little are served before those who had much.
//
// It is start-time fair queueing (Goyal, Vin and Cheng, 1996) with the time that places
// are held for the packets' lengths: a request's tag is the virtual time at which its
// client's earlier requests, at an equal share, would be done, and the lowest tag goes
// first. Whoever asks for the first time has the present for a tag. The virtual time is
// the highest tag of those that went. What a client is ahead of it fades by half every
// ten seconds, or who once had much would stand behind all strangers for ever. Two
// clients that fall on the same account wait for each other. It has no lock of its own;
// the Gate's guards it.
type fair struct {
	seed    maphash.Seed
	now     float64 // the virtual time, in seconds of a place
	typical float64 // how long a place is held, in seconds
	done    [flows]account
}

// account is one client's.
type account struct {
	ahead float64 // of the virtual time, as it was at at
	of    float64 // the virtual time then
	at    clock.Instant
}

// fades is how long it takes until half of what a client is ahead is forgotten.
const fades = 10 * time.Second

// due is what the account is ahead of the present.
func (f *fair) due(a *account, now clock.Instant) float64 {
	d := a.ahead - (f.now - a.of)
	if d <= 0 {
		d = 0
	} else if since := now.Sub(a.at); since > 0 {
		d *= math.Exp2(-since.Seconds() / fades.Seconds())
	}
	*a = account{d, f.now, now}
	return d
}

func (f *fair) init() { f.seed = maphash.MakeSeed() }

// bill is what one request was charged; nothing for those whom we know, since they
// do not stand in line with the others.
type bill struct {
	flow int32 // its client's account; none
	cost float32
	tag  float64
}

const none = -1

// who is the bucket of a client in a line, and its account, both by its own prefix.
func (f *fair) who(client netip.Addr, rank mitigation.Rank) (bucket uint16, flow int32) {
	h := maphash.Comparable(f.seed, traffic.PrefixOf(client, traffic.LevelClient))
	if rank <= mitigation.RankProven || !client.IsValid() {
		return uint16(h % buckets), none
	}
	return uint16(h % buckets), int32(h / buckets % flows)
}

// charge puts a request of typical cost on an account.
func (f *fair) charge(flow int32, now clock.Instant) bill {
	if flow == none {
		return bill{flow: none, tag: f.now}
	}
	a := &f.done[flow]
	ahead := f.due(a, now)
	a.ahead += f.typical
	return bill{flow, float32(f.typical), f.now + max(0, ahead-credit*f.typical)}
}

// goes says that a charged request goes to the origin now.
func (f *fair) goes(b bill) { f.now = max(f.now, b.tag) }

// refund takes a charge back.
func (f *fair) refund(b bill, now clock.Instant) { f.change(b, -float64(b.cost), now) }

// settle puts what a request did cost in the place of what was charged.
func (f *fair) settle(b bill, held time.Duration, now clock.Instant) {
	if b.flow == none {
		return
	}
	s := held.Seconds()
	f.change(b, s-float64(b.cost), now)
	f.typical += (s - f.typical) / 64
}

func (f *fair) change(b bill, by float64, now clock.Instant) {
	if b.flow == none {
		return
	}
	a := &f.done[b.flow]
	a.ahead = max(f.due(a, now)+by, 0)
}
