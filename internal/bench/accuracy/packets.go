package accuracy

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	packetsLast = 10 * time.Second
	batch       = 10 * time.Millisecond // in which frames of a flood come together
	// held is the share of a flood's frames of a tenth of a second from which something
	// is done about it.
	held = 0.5
)

// packetStrengths are frames a second.
var packetStrengths = [...]struct {
	name string
	rate int
}{{"weak", 6000}, {"middling", 15_000}, {"strong", 40_000}}

// PacketRow is what one scenario of packets showed. Numbers are frames.
type PacketRow struct {
	Name    string `json:"name"`
	Attack  bool   `json:"attack"`
	HeldOut bool   `json:"held_out"`

	Noticed   bool     `json:"noticed"`
	Notice    float64  `json:"notice_seconds"`
	Mitigated bool     `json:"mitigated"`
	Mitigate  float64  `json:"mitigate_seconds"` // until half of it was stopped
	Flood     int      `json:"flood"`            // from its second second on
	Stopped   int      `json:"stopped"`          // of those
	Vectors   []string `json:"vectors"`
	Alarms    int      `json:"false_alarms"`
	Ordinary  int      `json:"ordinary"` // of people
	Lost      int      `json:"lost"`     // of those, stopped
}

// packetFlood is a way of flooding with packets.
type packetFlood struct {
	name string
	// frame makes the next.
	frame func(s *stage) *segment
}

// packetFloods are those that need no connection.
func packetFloods() []packetFlood {
	// spoofed is any address that the internet has.
	spoofed := func(r *rand.Rand) netip.Addr {
		first := [...]byte{5, 23, 45, 62, 77, 81, 91, 103, 128, 151, 178, 188, 201, 212}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], r.Uint32())
		b[0] = first[r.IntN(len(first))]
		return netip.AddrFrom4(b)
	}
	// one of so many machines.
	of := func(r *rand.Rand, n int) netip.Addr {
		k := r.IntN(n)
		return netip.AddrFrom4([4]byte{170, byte(k * 7), byte(k >> 3), byte(1 + k%250)})
	}
	port := func(r *rand.Rand) uint16 { return uint16(1024 + r.IntN(64000)) }
	to := func(g segment) *segment {
		g.dest = site4
		if g.dport == 0 {
			g.dport = 443
		}
		return &g
	}
	reflects := func(port uint16, size int, begin ...byte) func(s *stage) *segment {
		return func(s *stage) *segment {
			return to(segment{source: of(s.rng, 900), proto: udp, ttl: uint8(40 + s.rng.IntN(20)), sport: port, body: s.wires.some(s.rng, size, begin...)})
		}
	}
	return []packetFlood{
		{"SYNs of one tool", func(s *stage) *segment {
			return to(segment{source: spoofed(s.rng), proto: tcp, ttl: uint8(230 + s.rng.IntN(20)), sport: port(s.rng), flags: syn, window: 512})
		}},
		{"SYNs like a system's", func(s *stage) *segment {
			return to(segment{source: spoofed(s.rng), proto: tcp, ttl: uint8(44 + s.rng.IntN(12)), sport: port(s.rng), flags: syn, window: 29200, options: 20})
		}},
		{"answers of DNS servers", reflects(53, 1380, 0, 0, 0x81, 0x80)},
		{"answers of NTP servers", reflects(123, 440, 0xd7, 0, 3, 0x2a)},
		{"answers of a game nobody knows", reflects(34_567, 600, 'G', 'A', 'M', 'E')},
		{"SYN-ACKs of servers", func(s *stage) *segment {
			return to(segment{source: of(s.rng, 900), proto: tcp, ttl: uint8(40 + s.rng.IntN(20)), sport: 80, flags: syn | ack, window: 65535, options: 4})
		}},
		{"ACKs", func(s *stage) *segment {
			return to(segment{source: spoofed(s.rng), proto: tcp, ttl: uint8(230 + s.rng.IntN(20)), sport: port(s.rng), flags: ack, window: 0})
		}},
		{"RSTs", func(s *stage) *segment {
			return to(segment{source: spoofed(s.rng), proto: tcp, ttl: uint8(230 + s.rng.IntN(20)), sport: port(s.rng), flags: rst, window: 0})
		}},
		{"UDP of any length", func(s *stage) *segment {
			return to(segment{source: of(s.rng, 400), proto: udp, ttl: uint8(40 + s.rng.IntN(20)), sport: port(s.rng), body: s.wires.some(s.rng, 400+s.rng.IntN(900), 0)})
		}},
		{"QUIC Initials", func(s *stage) *segment {
			return to(segment{source: spoofed(s.rng), proto: udp, ttl: uint8(40 + s.rng.IntN(20)), sport: port(s.rng), body: s.wires.some(s.rng, 1200, 0xc0, 0, 0, 0, 1, 8)})
		}},
		{"ICMP", func(s *stage) *segment {
			return to(segment{source: spoofed(s.rng), proto: icmp, ttl: uint8(40 + s.rng.IntN(20)), body: s.wires.some(s.rng, 56)})
		}},
		{"fragments", func(s *stage) *segment {
			return to(segment{source: of(s.rng, 900), proto: udp, ttl: uint8(40 + s.rng.IntN(20)), offset: 185, body: s.wires.some(s.rng, 900)})
		}},
	}
}

// packetCalm is what may be taken for a flood of packets.
type packetCalm struct {
	name  string
	begin func(s *stage)
}

