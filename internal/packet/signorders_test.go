package packet

import (
	"errors"
	"log/slog"
	"slices"
	"testing"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
)

func about(t *testing.T, id mitigation.ID, text string, act mitigation.Action, by mitigation.By) mitigation.Mitigation {
	t.Helper()
	return mitigation.Mitigation{ID: id, Match: expression(t, text), Action: act, By: by}
}

func (p *Packet) hits(t *testing.T, id uint32) (n uint64, known bool) {
	t.Helper()
	st, ok := p.Stats()
	if !ok {
		t.Fatal("no stats")
	}
	h, known := st.Hits[id]
	return h.Packets, known
}

// Mitigations about packets become signatures, whoever orders them.
func TestMatchesOnPacketsBecomeSignatures(t *testing.T) {
	p := working(t, nil)
	frame := v4(craft.Frame{TTL: 52}).Bytes()
	shows := func(what string, want bool) {
		t.Helper()
		if _, _, got := result(t, p.filter, frame); got != want {
			t.Errorf("%s: passes %v", what, got)
		}
	}
	for _, by := range []mitigation.By{mitigation.ByMachine, mitigation.ByOperator, mitigation.ByRule, mitigation.ByPeer} {
		for act := range mitigation.Actions {
			p.must(t, p.Apply(about(t, 1, `packet.ttl == 52`, act, by)))
			shows(act.String(), act != mitigation.Refuse && act != mitigation.Drop)
			if n, known := p.hits(t, 1); n == 0 || !known {
				t.Errorf("%s is not counted", act)
			}
			dry := about(t, 1, `packet.ttl == 52`, act, by)
			dry.Shadow = true
			p.must(t, p.Apply(dry))
			shows(act.String()+" on a dry run", true)
		}
		p.must(t, p.Withdraw(1))
		shows("withdrawn", true)
		if _, known := p.hits(t, 1); known {
			t.Error("it is counted after it was withdrawn")
		}
	}
	// One ID that changes what it is about.
	ban := ordered(1, "198.18.0.7/32", mitigation.Refuse, mitigation.ByOperator)
	p.must(t, p.Apply(ban))
	shows("a ban", false)
	p.must(t, p.Apply(about(t, 1, `packet.ttl == 53`, mitigation.Refuse, mitigation.ByOperator)))
	shows("the ban that was", true)
	p.must(t, p.Apply(about(t, 1, `packet.ttl == 52`, mitigation.Refuse, mitigation.ByOperator)))
	shows("another signature", false)
	p.must(t, p.Apply(ordered(1, "198.18.0.8/32", mitigation.Refuse, mitigation.ByOperator)))
	shows("the signature that was", true)
}

// Where there is no room, those that only count give way; what cannot be
// compiled is refused and stands in nobody's way.
func TestSignaturesWithoutRoom(t *testing.T) {
	p := working(t, nil)
	odd := mitigation.Mitigation{ID: 90, Match: match.All(match.PacketPayload(0, nil)), Action: mitigation.Refuse}
	p.must(t, p.Apply(odd))
	f := p.filter
	p.filter = nil // each change of signatures loads a program
	for id := range mitigation.ID(filter.SignaturesMost) {
		p.must(t, p.Apply(about(t, id+1, `packet.ttl == 99`, mitigation.Slow, mitigation.ByMachine)))
	}
	p.filter = f
	leavesOut(t, p.Apply(about(t, 100, `packet.ttl == 52`, mitigation.Refuse, mitigation.ByMachine)), filter.SignaturesMost)
	if _, _, passes := result(t, p.filter, v4(craft.Frame{TTL: 52}).Bytes()); passes {
		t.Error("one that stops packets has no room beside those that count")
	}
	if _, known := p.hits(t, filter.SignaturesMost); known {
		t.Error("the youngest of those that count has not given way")
	}
	if st, _ := p.Stats(); st.Refused != 2 {
		t.Errorf("%d are refused", st.Refused)
	}
	p.must(t, p.Withdraw(1))
	if _, known := p.hits(t, filter.SignaturesMost); !known {
		t.Error("it does not come back when there is room")
	}
}

// leavesOut wants an error that names what there is no room for.
func leavesOut(t *testing.T, err error, want ...mitigation.ID) {
	t.Helper()
	var left *mitigation.LeftOut
	if !errors.As(err, &left) || !slices.Equal(left.IDs, want) {
		t.Errorf("%v, want %v left out", err, want)
	}
}

// What there is no room for is told each time that it is asked for, and counted once,
// also where the filter is still to be loaded; where there is none, nothing is
// missing for want of room.
func TestSignaturesLeftOutAreTold(t *testing.T) {
	c := DefaultConfig()
	c.Interfaces = []string{"eth0"}
	p := New(c, slog.New(slog.DiscardHandler))
	for id := range mitigation.ID(filter.SignaturesMost) {
		p.must(t, p.Apply(about(t, id+1, `packet.ttl == 99`, mitigation.Drop, mitigation.ByRule)))
	}
	for range 3 {
		leavesOut(t, p.Apply(about(t, 50, `packet.ttl == 52`, mitigation.Drop, mitigation.ByRule)), 50)
	}
	leavesOut(t, p.Apply(about(t, 51, `packet.ttl == 52`, mitigation.Drop, mitigation.ByMachine)), 50, 51)
	if p.refused != 2 {
		t.Errorf("%d are refused", p.refused)
	}
	p.must(t, p.Withdraw(1))
	leavesOut(t, p.Apply(about(t, 50, `packet.ttl == 52`, mitigation.Drop, mitigation.ByRule)), 51)
	p.must(t, p.Withdraw(51))
	p.must(t, p.Apply(about(t, 50, `packet.ttl == 52`, mitigation.Drop, mitigation.ByRule)))

	p = New(DefaultConfig(), slog.New(slog.DiscardHandler)) // no packets are filtered
	for id := range mitigation.ID(filter.SignaturesMost + 1) {
		p.must(t, p.Apply(about(t, id+1, `packet.ttl == 99`, mitigation.Drop, mitigation.ByRule)))
	}
}

// What was ordered before there is a filter stands from its start.
func TestSignaturesBeforeTheFilter(t *testing.T) {
	p := working(t, nil)
	f := p.filter
	p.filter = nil
	p.must(t, p.Apply(about(t, 1, `packet.ttl == 52`, mitigation.Drop, mitigation.ByMachine)))
	p.must(t, p.Apply(about(t, 2, `packet.ttl == 53`, mitigation.Drop, mitigation.ByMachine)))
	p.must(t, p.Withdraw(2))
	p.filter = f
	p.must(t, p.setSignatures())
	for ttl, passes := range map[byte]bool{52: false, 53: true} {
		if _, _, got := result(t, f, v4(craft.Frame{TTL: ttl}).Bytes()); got != passes {
			t.Errorf("TTL %d passes %v", ttl, got)
		}
	}
}
