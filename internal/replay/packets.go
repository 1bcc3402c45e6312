package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"seawall/internal/defense"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/figures"
	"seawall/internal/kit/pcap"
	"seawall/internal/mitigation"
)

// Ladder judges packets as the packet filter does, and counts them for the loop.
type Ladder interface {
	// Take judges a packet that came at a moment, not before that of the last one.
	Take(at clock.Instant, p *pcap.Packet)
	// Totals tells what became of all so far. Late, Rate and For are left out.
	Totals() Packets
}

// Packets is what captures held, and what would have become of it.
type Packets struct {
	Protected string `json:"protected"` // ports, and addresses where they are known, in words
	Addressed bool   `json:"addressed"` // they are
	All       bool   `json:"all"`       // whatever the captures hold was taken to come in

	Read      uint64 `json:"read"`
	Judged    uint64 `json:"judged"` // came in for protected ports, or have none, as ICMP
	Passed    uint64 `json:"passed"` // of these
	Stopped   uint64 `json:"stopped"`
	Own       uint64 `json:"own"`       // sent by the site
	Elsewhere uint64 `json:"elsewhere"` // for other addresses
	Other     uint64 `json:"other"`     // for other ports; of these
	Strays    uint64 `json:"strays"`    // stopped: answers in great numbers that nobody asked for
	NotIP     uint64 `json:"not_ip"`
	Cut       uint64 `json:"cut"`  // not judged: too little was kept of them
	Late      uint64 `json:"late"` // left out: their time was more than a second before that of an earlier one

	Reasons []Share                  `json:"reasons"` // why they were stopped, by the filter's names
	Ports   []Share                  `json:"ports"`   // those of Other, the most frequent first: "TCP 25"
	Hits    map[mitigation.ID]uint64 `json:"-"`       // that each mitigation met

	From time.Time `json:"from"` // of the first and the last packet
	To   time.Time `json:"to"`

	// How they were played, if not in their own time.
	Rate  uint64 `json:"rate,omitempty"` // packets a second
	Times int    `json:"times,omitempty"`
}

// checked is how many packets are taken between two looks at whether to go on.
const checked = 1 << 12

var (
	errPaceOne  = errors.New("with --rate one capture is played, and no log beside it: their times would not be one another's")
	errPaceLog  = errors.New("--rate plays captures of packets; requests come when the log says")
	errPaceLong = errors.New("standard input cannot be played over and over: save the capture to a file, or leave --for out")
)

// setPace says how a capture is to be played.
func (r *runner) setPace(ctx context.Context, files []string) error {
	if r.o.Rate == 0 {
		return nil
	}
	if len(files) != 1 {
		return errPaceOne
	}
	if r.o.For > 0 && files[0] == "-" {
		return errPaceLong
	}
	r.tapes.pace = &pace{rate: r.o.Rate, long: r.o.For, again: func() (*source, error) {
		return open(ctx, files[0], nil, func(n int64) { r.read += n })
	}}
	return nil
}

// takeUp takes up a capture.
func (r *runner) takeUp(ctx context.Context, s *source) error {
	if s.tape.reads = r.o.Reads; s.tape.reads == nil {
		s.tape.reads = func(pcap.Link) bool { return false }
	}
	if err := r.tapes.add(ctx, s); err != nil {
		s.end()
		return err
	}
	r.packets = &Packets{}
	return nil
}

// play plays the captures up to at, with the loop's steps.
func (r *runner) play(ctx context.Context, at clock.Instant) {
	for r.failed == nil {
		s := r.tapes.first()
		if s == nil {
			return
		}
		next := r.instant(s)
		if next >= at {
			return
		}
		r.pass(ctx, next)
		r.until(ctx, min(r.next, at))
		if r.next > at {
			return // until has played what there was before it
		}
	}
}

// before plays packets that came before at.
func (r *runner) before(ctx context.Context, at clock.Instant) {
	for n := 1; r.failed == nil; n++ {
		s := r.tapes.first()
		if s == nil {
			return
		}
		when := r.instant(s)
		if when >= at {
			break
		}
		r.take(s, when)
		if r.failed = r.tapes.advance(ctx, s); r.failed == nil && n%checked == 0 {
			r.failed = ctx.Err()
		}
	}
	r.tell(time.Unix(0, r.latest))
}

// sorted says so where much of the captures was out of order.
func (r *runner) sorted() error {
	if r.packets == nil {
		return nil
	}
	if out, read := r.packets.Late+r.tapes.late, r.w.Packets.Totals().Read; out > 100 && out > read/20 {
		return fmt.Errorf("%s of %s packets are more than a second out of order: sort them by time first, as reordercap does, or give the files one by one",
			figures.Thousands(out), figures.Thousands(out+read))
	}
	return nil
}

// instant is when the next packet of a capture comes.
func (r *runner) instant(s *source) clock.Instant { return clock.Instant(s.tape.at) + r.shift }

// take has a packet judged. One that is a little late comes now.
func (r *runner) take(s *source, when clock.Instant) {
	switch at := s.tape.at; {
	case at > r.latest:
		r.latest = at
	case at < r.latest-int64(late):
		r.packets.Late++
		return
	default:
		when += clock.Instant(r.latest - at)
	}
	r.w.Packets.Take(when, &s.tape.packet)
}

// flood writes a flood of packets down.
func (r *runner) flood(a *defense.PacketAttack) {
	if !r.flooded[a.ID] {
		r.flooded[a.ID] = true
		r.report.PacketAttacks = append(r.report.PacketAttacks, *a)
	}
}

// finishPackets writes down what there is at the end.
func (r *runner) finishPackets(st *defense.Status) {
	for i := range st.PacketAttacks {
		r.flood(&st.PacketAttacks[i])
	}
	slices.SortStableFunc(r.report.PacketAttacks, func(a, b defense.PacketAttack) int { return a.Since.Compare(b.Since) })
	if r.packets == nil || r.w.Packets == nil {
		return
	}
	p := r.w.Packets.Totals()
	p.Protected, p.Late, p.From, p.To = r.o.Protected, r.packets.Late+r.tapes.late, r.packets.From, time.Unix(0, r.latest).UTC()
	if pace := r.tapes.pace; pace != nil {
		p.Rate, p.Times = pace.rate, pace.times
	}
	r.report.Packets = &p
	if p.To.After(r.report.To) {
		r.report.To = p.To
	}
	for id, n := range p.Hits {
		if d := r.done[id]; d != nil {
			d.Packets = n
		}
	}
}