func packetCalms() []packetCalm {
	come := func(n int, within time.Duration, quic bool) func(s *stage) {
		return func(s *stage) {
			s.crowd(n, within, func(c *client) {
				c.next = leaves(1+s.rng.IntN(4), 0)
				if quic {
					c.line = &line{stack: stacks[0], quic: true}
				}
			})
		}
	}
	return []packetCalm{
		{"packets of an ordinary day", func(*stage) {}},
		{"packets of a crowd", come(1500, 8*time.Second, false)},
		{"packets of a crowd that speaks HTTP/3", come(1500, 8*time.Second, true)},
		{"what strays in from floods elsewhere", func(s *stage) {
			r := s.rng
			s.pours(300, func() *segment {
				g := &segment{source: netip.AddrFrom4([4]byte{81, byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))}), dest: site4, proto: tcp, ttl: 50, sport: 80, dport: uint16(r.IntN(1 << 16)), flags: syn | ack, window: 65535}
				if r.IntN(3) == 0 {
					g.flags = rst
				}
				return g
			}, func(*segment) { /* nobody's: whatever becomes of it is right */ })
		}},
	}
}

// pours has so many frames a second come, in batches.
func (s *stage) pours(rate int, next func() *segment, each func(g *segment)) {
	s.after(batch, func() {
		for range rate * int(batch) / int(time.Second) {
			each(next())
		}
		s.pours(rate, next, each)
	})
}

// playPackets plays one scenario; rate 0 is one without a flood.
func playPackets(name string, o Options, rate int, flood func(s *stage) *segment, begin func(s *stage)) (PacketRow, error) {
	s, err := newStage(o.Seed^hashOf(name), o.World, true)
	if err != nil {
		return PacketRow{}, err
	}
	s.books = newBooks()
	s.everyday(readers)
	s.run(quiet)
	early := s.books.alarms
	s.books = newBooks()
	s.books.alarms = early
	w := s.wires
	w.people, w.lost = 0, 0
	if rate > 0 {
		s.books.floodAt = s.now()
		s.pours(rate, func() *segment { return flood(s) }, func(g *segment) { s.hostile(g.frame(w.buf)) })
	} else {
		begin(s)
	}
	s.run(packetsLast)
	b := s.books
	row := PacketRow{
		Name: name, Attack: rate > 0, HeldOut: heldOut(name), Noticed: b.noticed != 0, Mitigated: b.mitigated != 0,
		Flood: w.flood, Stopped: w.stopped, Vectors: []string{}, Alarms: b.alarms, Ordinary: w.people, Lost: w.lost,
	}
	for _, v := range b.vectors {
		row.Vectors = append(row.Vectors, string(v))
	}
	if row.Noticed {
		row.Notice = b.noticed.Sub(b.floodAt).Seconds()
	}
	if row.Mitigated {
		row.Mitigate = b.mitigated.Sub(b.floodAt).Seconds()
	}
	return row, s.w.Close()
}

// PacketScore sums rows up, as Score does.
type PacketScore struct {
	Attacks   Count   `json:"attacks_noticed"`
	Mitigated Count   `json:"attacks_mitigated"`
	Notice95  float64 `json:"notice_p95_seconds"`
	Mitig95   float64 `json:"mitigate_p95_seconds"`
	Stopped   Count   `json:"flood_stopped"` // frames
	Alarms    Count   `json:"false_alarms"`  // calm scenarios in which a flood was called
	Lost      Count   `json:"lost"`          // frames of people
}

func scorePackets(rows []PacketRow, in func(*PacketRow) bool) (s PacketScore) {
	var notice, mitigate []float64
	for i := range rows {
		r := &rows[i]
		if !in(r) {
			continue
		}
		if s.Lost.add(r.Lost, r.Ordinary); !r.Attack {
			s.Alarms.add(one(r.Alarms > 0), 1)
			continue
		}
		s.Attacks.add(one(r.Noticed), 1)
		s.Mitigated.add(one(r.Mitigated), 1)
		s.Stopped.add(r.Stopped, r.Flood)
		notice = append(notice, took(r.Noticed, r.Notice, packetsLast))
		mitigate = append(mitigate, took(r.Mitigated, r.Mitigate, packetsLast))
	}
	s.Notice95, s.Mitig95 = p95(notice), p95(mitigate)
	for _, c := range []*Count{&s.Attacks, &s.Mitigated, &s.Stopped, &s.Alarms, &s.Lost} {
		c.Low, c.Up = wilson(c.N, c.Of)
	}
	return s
}

// lookAtPackets asks the loop what it knows of floods of packets, and sees what became of
// the last tenth of a second.
func (s *stage) lookAtPackets() {
	st, b, w := s.w.Loop.Status(), s.books, s.wires
	for i := range st.PacketAttacks {
		if a := &st.PacketAttacks[i]; !b.seen[a.ID+string(a.Vector)] {
			b.seen[a.ID+string(a.Vector)] = true
			b.vectors = append(b.vectors, a.Vector)
			if b.floodAt == 0 {
				b.alarms++
			}
		}
	}
	if b.floodAt == 0 {
		return
	}
	if b.noticed == 0 && len(st.PacketAttacks) > 0 {
		b.noticed = s.now()
	}
	if b.mitigated == 0 && w.ever > 0 && float64(w.held) >= held*float64(w.ever) {
		b.mitigated = s.now()
	}
	w.ever, w.held = 0, 0
}
