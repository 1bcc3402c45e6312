package proxy

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// The one who would go last, and the most that one client has in line, are known whatever
// came and went.
func TestCrowdedLine(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var l line
	l.init()
	var in []*waiter
	for i := range 20_000 {
		if grows := i%2000 < 1000; len(in) == 0 || r.IntN(10) < 3 || grows && r.IntN(2) == 0 {
			w := &waiter{
				rank: mitigation.RankNewcomer, who: uint16(r.IntN(7) * r.IntN(60)), number: uint64(i),
				bill: bill{tag: float64(r.IntN(5))},
			}
			l.push(w, 1)
			in = append(in, w)
		} else {
			at := r.IntN(len(in))
			l.remove(in[at])
			in = slices.Delete(in, at, at+1)
		}
		if len(in) == 0 {
			continue
		}
		held, first, last := map[uint16]int{}, in[0], in[0]
		for _, w := range in {
			held[w.who]++
			if turnOf(w).before(turnOf(first)) {
				first = w
			}
			if turnOf(last).before(turnOf(w)) {
				last = w
			}
		}
		front, back := l.order[fromFront].top().w, l.order[fromBack].top().w
		most := 0
		for _, n := range held {
			most = max(most, n)
		}
		if l.most != most || front != first || back != last || l.n != len(in) {
			t.Fatalf("of %d in line, after %d steps: the most is %d, want %d; first %d, want %d; last %d, want %d", len(in), i,
				l.most, most, front.number, first.number, back.number, last.number)
		}
		if w := l.lastOf(func(b uint16) bool { return held[b] == most }, mitigation.RankNewcomer, 1); held[w.who] != most {
			t.Fatalf("of the client with %d in line, one with %d is sent away", most, held[w.who])
		}
	}
}

// BenchmarkCrowdedLine is one of a wide flood who comes when the line is full.
func BenchmarkCrowdedLine(b *testing.B) {
	g := NewGate(1, 1, 1024, clock.New())
	come := func(i int, now clock.Instant) {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 10<<24|uint32(i))
		bucket, flow := g.fair.who(netip.AddrFrom4(a), mitigation.RankSuspect)
		if w := g.enqueue(mitigation.RankSuspect, bucket, g.fair.charge(flow, now), now); w == nil {
			b.Fatal("nobody made room")
		}
	}
	for i := range 1024 {
		come(i, 1)
	}
	for b.Loop() {
		for i := range 1024 {
			come(i, clock.Instant(2*standing))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1024, "ns/who")
}
