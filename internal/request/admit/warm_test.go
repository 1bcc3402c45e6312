package admit

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Who is expected is decided on as anybody else: two doors that meet the same visits, one
// of them in groups, say the same of each.
func TestExpected(t *testing.T) {
	clk := clock.NewStopped(time.Date(2019, 11, 12, 9, 0, 0, 0, time.UTC))
	var doors [2]*Admit
	for i := range doors {
		cfg := DefaultConfig()
		cfg.Clients, cfg.Seed, cfg.Rate, cfg.Burst = 1024, 1, 0.2, 4 // full soon, and many are over their budget
		a, err := New(cfg, clk, func(netip.Prefix) uint64 { return 0 })
		if err != nil {
			t.Fatal(err)
		}
		ban := mitigation.Mitigation{ID: 7, Match: match.Client(netip.MustParsePrefix("10.0.0.0/28")), Action: mitigation.Refuse, By: mitigation.ByMachine}
		if err := a.Apply(ban); err != nil {
			t.Fatal(err)
		}
		doors[i] = a
	}
	r := rand.New(rand.NewPCG(1, 2))
	visit := func() traffic.Visit {
		n := int(r.ExpFloat64() * 1500)
		v := traffic.Visit{Client: netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), Method: "GET", Path: "/", UserAgent: fmt.Sprint("Program/", r.IntN(9)), Kind: traffic.Kind(r.IntN(2))}
		if r.IntN(5) == 0 {
			v.Client = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(n), 7: byte(n >> 8), 15: 1})
		}
		if r.IntN(3) == 0 {
			v.Clearance, v.ClearanceID, v.ClearanceAt = traffic.ClearanceProven, uint64(n), clk.Wall(clk.Now()).Add(-time.Duration(r.IntN(300))*time.Second)
		}
		v.Peer = v.Client
		return v
	}
	var g Group
	said := map[mitigation.Action]int{}
	for round := range 4000 {
		if round == 2000 {
			for _, a := range doors {
				a.UnderAttack(clk.Wall(clk.Now()))
			}
		}
		visits := make([]traffic.Visit, 1+r.IntN(GroupSize))
		for i := range visits {
			visits[i] = visit()
		}
		doors[1].Expect(&g, visits)
		for i := range visits {
			clk.Set(clk.Now().Add(time.Duration(r.IntN(3)) * time.Millisecond))
			v := visits[i]
			v.At, visits[i].At = clk.Now(), clk.Now()
			want, got := doors[0].Decide(&v), doors[1].DecideExpected(&g, i, &visits[i])
			if got != want || v != visits[i] {
				t.Fatalf("round %d: %+v of %+v, want %+v of %+v", round, got, visits[i], want, v)
			}
			said[got.Action]++
		}
	}
	if said[mitigation.Admit] < 1000 || said[mitigation.Refuse] < 1000 {
		t.Errorf("they said %v: too little of something", said)
	}
	if a, b := doors[0].Stats(), doors[1].Stats(); a != b {
		t.Errorf("they counted\n%+v and\n%+v", a, b)
	}
}

func BenchmarkDecideExpected(b *testing.B) {
	a, at, issued := benchDoor(b)
	b.ReportAllocs()
	var g Group
	var visits [GroupSize]traffic.Visit
	for i := uint32(0); b.Loop(); i++ {
		k := int(i % GroupSize)
		if k == 0 {
			for j := range visits {
				benchVisit(&visits[j], clientOf(i+uint32(j)), i+uint32(j), at, issued)
			}
			a.Expect(&g, visits[:])
		}
		at = at.Add(10 * time.Microsecond)
		visits[k].At = at
		a.DecideExpected(&g, k, &visits[k])
	}
}
