package accuracy

import (
	"net/netip"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/gcra"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Limits are what listen allows connections, as it is configured.
type Limits struct {
	Conns, PerClient, PerNetwork int
	Head, Idle, Grace            time.Duration
	MinRate                      int     // bytes a second, once Grace is used up
	Shakes                       float64 // handshakes a second, of one client
	ShakesAtOnce                 int
	TimesNetwork                 int // budgets of a client that a network has
}

// Greeter is what a connection meets that begins a handshake: listen's.
type Greeter interface {
	Greet(v *traffic.Visit) mitigation.Verdict
	TurnedAway(v *traffic.Visit)
}

// fate is how we ended a connection.
type fate uint8

const (
	byNobody fate = iota // its client ended it, or nobody yet
	byPlaces             // there was no place, or too many of its client or network
	byBudget             // its handshake was more than its client's or network's budget, or than can wait
	byBan                // its handshake was not wanted: a ban or a mitigation
	byRoom               // to make room
	byTime               // its time was up
	byAbuse              // for how it spoke
	byDoor               // what it asked for was refused
	fates
)

func (f fate) String() string {
	return [fates]string{"", "places", "budgets", "bans", "room", "time", "abuse", "door"}[f]
}

const (
	// sweepEvery is listen's, with the times that it has by default.
	sweepEvery = 250 * time.Millisecond
	// shakeWork is what the answer to a ClientHello costs of a processor (decision 22).
	shakeWork = 300 * time.Microsecond
)

// listener is what listen does about connections, in made-up time: the places, the
// handshakes, the times that everything may take, and the counts of all that. What it says
// of the protocols it does not read: connections say themselves what they do.
//
// It stands on two processors: of strangers' handshakes one computes at a time.
type listener struct {
	s     *stage
	max   Limits
	door  Greeter
	now   int64 // ms, of the last sweep: listen's times are as coarse
	links []*link
	held  map[netip.Prefix]int // connections, by client and by network
	count traffic.Links        // since the start
	lags  [traffic.Waits]int
	under int   // requests under way
	none  int64 // nobody can be ended to make room until then
	gate  shakeGate
	paces map[netip.Prefix]clock.Instant
	one   gcra.Limit
	book  *linkBook
}

// listens gives the stage a listener, and the loop what it counts.
func (s *stage) listens() {
	l := &listener{s: s, max: s.w.Limits, door: s.w.Greeter, held: map[netip.Prefix]int{}, paces: map[netip.Prefix]clock.Instant{}, book: &linkBook{}}
	l.one = gcra.New(l.max.Shakes, l.max.ShakesAtOnce)
	l.now = ms(time.Duration(s.now()))
	s.port, s.w.Links = l, l.counts
	s.after(sweepEvery, l.sweep)
}

func ms(d time.Duration) int64 { return int64(d / time.Millisecond) }

// counts is what became of connections since the start.
func (l *listener) counts() traffic.Links {
	n := l.count
	n.Counted, n.Open, n.Most = true, len(l.links), l.max.Conns
	n.Lagging, n.Handshakes.Waiting = l.lags, len(l.gate.strangers)
	n.Lagging[traffic.WaitShake] = max(0, n.Lagging[traffic.WaitShake]-n.Handshakes.Waiting)
	return n
}

// tell tells the loop what a connection of c did.
func (l *listener) tell(c *client, ja4 string, e traffic.LinkEvent) {
	l.s.w.Loop.Observer().Linked(c.addr, ja4, e)
}

// accept gives a connection a place; nil: there is none for it.
func (l *listener) accept(c *client) *link {
	l.count.Opened++
	late := l.book.comes(l.s, c)
	if len(l.links) >= l.max.Conns && l.evict() == 0 {
		l.count.Full++
		return l.turn(c, late)
	}
	one, wide := traffic.PrefixOf(c.addr, traffic.LevelClient), traffic.PrefixOf(c.addr, traffic.LevelWide)
	if l.held[one] >= l.max.PerClient || l.held[wide] >= l.max.PerNetwork {
		l.count.Crowded++
		return l.turn(c, late)
	}
	l.held[one]++
	l.held[wide]++
	l.tell(c, "", traffic.LinkOpened)
	k := &link{l: l, c: c, slot: len(l.links), accepted: l.now, until: l.now + ms(l.max.Head), h2: c.profile.http == traffic.HTTP2, late: late}
	l.links = append(l.links, k)
	l.book.opened(k)
	return k
}

func (l *listener) turn(c *client, late bool) *link {
	l.tell(c, "", traffic.LinkTurned)
	l.book.stopped(l.s, c, late, byPlaces)
	return nil
}

// close ends a connection: why says over what, where it is we who do.
func (l *listener) close(k *link, why fate) {
	if k.over {
		return
	}
	k.over = true
	k.stop(why)
	if k.shaking {
		k.unmade()
	}
	l.count.Closed++
	if !k.spoke && k.worth == 0 && !k.unwanted && !k.strange {
		if k.shakes {
			l.count.Handshakes.Unused++
		} else {
			l.count.Unused++
		}
		l.tell(k.c, "", traffic.LinkUnused)
	}
	for _, p := range [...]netip.Prefix{traffic.PrefixOf(k.c.addr, traffic.LevelClient), traffic.PrefixOf(k.c.addr, traffic.LevelWide)} {
		if l.held[p]--; l.held[p] == 0 {
			delete(l.held, p)
		}
	}
	last := l.links[len(l.links)-1]
	l.links[k.slot], last.slot = last, k.slot
	l.links = l.links[:len(l.links)-1]
	for len(k.streams) > 0 {
		k.lose(k.streams[0])
	}
	l.book.closed(k)
	if k.ended != nil {
		k.ended()
	}
}

// shakeGate bounds how many handshakes compute at a time: one of strangers and one more.
// Who goes on with one is not counted: that costs little.
type shakeGate struct {
	known, strangers []func()
	ours, theirs     bool // somebody known computes, and a stranger
	pressed          int64
}

const (
	mostStrangers = 1024 // who wait
	pressedFor    = 2000 // ms
	pressedCost   = 50   // what a stranger's handshake is charged meanwhile
	knownTimes    = 8    // budgets of a prefix behind which there are people
)

// hello is a ClientHello that was read. answered is called once we have computed our part.
func (l *listener) hello(k *link, answered func()) {
	known, why := l.judge(k)
	l.count.Handshakes.Begun++
	k.shakes = true
	l.tell(k.c, k.c.profile.ja4, traffic.LinkBegun)
	g := &l.gate
	if why == byNobody && !known {
		if len(g.strangers) >= mostStrangers {
			why = byBudget
		}
		if (len(g.strangers)+1)*2 >= mostStrangers {
			g.pressed = l.now + pressedFor
		}
	}
	switch why {
	case byBan:
		l.count.Handshakes.Banned++
	case byBudget:
		l.count.Handshakes.Turned++
	default:
		k.shaking = true
		turn := func() {
			if !k.over {
				answered()
			}
		}
		if known {
			g.known = append(g.known, turn)
		} else {
			g.strangers = append(g.strangers, turn)
		}
		l.compute()
		return
	}
	k.unmade()
	l.close(k, why)
}

// compute has those go on whose turn it is.
func (l *listener) compute() {
	g := &l.gate
	next := func(line *[]func(), busy *bool) {
		if *busy || len(*line) == 0 {
			return
		}
		turn := (*line)[0]
		*line, *busy = (*line)[1:], true
		l.s.after(shakeWork, func() {
			*busy = false
			turn()
			l.compute()
		})
	}
	next(&g.known, &g.ours)
	next(&g.strangers, &g.theirs)
}

// judge says whether the handshake of somebody known is begun, and why there will be none.
func (l *listener) judge(k *link) (known bool, why fate) {
	c := k.c
	v := traffic.Visit{At: l.s.now(), Peer: c.addr, Client: c.addr, Network: c.network, Country: c.country, Located: true, JA4: c.profile.ja4, Secure: true}
	d := l.door.Greet(&v)
	if !d.LetsIn() {
		l.s.w.Loop.Observer().TurnedAway(&v, d)
		return false, byBan
	}
	times, cost := 1, 1
	switch d.Rank {
	case mitigation.RankKnown:
		return true, byNobody
	case mitigation.RankProven:
		known, times = true, knownTimes
	default:
		if l.now < l.gate.pressed {
			cost = pressedCost
		}
	}
	d = mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonNeighbours, Rank: mitigation.RankSuspect}
	if !l.charge(traffic.PrefixOf(c.addr, traffic.LevelClient), l.one.Times(times), v.At, cost) {
		d.Reason = mitigation.ReasonClientBudget
		l.door.TurnedAway(&v)
	} else if l.charge(traffic.PrefixOf(c.addr, traffic.LevelWide), l.one.Times(l.max.TimesNetwork).Times(times), v.At, cost) {
		return known, byNobody
	}
	l.s.w.Loop.Observer().TurnedAway(&v, d)
	return false, byBudget
}

func (l *listener) charge(p netip.Prefix, to gcra.Limit, now clock.Instant, cost int) bool {
	next, ok, _ := to.Take(l.paces[p], now, cost)
	if ok {
		l.paces[p] = next
	}
	return ok
}

// made is the end of a handshake.
func (l *listener) made(k *link) {
	k.shaking = false
	l.count.Handshakes.Made++
}
