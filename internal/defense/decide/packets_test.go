package decide

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// bareSyn is a packet of the flood in these tests, realSyn a visitor's.
func bareSyn() traffic.Packet {
	return traffic.Packet{Kind: traffic.PacketSyn, Protocol: 6, Ports: true, Flags: 2, Length: 40, TTL: 244, DestPort: 443}
}

func packetMatch(t *testing.T, ttl ...string) *match.Match {
	t.Helper()
	p := bareSyn()
	flags, err := match.PacketIs(traffic.PacketFlags, p.Key(traffic.PacketFlags))
	if err != nil {
		t.Fatal(err)
	}
	tests := []match.Test{flags}
	if len(ttl) > 0 {
		is, err := match.PacketIs(traffic.PacketTTL, ttl...)
		if err != nil {
			t.Fatal(err)
		}
		tests = append(tests, is)
	}
	return match.All(tests...)
}

func optionless(t *testing.T) *match.Match {
	t.Helper()
	length, err := match.PacketIs(traffic.PacketLength, "40")
	if err != nil {
		t.Fatal(err)
	}
	return match.All(append(packetMatch(t).Tests(), length)...)
}

func packetFlood(v attack.Vector, sigs ...attack.Signature) PacketFlood {
	return PacketFlood{Signatures: sigs, Finding: attack.Finding{
		Vector: v, Rate: 20000, Normal: 50, What: "SYNs that lead to no connection", Kinds: []traffic.PacketKind{traffic.PacketSyn}, Blatant: true,
	}}
}

// packets lets a second pass in which 20,000 packets of the flood come, if it
// runs.
func (w *world) packets(floods ...PacketFlood) Output {
	w.t.Helper()
	w.pass(time.Second)
	win := &traffic.Window{At: w.now.At, Wall: w.now.Wall, Span: time.Second}
	win.Packets = traffic.Packets{Filtered: true, Every: 100, Hits: map[uint32]uint64{}}
	if len(floods) > 0 {
		for range 200 {
			win.Packets.Samples = append(win.Packets.Samples, bareSyn())
		}
		p := bareSyn()
		for id, m := range w.stands {
			if m.Match.HitsPacket(&p) {
				win.Packets.Hits[uint32(id)] = 20000
			}
		}
	}
	return w.apply(w.Step(Input{Now: w.now, Window: win, Packets: floods}))
}

func TestDropOrCount(t *testing.T) {
	for _, c := range []struct {
		name string
		sig  attack.Signature
		want string
	}{
		{"clean", attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 2000}, "drop"},
		{"would hit ordinary packets", attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 2000, Collateral: 0.0011}, "slow"},
		{"would hit those that ask for a connection", attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 2000, Collateral: 0.0005, Newcomers: 0.01}, "slow"},
		{"hardly tested", attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 100}, "slow"},
		{"hardly tested, but no visitor's", attack.Signature{Match: optionless(t), Coverage: 1, Ordinary: 0}, "drop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for range 3 {
				w.packets(packetFlood(attack.SynFlood, c.sig))
			}
			if got := w.actions(); got != c.want {
				t.Errorf("%q, want %q\n%s", got, c.want, strings.Join(w.notes, "\n"))
			}
			if w.UnderAttack() || w.Attack() || len(w.Refusing()) > 0 {
				t.Error("the door is told of an attack by packets")
			}
			if l := w.List(0); len(l) != 1 || l[0].Kind != "signature" || l[0].Hits != 40000 {
				t.Errorf("listed as %+v", l)
			}
		})
	}
}

// What counts at first drops once it is tested.
func TestCountsThenDrops(t *testing.T) {
	w := newWorld(t)
	s := attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 100}
	w.packets(packetFlood(attack.SynFlood, s))
	s.Ordinary = 2000
	w.packets(packetFlood(attack.SynFlood, s))
	if got := w.actions(); got != "drop" || len(w.Dropping()) != 1 {
		t.Errorf("%q", got)
	}
}

// It lives while the flood meets it, and ends soon after.
func TestPacketsLiveAndEnd(t *testing.T) {
	w := newWorld(t)
	s := attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 2000}
	events := 0
	for range 120 {
		o := w.packets(packetFlood(attack.SynFlood, s))
		events += len(o.Events)
	}
	if w.actions() != "drop" || events > 20 {
		t.Fatalf("after two minutes: %q, %d events", w.actions(), events)
	}
	seconds := 0
	for ; len(w.stands) > 0 && seconds < 100; seconds++ {
		w.packets()
	}
	if seconds < 15 || seconds > 25 {
		t.Errorf("ended %d s after the flood", seconds)
	}
	if len(w.packet.byText) != 0 || len(w.packet.floods) != 0 {
		t.Errorf("left over: %v", w.packet)
	}
}

// What does not fit the flood any more ends though the flood goes on, and lasts
// longer when it comes back.
func TestPacketsThatChange(t *testing.T) {
	w := newWorld(t)
	s := attack.Signature{Match: packetMatch(t, "100"), Coverage: 1, Ordinary: 2000}
	var lasted []int
	for range 2 {
		w.packets(packetFlood(attack.SynFlood, s))
		n := 0
		for len(w.stands) > 0 {
			w.packets(packetFlood(attack.SynFlood))
			n++
		}
		lasted = append(lasted, n)
	}
	if lasted[0] != 30 || lasted[1] != 60 {
		t.Errorf("lasted %v seconds", lasted)
	}
}

