package defense

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/attack"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// simFilter is a packet filter in front of the simulated site: ordinary packets
// come all the time, a captured flood of 20,000 a second when it is told to. It
// compares ICMP with descriptions too.
type simFilter struct {
	wire   *wire
	people *people
	// The sim's lock guards what follows.
	flood []traffic.Packet // nil: none now
	rate  int              // of the flood, a second

	came, stopped int // of the flood
	harmed        int // ordinary packets that were dropped, but for ICMP errors
}

func newSimFilter() *simFilter {
	return &simFilter{wire: newWire(), people: newPeople(), rate: 20_000}
}

// send makes a flood begin or, where it is nil, end, and counts anew.
func (f *simFilter) send(s *sim, flood []traffic.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.flood = flood
	f.came, f.stopped, f.harmed = 0, 0, 0
}

// result is the share of the flood that was stopped, and the ordinary packets.
func (f *simFilter) result(s *sim) (stopped float64, harmed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(f.stopped) / float64(max(f.came, 1)), f.harmed
}

// cut is what came in the last second.
func (f *simFilter) cut(s *sim) traffic.Packets {
	s.mu.Lock()
	defer s.mu.Unlock()
	ordinary := f.people.some(1500)
	var flood []traffic.Packet
	if f.flood != nil {
		flood = f.wire.flood(f.flood, f.rate)
	}
	drops := func(p *traffic.Packet) bool {
		for _, m := range s.standing {
			if m.Action == mitigation.Drop && m.Match.HitsPacket(p) {
				return true
			}
		}
		return false
	}
	for i := range ordinary {
		if ordinary[i].Kind != traffic.PacketICMP && drops(&ordinary[i]) {
			f.harmed++
		}
	}
	for i := range flood {
		if p := &flood[i]; !own(p) {
			f.came++
			if p.Stopped || drops(p) {
				f.stopped++
			}
		}
	}
	p := f.wire.packets(ordinary, flood, drops)
	for id, m := range s.standing {
		for _, list := range [][]traffic.Packet{ordinary, flood} {
			for i := range list {
				if !list[i].Stopped && m.Match.HitsPacket(&list[i]) {
					p.Hits[uint32(id)]++
				}
			}
		}
	}
	return p
}

// Captured floods, met by the whole loop: named within a second, at least 99 %
// stopped from then on, no visitor's packet or request lost, all undone within a
// minute, and no word of a flood of requests.
func TestPacketFloodsInTheLoop(t *testing.T) {
	for _, c := range []struct {
		name   string
		vector attack.Vector
		what   string
	}{
		{"pkt.TCP.synflood.spoofed.pcap.gz", attack.SynFlood, "SYNs that lead to no connection"},
		{"amp.TCP.reflection.SYNACK.pcap.gz", attack.Reflection, "answers of TCP servers (port 80) and TCP servers (port 443)"},
		{"amp.UDP.isakmp.pcap.gz", attack.Reflection, "answers of ISAKMP servers (UDP port 4500)"},
		{"amp.UDP.snmp.src161.pcapng.gz", attack.Reflection, "answers of SNMP servers (UDP port 161)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			flood := capture(t, c.name)
			synctest.Test(t, func(t *testing.T) {
				f := newSimFilter()
				s := newSimWith(t, "", f)
				stop := s.start(t)
				defer stop()
				defer s.dump(t)
				good := visitors(40, 2, 100)
				s.clients = good
				s.run(30 * time.Second)
				if st := s.loop.Status(); st.State != Calm || s.count() != 0 || st.Normal.Packets.Learned < 10*time.Second {
					t.Fatalf("before the flood: %s, %d mitigations, %v learnt", st.State, s.count(), st.Normal.Packets.Learned)
				}
				f.send(s, flood)
				s.run(1100 * time.Millisecond) // one window ends in it
				st := s.loop.Status()
				if st.State != UnderAttack || len(st.PacketAttacks) != 1 || st.PacketAttacks[0].Vector != c.vector || st.PacketAttacks[0].What != c.what {
					t.Fatalf("a second later: %s, %+v", st.State, st.PacketAttacks)
				}
				f.send(s, flood)
				s.run(15 * time.Second)
				st = s.loop.Status()
				stopped, harmed := f.result(s)
				if stopped < 0.99 {
					t.Errorf("%.4f of the flood was stopped", stopped)
				}
				if harmed > 0 {
					t.Errorf("%d packets of visitors were dropped", harmed)
				}
				if len(st.PacketAttacks) != 1 || st.PacketAttacks[0].Mitigated == nil || st.PacketAttacks[0].Peak < 18_000 || st.Attack != nil || !s.calm() {
					t.Errorf("15 s later: %+v, attack %+v, door calm %v", st.PacketAttacks, st.Attack, s.calm())
				}
				t.Logf("%.4f stopped; %s", stopped, st.PacketAttacks[0].Doing)
				if b, err := json.Marshal(st); err != nil || !strings.Contains(string(b), `"packet.length"`) {
					t.Errorf("status as JSON: %v", err)
				}
				if frozen := st.Normal.Packets.Kinds[traffic.PacketSyn].Peak; frozen > 200 || !st.Normal.Frozen {
					t.Errorf("the flood is learnt: %.0f SYNs a second", frozen)
				}
				f.send(s, nil)
				s.run(60 * time.Second)
				st = s.loop.Status()
				if st.State != Calm || s.count() != 0 || len(st.PacketAttacks) != 0 || len(st.PacketsEnded) != 1 || st.PacketsEnded[0].Ended == nil {
					t.Errorf("a minute later: %s, %d mitigations, %+v", st.State, s.count(), st.PacketAttacks)
				}
				if got := share(good); got < 0.999 {
					t.Errorf("%.4f of the visitors' requests were served", got)
				}
			})
		})
	}
}

// A flood from the first second on, when nothing is known of ordinary packets:
// what no visitor's machine sends is dropped, the rest is counted.
func TestPacketFloodsFromTheStart(t *testing.T) {
	for name, want := range map[string]mitigation.Action{
		"pkt.TCP.synflood.spoofed.pcap.gz":  mitigation.Drop,
		"amp.TCP.reflection.SYNACK.pcap.gz": mitigation.Slow, // RSTs, besides what the rungs stop
	} {
		flood := capture(t, name)
		synctest.Test(t, func(t *testing.T) {
			f := newSimFilter()
			f.flood = flood
			s := newSimWith(t, "", f)
			stop := s.start(t)
			defer stop()
			defer s.dump(t)
			s.clients = visitors(40, 2, 100)
			s.run(5 * time.Second)
			list := s.loop.Mitigations()
			if len(list) == 0 {
				t.Fatalf("%s: nothing is done", name)
			}
			for _, m := range list {
				if m.Action != want {
					t.Errorf("%s: %s", name, &m.Mitigation)
				}
			}
			if _, harmed := f.result(s); harmed > 0 {
				t.Errorf("%s: %d packets of visitors were dropped", name, harmed)
			}
		})
	}
}
