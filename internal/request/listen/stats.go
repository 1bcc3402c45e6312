package listen

import (
	"sync/atomic"

	"seawall/internal/traffic"
)

// Stats is what metrics are made of. Counts are since the start.
type Stats struct {
	Open     int    // connections now
	Parked   int    // those of them that have no goroutine, see lot.go
	Accepted uint64 // connections, refused ones among them

	OverAll        uint64 // connections refused: all places taken, nobody idle
	OverClient     uint64 // connections refused: too many of a /32 or /64
	OverNetwork    uint64 // connections refused: too many of a /24 or /48
	ProxyMissing   uint64 // connections refused: not from a trusted proxy
	ProxyMalformed uint64 // connections closed over their PROXY header
	Evicted        uint64 // idle connections closed to make room
	Banned         uint64 // connections closed since their client's packets are stopped
	Handshakes     uint64 // of TLS, made; QUIC's among them
	HandshakesLost uint64 // of TLS, begun and not made
	AcceptFailed   uint64 // the kernel had no connection to give: descriptors, memory

	Retries uint64 // connections of QUIC that were to prove their address first

	HellosRefused map[string]uint64 // handshakes refused before they cost much, by why

	Malformed  map[string]uint64 // messages not accepted, by what was wrong
	Timeouts   map[string]uint64 // connections that took too long: new, idle, head, body, write, linger
	Glitched   uint64            // connections of HTTP/2 and 3 closed for behaving oddly
	ConnErrors uint64            // those closed over any fault, the odd ones among them
	Panics     uint64            // of rooms and door, survived
	Disagreed  uint64            // heads that we took and net/http did not; should stay 0
}

type counters struct {
	accepted, overAll, overClient, overNetwork, proxyMissing, proxyMalformed,
	evicted, banned, handshakes, handshakesFailed, acceptFailed, panics, disagreed, glitched, connErrors, retries, parks atomic.Uint64
	malformed [faults]atomic.Uint64
	timeouts  [timeouts]atomic.Uint64
	hellos    [helloReasons]atomic.Uint64
	odd       [traffic.Oddities]atomic.Uint64 // connections

	closed, unused, idleShakes, begun atomic.Uint64
}

// Stats returns the counts of this moment.
func (s *Server) Stats() Stats {
	n := &s.count
	st := Stats{
		Open:     s.conns.open(),
		Parked:   s.parked(),
		Accepted: n.accepted.Load(),
		OverAll:  n.overAll.Load(), OverClient: n.overClient.Load(), OverNetwork: n.overNetwork.Load(),
		ProxyMissing: n.proxyMissing.Load(), ProxyMalformed: n.proxyMalformed.Load(),
		Evicted: n.evicted.Load(), Banned: n.banned.Load(), AcceptFailed: n.acceptFailed.Load(),
		Handshakes: n.handshakes.Load(), HandshakesLost: n.handshakesFailed.Load(),
		Glitched: n.glitched.Load(), ConnErrors: n.connErrors.Load(),
		Panics: n.panics.Load(), Disagreed: n.disagreed.Load(),
		Retries:       n.retries.Load(),
		HellosRefused: n.refusedHellos(),
		Malformed:     map[string]uint64{}, Timeouts: map[string]uint64{},
	}
	for f := faultNone + 1; f < faults; f++ {
		if k := n.malformed[f].Load(); k > 0 {
			st.Malformed[f.about().kind] += k
		}
	}
	for i := range n.timeouts {
		st.Timeouts[timeoutName(i)] = n.timeouts[i].Load()
	}
	return st
}
