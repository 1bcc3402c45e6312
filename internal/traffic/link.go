package traffic

import "time"

// LinkEvent is something that a connection did, or that became of it, which says
// something of its client.
type LinkEvent uint8

// The events.
const (
	LinkOpened LinkEvent = iota // it was accepted
	LinkTurned                  // it was turned away for want of a place
	LinkBegun                   // it began a TLS handshake: its ClientHello was read
	LinkUnmade                  // that handshake came to nothing
	LinkUnused                  // it ended without having asked for anything
	LinkSlow                    // it keeps us waiting, for the first time
	LinkOdd                     // it was closed for how it speaks the protocol
	LinkEvents
)

// Wait is what a connection keeps us waiting for.
type Wait uint8

// The waits.
const (
	WaitSilent Wait = iota // its first byte
	WaitShake              // the rest of its handshake, or its first byte after that
	WaitHead               // the rest of a head
	WaitBody               // the rest of a body
	WaitTake               // it takes an answer too slowly
	Waits
)

var waitNames = [Waits]string{"silent", "handshake", "head", "body", "take"}

func (w Wait) String() string {
	if w < Waits {
		return waitNames[w]
	}
	return "wait?"
}

// Oddity is how a connection abuses the protocol that it speaks, HTTP/2 and 3.
type Oddity uint8

// The oddities.
const (
	OddResets   Oddity = iota // requests taken back, one after the other
	OddStreams                // more requests than are allowed, or such that we have to end
	OddFields                 // field blocks without an end
	OddSettings               // settings changed and changed again
	OddPings                  // pings
	OddFrames                 // frames without any use
	OddUnread                 // it does not read what we answer
	OddBroken                 // what it sends is not the protocol
	Oddities
)

var oddityNames = [Oddities]string{"resets", "streams", "fields", "settings", "pings", "frames", "unread", "broken"}

func (o Oddity) String() string {
	if o < Oddities {
		return oddityNames[o]
	}
	return "oddity?"
}

// Handshakes is what became of TLS handshakes, QUIC's among them.
type Handshakes struct {
	Begun   uint64 `json:"begun"`   // a ClientHello was read
	Made    uint64 `json:"made"`    // by both sides
	Unused  uint64 `json:"unused"`  // of connections closed without having asked for anything, made or not
	Turned  uint64 `json:"turned"`  // turned away over a budget, or for want of a place in line
	Banned  uint64 `json:"banned"`  // turned away over a ban or a mitigation
	Retried uint64 `json:"retried"` // first packets of QUIC told to come again with a true address
	Waiting int    `json:"waiting"` // for us to compute, at the window's end
}

// Links is what became of connections during a window. The zero value says that
// nobody counted them. Until its numbers are taken as differences (Since) they are
// counts from the start on.
type Links struct {
	Counted bool `json:"counted"`

	Opened  uint64 `json:"opened"`  // that came, those turned away among them
	Closed  uint64 `json:"closed"`  // that had a place
	Unused  uint64 `json:"unused"`  // closed without having asked for anything, not even for a handshake
	Full    uint64 `json:"full"`    // turned away: there was no place
	Crowded uint64 `json:"crowded"` // turned away: their client or its network has too many
	Evicted uint64 `json:"evicted"` // closed to make room
	Open    int    `json:"open"`    // at the window's end
	Most    int    `json:"most"`    // that there may be

	Handshakes Handshakes `json:"handshakes"`

	Slow      [Waits]uint64    `json:"slow"`      // closed, or a request of theirs given up, for that
	Lagging   [Waits]int       `json:"lagging"`   // open, and keep us waiting longer than the honest do; of HTTP/2, by requests
	Odd       [Oddities]uint64 `json:"odd"`       // closed for abuse of the protocol
	Malformed uint64           `json:"malformed"` // requests that are no HTTP

	Clients  uint64              `json:"clients"`  // distinct client prefixes that opened one, estimated
	Did      [LinkEvents]uint64  `json:"did"`      // events; those that are in no list are not among them
	Of       [LinkEvents][]Heavy `json:"of"`       // client prefixes, by what they did; largest first
	Networks [LinkEvents][]Heavy `json:"networks"` // the same for /24 and /48
	JA4      []Heavy             `json:"ja4"`      // of those that began a handshake
	Lost     uint64              `json:"lost"`     // events that are in no list
}

// Since is what happened after l was e. What is no count stays as it is in l.
func (l Links) Since(e Links) Links {
	for _, n := range []struct{ to, from *uint64 }{
		{&l.Opened, &e.Opened}, {&l.Closed, &e.Closed}, {&l.Unused, &e.Unused}, {&l.Full, &e.Full},
		{&l.Crowded, &e.Crowded}, {&l.Evicted, &e.Evicted}, {&l.Malformed, &e.Malformed},
		{&l.Handshakes.Begun, &e.Handshakes.Begun}, {&l.Handshakes.Made, &e.Handshakes.Made},
		{&l.Handshakes.Unused, &e.Handshakes.Unused}, {&l.Handshakes.Turned, &e.Handshakes.Turned}, {&l.Handshakes.Banned, &e.Handshakes.Banned},
		{&l.Handshakes.Retried, &e.Handshakes.Retried},
	} {
		*n.to -= min(*n.from, *n.to)
	}
	for i := range l.Slow {
		l.Slow[i] -= min(e.Slow[i], l.Slow[i])
	}
	for i := range l.Odd {
		l.Odd[i] -= min(e.Odd[i], l.Odd[i])
	}
	return l
}

// Laggards is how many requests keep us waiting in their middle.
func (l *Links) Laggards() int {
	return l.Lagging[WaitHead] + l.Lagging[WaitBody] + l.Lagging[WaitTake]
}

// Silent is how many connections have not asked for anything yet, longer than the
// honest take.
func (l *Links) Silent() int { return l.Lagging[WaitSilent] + l.Lagging[WaitShake] }

// Oddly is how many connections were closed for abuse of the protocol.
func (l *Links) Oddly() (n uint64) {
	for _, k := range l.Odd {
		n += k
	}
	return n
}

// Unmade is how many handshakes were begun and not made, but for those of whom we
// have banned and those in line for us to compute. line is how many these were when
// the window began.
func (h *Handshakes) Unmade(line int) uint64 {
	gone := int64(h.Begun) - int64(h.Made) - int64(h.Banned) - int64(h.Waiting-line)
	// Whoever came again with a true address was told to once.
	return uint64(max(gone, 0)) + h.Retried - min(h.Retried, h.Begun)
}

// LinkNormal is what is usual of connections here. The zero value says that nothing
// is known. It is replaced, never changed.
type LinkNormal struct {
	Learned time.Duration `json:"learned"` // how much ordinary traffic it rests on

	Opened    Rates `json:"opened"`    // a second
	Unused    Rates `json:"unused"`    // a second, those with a handshake among them
	Begun     Rates `json:"begun"`     // handshakes a second
	Unmade    Rates `json:"unmade"`    // a second
	Odd       Rates `json:"odd"`       // a second
	Malformed Rates `json:"malformed"` // a second
	Silent    Rates `json:"silent"`    // at a time, those with a handshake among them
	Laggards  Rates `json:"laggards"`  // at a time
}
