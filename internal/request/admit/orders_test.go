package admit

import (
	"math/rand/v2"
	"testing"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Sorting the orders by what they compare changes nothing about which one hits:
// for any visit, the first in the list that hits and does not spare it.
func TestOrdersAgainstAList(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	pick := func(keys ...string) string { return keys[r.IntN(len(keys))] }
	agents := []string{"", "curl/8", "Mozilla/5.0", "python/3"}
	paths := []string{"/", "/a", "/b", "/news/"}
	lands := []string{"GB", "RU", "BR", "??"}
	fps := []string{"", "0000000000000001", "0000000000000002", "ffffffffffffffff"}
	prints := []string{"", botJA4, browserJA4, "t13"}
	test := func() match.Test {
		var x match.Test
		switch r.IntN(14) {
		case 0:
			x = is(traffic.FieldPath, pick(paths...), pick(paths...))
		case 1:
			x = is(traffic.FieldUserAgent, pick(agents...))
		case 2:
			x = is(traffic.FieldCountry, pick(lands...), pick(lands...))
		case 3:
			x = is(traffic.FieldNetwork, pick("0", "1", "64496"))
		case 4:
			x = is(traffic.FieldHeaderOrder, pick(fps...))
		case 5:
			x = is(traffic.FieldQueryShape, pick(fps...))
		case 6:
			x = is(traffic.FieldKind, pick("page", "asset"))
		case 7:
			x = is(traffic.FieldClearance, pick("none", "proven", "known"))
		case 8:
			x = is(traffic.FieldStanding, pick("new", "good", "shy", "thin"))
		case 9:
			x = within(pick("192.0.2.0/24", "192.0.2.0/28"))
		case 10:
			x = is(traffic.FieldJA4, pick(prints...))
		case 11:
			x = is(traffic.FieldOpeningHTTP2, pick(fps...))
		case 12:
			x = must(match.StartsWith(traffic.FieldPath, pick(paths...)))
		default:
			x = must(match.Contains(traffic.FieldUserAgent, pick("o", "/")))
		}
		if r.IntN(4) == 0 {
			x = match.Not(x)
		}
		return x
	}
	hits := 0
	for range 12 {
		s := newStage(t)
		for id := range MaxOrders {
			s.apply(mitigation.ID(id+1), []mitigation.By{mitigation.ByMachine, mitigation.ByOperator}[r.IntN(2)],
				mitigation.Action(1+r.IntN(int(mitigation.Actions)-1)), test(), test(), test(), is(traffic.FieldMethod, "GET"))
		}
		o := s.orders.Load()
		for range 300 {
			v := s.visit("192.0.2." + pick("1", "100"))
			fp1, _ := traffic.ParseFingerprint(pick(fps...))
			fp2, _ := traffic.ParseFingerprint(pick(fps...))
			land, _ := traffic.ParseCountry(pick(lands...))
			v.Path, v.UserAgent, v.HeaderOrder, v.QueryShape, v.Country = pick(paths...), pick(agents...), fp1, fp2, land
			v.JA4, v.OpeningHTTP2 = pick(prints...), fp1
			v.Network = []uint32{0, 1, 64496}[r.IntN(3)]
			v.Kind, v.Clearance, v.Standing = traffic.Kind(r.IntN(4)), traffic.Clearance(r.IntN(3)), traffic.Standing(r.IntN(int(traffic.Standings)))
			var want mitigation.ID
			for i := range o.list {
				if e := &o.list[i]; !e.spares(v.Clearance) && e.match.Hits(v) {
					want = e.id
					hits++
					break
				}
			}
			m := meeting{v: v, now: s.now}
			s.isMitigated(&m)
			if m.verdict.ID != want {
				t.Fatalf("#%d hits, want #%d", m.verdict.ID, want)
			}
		}
	}
	if hits < 500 {
		t.Errorf("only %d hits; the test shows little", hits)
	}
}

// Of two that slow a visit, the one counted is not what the machine does to all whom it
// does not know, which would hide how much the other meets.
func TestTheNarrowerIsCounted(t *testing.T) {
	for _, c := range []struct {
		by   mitigation.By
		want mitigation.ID
	}{{mitigation.ByMachine, 2}, {mitigation.ByOperator, 1}} {
		s := newStage(t)
		s.apply(1, c.by, mitigation.Slow, is(traffic.FieldClearance, "none"), match.Not(is(traffic.FieldStanding, "good")))
		s.apply(2, mitigation.ByMachine, mitigation.Slow, is(traffic.FieldPath, "/"))
		v := s.visit("192.0.2.1")
		v.Path = "/"
		if d := s.Decide(v); d.ID != c.want {
			t.Errorf("the first by %v: #%d is counted, want #%d", c.by, d.ID, c.want)
		}
	}
}
