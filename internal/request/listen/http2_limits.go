package listen

import (
	"slices"

	"seawall/internal/request/listen/h2"
	"seawall/internal/traffic"
)

// A connection may behave oddly now and then: a page that is left resets its
// streams, and links are tested by pings. Each oddity costs points; glitchRate of
// them are forgotten a second, and who has more than glitchBurst is sent away.
const (
	glitchRate  = 50
	glitchBurst = 1000
)

// oddity is something odd.
type oddity uint8

const (
	glitchCrumb oddity = iota // frames that say next to nothing, in great numbers
	glitchAck                 // of settings
	glitchFrame               // frames without any use
	glitchPing
	glitchReset   // a request was taken back
	glitchRefused // more requests at once than are allowed
	glitchMore    // a field block in pieces
	glitchSettings
	glitchStream // a fault for which a stream was ended
	glitchKinds
)

// cost is what it costs, in points.
func (o oddity) cost() int64 {
	return [glitchKinds]int64{1, 2, 4, 4, 5, 5, 5, 10, 20}[o]
}

// kind is what it is called where it was too much.
func (o oddity) kind() traffic.Oddity {
	switch o {
	case glitchReset:
		return traffic.OddResets
	case glitchRefused, glitchStream:
		return traffic.OddStreams
	case glitchMore:
		return traffic.OddFields
	case glitchSettings, glitchAck:
		return traffic.OddSettings
	case glitchPing:
		return traffic.OddPings
	}
	return traffic.OddFrames
}

// glitches counts points, in thousandths.
type glitches struct {
	points int64
	at     int64                   // coarse ms
	spent  [traffic.Oddities]int64 // since there were none, by what for
}

// add says whether there are too many now.
func (g *glitches) add(o oddity, now int64) bool {
	if g.points = max(0, g.points-(now-g.at)*glitchRate); g.points == 0 {
		clear(g.spent[:])
	}
	g.spent[o.kind()] += o.cost()
	g.points += o.cost() * 1000
	g.at = now
	return g.points > glitchBurst*1000
}

// most is what most points were spent for.
func (g *glitches) most() traffic.Oddity {
	most := traffic.Oddity(0)
	for k, n := range g.spent {
		if n > g.spent[most] {
			most = traffic.Oddity(k)
		}
	}
	return most
}

// glitch takes note of an oddity. It fails when there were too many.
func (h *http2conn) glitch(o oddity) error {
	if h.glitches.add(o, h.s.coarse()) {
		h.s.count.glitched.Add(1)
		h.c.odd(h.glitches.most())
		return connError{h2.EnhanceYourCalm}
	}
	h.mu.Lock()
	full := len(h.out) > mostControl
	h.mu.Unlock()
	if full { // the client does not read what we answer
		h.s.count.glitched.Add(1)
		h.c.odd(traffic.OddUnread)
		return connError{h2.EnhanceYourCalm}
	}
	return nil
}

// mostNow is how many requests this connection may have under way. Each takes
// memory, and one connection could take as much as a hundred of HTTP/1: the more
// there are in all, the fewer are left for each, but for visitors whom we know.
func (h *http2conn) mostNow() int {
	all, most := h.s.streams.Load(), int64(h.s.cfg.MaxConns)
	switch {
	case all < most/2, h.c.cleared.Load():
		return mostStreams
	case all < most*3/4:
		return 16
	case all < most:
		return 4
	}
	return 1
}

// failStream ends a stream over a fault of the client's.
func (h *http2conn) failStream(e streamError) error {
	h.mu.Lock()
	if st := h.streams[e.stream]; st != nil {
		st.lose()
	}
	h.out = h2.AppendReset(h.buffer(), e.stream, e.code)
	h.remember(e.stream)
	h.mu.Unlock()
	return h.glitch(glitchStream)
}

// remember keeps in mind that we ended a stream. It needs mu.
func (h *http2conn) remember(stream uint32) {
	const most = 256 // more than a client may have open, and then some
	if len(h.closed) < most {
		h.closed = append(h.closed, stream)
	} else {
		h.closed[h.nclosed%most] = stream
	}
	h.nclosed++
}

// endedByUs says whether we ended a stream lately. It needs mu.
func (h *http2conn) endedByUs(stream uint32) bool { return slices.Contains(h.closed, stream) }

// opening is the fingerprint of how a connection began: settings, the first window,
// priorities, and the order of the first request's pseudo-header fields.
type opening struct {
	hash uint64
	done bool
}

func (o *opening) add(kind byte, b []byte) {
	if o.done {
		return
	}
	if o.hash == 0 {
		o.hash = fnvOffset
	}
	o.hash = mix(o.hash, kind)
	for _, c := range b {
		o.hash = mix(o.hash, c)
	}
}

func (o *opening) settings(p []byte) { o.add('S', p) }

func (o *opening) window(stream, n uint32, before bool) {
	if before && stream == 0 {
		o.add('W', []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
}

func (o *opening) priority(stream uint32, p []byte) {
	o.add('P', []byte{byte(stream)})
	o.add(':', p)
}
