package listen

import (
	"crypto/tls"
	"errors"
	"sync/atomic"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/gcra"
	"seawall/internal/kit/ja4"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Greeter is asked about connections that begin a TLS handshake, before anything
// costly is done for them. Its methods are called from many goroutines at once.
// What it is given shows only what a connection does: At, Peer, Client, JA4,
// Secure, and what Greet itself fills in.
type Greeter interface {
	// Greet says whether the connection is wanted: of the verdict count Action (let
	// in, or not), Reason, ID and Rank, of which RankNewcomer and RankSuspect are
	// strangers and the others go before them.
	Greet(v *traffic.Visit) mitigation.Verdict
	// TurnedAway tells of one that was wanted, and was turned away because its
	// client's budget of handshakes is used up.
	TurnedAway(v *traffic.Visit)
}

// errTurnedAway ends a handshake. The client is told nothing.
var errTurnedAway = errors.New("listen: a handshake that is not wanted, or more than there can be")

// Why hellos are turned away; indexes of counters.
const (
	helloBanned    = iota // its client is banned
	helloDescribed        // a mitigation refuses what shows itself like this
	helloClient           // its client's budget is used up
	helloNetwork          // that of the network around it
	helloBusy             // more strangers than can wait for their turn
	helloTooMuch          // it lists more than any honest client does
	helloReasons
)

func helloReasonName(i int) string {
	return [helloReasons]string{"ban", "mitigation", "client", "network", "busy", "malformed"}[i]
}

// How much certificate validation by TLS (RFC 8737) goes before everybody: one
// order of a hundred names, each asked for from half a dozen places, and twenty a
// second after that. What is more is asked as anybody else is.
const (
	acmeProtocol = "acme-tls/1"
	acmeRate     = 20
	acmeBurst    = 600
)

// greeter holds what is needed to judge hellos.
type greeter struct {
	clients  *pace
	networks *pace
	one      gcra.Limit // of a client
	wide     gcra.Limit // of a network
	acme     atomic.Int64
	gate     *gate
}

func newGreeter(cfg Handshakes) *greeter {
	one := gcra.New(cfg.Rate, cfg.Burst)
	return &greeter{
		clients: newPace(), networks: newPace(),
		one: one, wide: one.Times(cfg.TimesNetwork),
		gate: newGate(cfg.atOnce()),
	}
}

// hello is called by TLS when a ClientHello has been read and nothing was answered
// yet.
func (s *Server) hello(info *tls.ClientHelloInfo) (*tls.Config, error) {
	w, ok := info.Conn.(*wire)
	if !ok {
		return nil, nil
	}
	class, why := w.c.judge(info)
	w.c.begin()
	if why < 0 && !s.greeter.gate.enter(class, s.coarse()) {
		why = helloBusy
	}
	if why >= 0 {
		s.count.hellos[why].Add(1)
		w.c.unmade()
		w.mute = true
		w.c.cut()
		return nil, errTurnedAway
	}
	w.greeted, w.computing, w.line = true, true, class
	return nil, nil
}

// judge computes the connection's fingerprint and says in which line the handshake
// waits, or why there will be none (-1: there will).
func (c *conn) judge(info *tls.ClientHelloInfo) (class, why int) {
	s := c.s
	now := s.clk.Now()
	if len(info.SupportedProtos) == 1 && info.SupportedProtos[0] == acmeProtocol &&
		takeOne(&s.greeter.acme, gcra.New(acmeRate, acmeBurst), now) {
		return gateKnown, -1
	}
	print, err := ja4.OfInfo(info, ja4.TCP)
	if err != nil {
		return 0, helloTooMuch
	}
	c.ja4 = print.String()
	if s.trusts(c.from) {
		return gateKnown, -1 // whoever it speaks for is told by requests only
	}
	v, _ := s.greetings.Get().(*traffic.Visit)
	if v == nil {
		v = new(traffic.Visit)
	}
	*v = traffic.Visit{At: now, Peer: c.peer, Client: c.from, JA4: c.ja4, Secure: true}
	class, why = s.greet(v)
	*v = traffic.Visit{}
	s.greetings.Put(v)
	return class, why
}

// greet asks the door, and charges the handshake to the client's budgets.
func (s *Server) greet(v *traffic.Visit) (class, why int) {
	d := s.askGreeter(v)
	if !d.LetsIn() {
		s.watch.TurnedAway(v, d)
		if d.Reason == mitigation.ReasonBan {
			return 0, helloBanned
		}
		return 0, helloDescribed
	}
	why = -1
	class = gateKnown
	switch d.Rank {
	case mitigation.RankKnown:
	case mitigation.RankProven:
		why = s.greeter.charge(v, knownTimes, 1)
	default:
		class = gateStranger
		cost := 1
		if s.greeter.gate.pressed(s.coarse()) {
			cost = pressedCost
		}
		why = s.greeter.charge(v, 1, cost)
	}
	if why >= 0 {
		d = mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonNeighbours, Rank: mitigation.RankSuspect}
		if why == helloClient {
			d.Reason = mitigation.ReasonClientBudget
			s.door.TurnedAway(v)
		}
		s.watch.TurnedAway(v, d)
	}
	return class, why
}

// askGreeter is like decide: a door that panics lets in.
func (s *Server) askGreeter(v *traffic.Visit) (d mitigation.Verdict) {
	defer func() {
		if p := recover(); p != nil {
			d = mitigation.Verdict{Rank: mitigation.RankNewcomer}
			s.panicked("door", p)
		}
	}()
	return s.door.Greet(v)
}

const (
	// knownTimes is how many times its budget a prefix has behind which there are
	// people.
	knownTimes = 8
	// pressedCost is what a stranger's handshake is charged, in handshakes, while
	// strangers stand in line: with the defaults, 20 at once and one a second.
	pressedCost = 50
)

// charge charges a handshake to the client and to the network around it; -1: both
// could bear it.
func (g *greeter) charge(v *traffic.Visit, times, cost int) (why int) {
	client := traffic.PrefixOf(v.Client, traffic.LevelClient)
	if !client.IsValid() {
		return -1
	}
	if !g.clients.take(client, g.one.Times(times), v.At, cost) {
		return helloClient
	}
	if !g.networks.take(traffic.PrefixOf(v.Client, traffic.LevelWide), g.wide.Times(times), v.At, cost) {
		return helloNetwork
	}
	return -1
}

// takeOne charges one to a budget that all share.
func takeOne(state *atomic.Int64, l gcra.Limit, now clock.Instant) bool {
	for {
		was := state.Load()
		next, ok, _ := l.Take(clock.Instant(was), now, 1)
		if !ok || state.CompareAndSwap(was, int64(next)) {
			return ok
		}
	}
}

// refusedHellos counts by reason, for metrics.
func (n *counters) refusedHellos() map[string]uint64 {
	by := make(map[string]uint64, helloReasons)
	for i := range n.hellos {
		by[helloReasonName(i)] = n.hellos[i].Load()
	}
	return by
}