func TestSumOfPacketsIsBounded(t *testing.T) {
	w := newWorld(t)
	var sigs []attack.Signature
	for _, ttl := range []string{"1", "2", "3"} {
		sigs = append(sigs, attack.Signature{Match: packetMatch(t, ttl), Coverage: 0.3, Ordinary: 2000, Collateral: 0.0009})
	}
	w.packets(packetFlood(attack.PacketFlood, sigs...))
	if got := w.actions(); got != "drop drop slow" {
		t.Errorf("%q", got)
	}
}

func TestNoMorePacketsThanPlaces(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		s := attack.Signature{Match: packetMatch(t, string(rune('1'+i/10))+string(rune('0'+i%10))), Coverage: 1, Ordinary: 2000}
		w.packets(packetFlood(attack.SynFlood, s))
		if n := len(w.stands); n > mostPacketMatches {
			t.Fatalf("%d stand", n)
		}
	}
}

func TestTwinsOfPacketsAreNotAdded(t *testing.T) {
	w := newWorld(t)
	w.packets(packetFlood(attack.SynFlood, attack.Signature{Match: packetMatch(t, "244"), Ordinary: 2000}))
	w.packets(packetFlood(attack.SynFlood, attack.Signature{Match: packetMatch(t, "242", "244"), Ordinary: 2000}))
	if len(w.stands) != 1 {
		t.Errorf("%d stand", len(w.stands))
	}
}

// What a person lifts stays lifted for an hour; off is off.
func TestPeopleAboutPackets(t *testing.T) {
	w := newWorld(t)
	s := attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 2000}
	w.packets(packetFlood(attack.SynFlood, s))
	w.order(Order{Verb: Lift, ID: 1})
	w.packets(packetFlood(attack.SynFlood, s))
	if len(w.stands) != 0 {
		t.Error("it is repeated though a person lifted it")
	}
	w = newWorld(t)
	w.order(Order{Verb: Off})
	w.packets(packetFlood(attack.SynFlood, s))
	if len(w.stands) != 0 {
		t.Error("it acts though it is off")
	}
}

// What meets several visitors' packets only counts from then on; one address
// says nothing, for anybody can send in anybody's name.
func TestLoosensWhatMeetsVisitorsPackets(t *testing.T) {
	s := attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 2000}
	for harmed, want := range map[int]string{0: "drop", 1: "drop", 3: "slow"} {
		w := newWorld(t)
		w.packets(packetFlood(attack.SynFlood, s))
		w.pass(time.Second)
		win := &traffic.Window{At: w.now.At, Wall: w.now.Wall, Span: time.Second}
		win.Packets = traffic.Packets{Filtered: true, Every: 100}
		for i := range 50 {
			a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			win.Samples = append(win.Samples, traffic.Sample{Visit: traffic.Visit{Client: a, Peer: a, Clearance: traffic.ClearanceProven}})
			if i < harmed {
				p := bareSyn()
				p.Source, p.Stopped = a, true
				win.Packets.Samples = append(win.Packets.Samples, p)
			}
		}
		w.apply(w.Step(Input{Now: w.now, Window: win, Packets: []PacketFlood{packetFlood(attack.SynFlood)}}))
		w.packets(packetFlood(attack.SynFlood, s))
		if got := w.actions(); got != want {
			t.Errorf("%d visitors met: %q, want %q", harmed, got, want)
		}
	}
}

// A person is told what an order about packets hits.
func TestOrderAboutPackets(t *testing.T) {
	w := newWorld(t)
	n := &traffic.Normal{}
	for i := range 100 {
		p := bareSyn()
		p.TTL = uint8(i)
		n.Packets.Ordinary = append(n.Packets.Ordinary, p)
	}
	r, out, err := w.Decider.Order(w.now, Order{Verb: Refuse, Match: `packet.ttl < 25`}, n)
	if err != nil {
		t.Fatal(err)
	}
	w.apply(out)
	if !strings.Contains(r.Text, "25.0 % of the last 100 ordinary packets") {
		t.Error(r.Text)
	}
}

// Floods of packets and of requests run beside each other; the end of one ends
// nothing of the other.
func TestPacketsAndRequestsAreApart(t *testing.T) {
	w := newWorld(t)
	s := attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 2000}
	w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	w.packets(packetFlood(attack.SynFlood, s))
	if w.Attack() {
		t.Error("the flood of requests has not ended in a window without one")
	}
	if got := w.actions(); got != "refuse drop" {
		t.Fatalf("%q", got)
	}
	w.second(flood(true, true), nil, bot(100)...)
	if m := w.stands[2]; m.Action != mitigation.Drop || m.Until.Sub(w.now.Wall) > afterAttack {
		t.Errorf("the flood of packets is over: %s until %v", m.Action, m.Until.Sub(w.now.Wall))
	}
	if m := w.stands[1]; m.Action != mitigation.Refuse {
		t.Errorf("%s", m.Action)
	}
}

func TestPacketsSurviveARestart(t *testing.T) {
	w := newWorld(t)
	w.packets(packetFlood(attack.SynFlood, attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 2000}))
	n := w.restart()
	if n.actions() != "drop" || n.UnderAttack() || len(n.Dropping()) != 1 {
		t.Errorf("%q", n.actions())
	}
	for range 40 {
		n.packets()
	}
	if len(n.stands) != 0 {
		t.Error("it does not end")
	}
}
