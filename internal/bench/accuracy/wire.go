package accuracy

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"seawall/internal/kit/clock"
)

// Wire is what packets meet before they become requests. It says whether a frame passed.
type Wire interface {
	Frame(at clock.Instant, frame []byte) (passed bool)
}

// The site's addresses, and how long a connection is kept.
var (
	site4 = netip.AddrFrom4([4]byte{203, 0, 113, 10})
	site6 = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 15: 10})
)

// unreachable is where addresses are from that the internet does not have (RFC 5737): of some
// programs, whose packets are left out.
var unreachable = netip.MustParsePrefix("198.51.100.0/24")

const keepAlive = 15 * time.Second

// stack is how a visitor's system sends.
type stack struct {
	ttl         uint8
	options     int
	syn, window uint16
}

// stacks of Linux and Android, Windows, and Apple's, as they are commonly described
// (initial TTL, options of a SYN, its window).
var stacks = [...]stack{{64, 20, 64240, 501}, {64, 20, 65535, 343}, {128, 12, 64240, 1026}, {64, 24, 65535, 2058}}

// line is a visitor's connection.
type line struct {
	stack stack
	quic  bool
	port  uint16
	last  clock.Instant
}

// wires counts frames.
type wires struct {
	to    Wire
	buf   []byte
	noise [1400]byte // what is encrypted looks like

	flood, stopped int // frames of the flood, from its second second on
	people, lost   int // frames of people, and of those, stopped
	ever, held     int // of the flood since the last glance
}

func newWires(to Wire, r *rand.Rand) *wires {
	w := &wires{to: to, buf: make([]byte, 0, 2048)}
	for i := range w.noise {
		w.noise[i] = byte(r.Uint32())
	}
	return w
}

// some is n bytes that look encrypted, after what they begin with.
func (w *wires) some(r *rand.Rand, n int, begin ...byte) []byte {
	at := r.IntN(len(w.noise) - n)
	b := w.noise[at : at+n]
	copy(b, begin)
	return b
}

// visits sends what a page with its assets is made of.
func (s *stage) visits(c *client, requests int) {
	w, r := s.wires, s.rng
	if c.line == nil {
		c.line = &line{stack: stacks[r.IntN(len(stacks))], quic: r.Float64() < 0.25}
	}
	l := c.line
	g := segment{source: c.addr, dest: site4, proto: tcp, ttl: l.stack.ttl - uint8(5+hashOf(c.addr.String())%18), dport: 443, window: l.stack.window}
	if !c.addr.Is4() {
		g.dest = site6
	}
	send := func() { s.personal(g.frame(w.buf)) }
	fresh := l.last == 0 || s.now().Sub(l.last) > keepAlive
	if fresh {
		l.port = uint16(32768 + r.IntN(28232)) // as Linux chooses (ip_local_port_range)
	}
	l.last, g.sport = s.now(), l.port
	if l.quic {
		g.proto = udp
		if fresh {
			g.body = w.some(r, 1200, 0xc3, 0, 0, 0, 1, 8)
			send()
		}
		for range requests * 4 {
			g.body = w.some(r, 25+r.IntN(60), 0x40|byte(r.IntN(64)))
			send()
		}
		return
	}
	plain := 0
	if l.stack.options != 12 { // timestamps
		plain = 12
	}
	if fresh {
		g.flags, g.window, g.options = syn, l.stack.syn, l.stack.options
		send()
		g.flags, g.window, g.options = ack, l.stack.window, plain
		send()
		g.flags, g.body = psh|ack, w.some(r, 517, 0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3)
		send()
	}
	g.options = plain
	for range requests {
		g.flags, g.body, g.window = psh|ack, w.some(r, 90+r.IntN(400), 0x17, 3, 3, 0), l.stack.window
		send()
		for range 3 + r.IntN(4) {
			g.flags, g.body, g.window = ack, nil, uint16(r.IntN(3000))+200
			send()
		}
	}
	if r.IntN(4) == 0 {
		g.flags, l.last = fin|ack, 0
		send()
	}
}

// personal is a frame of somebody's.
func (s *stage) personal(frame []byte) {
	s.wires.people++
	if !s.wires.to.Frame(s.now(), frame) {
		s.wires.lost++
	}
}

// hostile is one of a flood's.
func (s *stage) hostile(frame []byte) {
	w := s.wires
	passed := w.to.Frame(s.now(), frame)
	late := s.now().Sub(s.books.floodAt) >= time.Second
	w.ever++
	if late {
		w.flood++
	}
	if passed {
		return
	}
	w.held++
	if late {
		w.stopped++
	}
}
