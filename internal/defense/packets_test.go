package defense

import (
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
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

	ordinary, spoofed stream // what came since it was cut last

	came, stopped int // of the flood
	harmed        int // ordinary packets that were dropped, but for ICMP errors
}

func newSimFilter() *simFilter {
	now := time.Now()
	return &simFilter{wire: newWire(), people: newPeople(), rate: 20_000, ordinary: stream{since: now}, spoofed: stream{since: now}}
}

// stream is packets that come evenly.
type stream struct {
	since time.Time
	made  int // since then
	came  []traffic.Packet
}

// due is how many have come, at a rate a second, that were not made yet.
func (s *stream) due(rate int) int {
	n := int(float64(rate)*time.Since(s.since).Seconds()) - s.made
	s.made += n
	return n
}

// fill makes what has come until now.
func (f *simFilter) fill() {
	f.ordinary.came = append(f.ordinary.came, f.people.some(f.ordinary.due(1500))...)
	if n := f.spoofed.due(f.rate); f.flood != nil {
		f.spoofed.came = append(f.spoofed.came, f.wire.flood(f.flood, n)...)
	}
}

// yet counts what has come since it was cut last.
func (f *simFilter) yet(s *sim) (kinds [traffic.PacketKinds]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.fill()
	for _, list := range [][]traffic.Packet{f.ordinary.came, f.spoofed.came} {
		for i := range list {
			kinds[list[i].Kind]++
		}
	}
	return kinds
}

// send makes a flood begin or, where it is nil, end, and counts anew.
func (f *simFilter) send(s *sim, flood []traffic.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.fill()
	f.flood = flood
	f.came, f.stopped, f.harmed = 0, 0, 0
}

// result is the share of the flood that was stopped, and the ordinary packets.
func (f *simFilter) result(s *sim) (stopped float64, harmed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(f.stopped) / float64(max(f.came, 1)), f.harmed
}

// cut is what came since it was asked last.
func (f *simFilter) cut(s *sim) traffic.Packets {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.fill()
	ordinary, flood := f.ordinary.came, f.spoofed.came
	f.ordinary.came, f.spoofed.came = nil, nil
	drops := func(p *traffic.Packet) bool {
		for _, m := range s.standing {
			if m.Action == mitigation.Drop && !m.Shadow && m.Match.HitsPacket(p) {
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
			t.Parallel()
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

// Whenever in a second a flood begins, it is found and stopped half a second
// later; and nothing of that is felt by those who ask for pages.
func TestPacketFloodsAreFoundEarly(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pkt.TCP.synflood.spoofed.pcap.gz", "amp.UDP.snmp.src161.pcapng.gz"} {
		flood := capture(t, name)
		for phase := 50 * time.Millisecond; phase < time.Second; phase += 150 * time.Millisecond {
			synctest.Test(t, func(t *testing.T) {
				f := newSimFilter()
				s := newSimWith(t, "", f)
				stop := s.start(t)
				defer stop()
				good := visitors(40, 2, 100)
				s.clients = good
				s.run(30*time.Second + phase)
				begin := time.Now()
				f.send(s, flood)
				var found, stopped time.Duration
				for stopped == 0 && time.Since(begin) < 5*time.Second {
					s.run(50 * time.Millisecond)
					for _, a := range s.loop.Status().PacketAttacks {
						if found == 0 {
							found = time.Since(begin)
						}
						if a.Mitigated != nil {
							stopped = time.Since(begin)
						}
					}
				}
				t.Logf("%s, %v into a second: found after %v, stopped after %v", name, phase, found, stopped)
				if stopped == 0 || stopped > 700*time.Millisecond {
					t.Errorf("%s, %v into a second: found after %v, stopped after %v", name, phase, found, stopped)
				}
				s.run(5 * time.Second)
				if st := s.loop.Status(); st.Attack != nil || !s.calm() || share(good) < 0.999 {
					t.Errorf("%s, %v into a second: attack %+v, door calm %v, %.4f served", name, phase, st.Attack, s.calm(), share(good))
				}
			})
		}
	}
}

// A crowd's packets, many times the usual, are looked at early a few times, and
// then no more until they were usual again.
func TestEarlyLooksAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSimFilter()
		s := newSimWith(t, "", f)
		var cuts atomic.Int32
		cut := s.loop.deps.Packets
		s.loop.deps.Packets = func() traffic.Packets { cuts.Add(1); return cut() }
		crowd := newPeople().some(20_000) // fewer of a kind than any detector minds
		crowd = slices.DeleteFunc(crowd, func(p traffic.Packet) bool { return p.Kind != traffic.PacketOther })
		stop := s.start(t)
		defer stop()
		s.clients = visitors(40, 2, 100)
		// Not at the moment of a tick, or that may be counted at both ends.
		s.run(30*time.Second + glanceEvery/2)
		s.mu.Lock()
		f.rate = 3200
		s.mu.Unlock()
		f.send(s, crowd)
		before := cuts.Load()
		s.run(30 * time.Second)
		if st := s.loop.Status(); len(st.PacketAttacks) > 0 {
			t.Errorf("a crowd is a flood: %+v", st.PacketAttacks)
		}
		s.run(30 * time.Second)
		if n := cuts.Load() - before; n <= 60 || n > 60+mostEarly {
			t.Errorf("asked %d times in a minute", n)
		}
	})
}

// A flood from the first second on, when nothing is known of ordinary packets:
// what no visitor's machine sends is dropped, the rest is counted.
func TestPacketFloodsFromTheStart(t *testing.T) {
	t.Parallel()
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

// In watch mode nothing is stopped, and nothing says that it is.
func TestWatchedPacketFloodIsNotMitigated(t *testing.T) {
	flood := capture(t, "pkt.TCP.synflood.spoofed.pcap.gz")
	synctest.Test(t, func(t *testing.T) {
		f := newSimFilter()
		s := newSimWith(t, "", f)
		s.loop.decider.Watch()
		stop := s.start(t)
		defer stop()
		s.clients = visitors(40, 2, 100)
		s.run(30 * time.Second)
		f.send(s, flood)
		s.run(5 * time.Second)
		st := s.loop.Status()
		if stopped, _ := f.result(s); stopped > 0 || len(st.PacketAttacks) != 1 {
			t.Fatalf("%.4f stopped, %+v", stopped, st.PacketAttacks)
		}
		a := st.PacketAttacks[0]
		if want := "Nothing is stopped yet. Only watched: would stop what is like one description."; a.Mitigated != nil || a.Doing != want {
			t.Errorf("mitigated at %v: %q, want %q", a.Mitigated, a.Doing, want)
		}
	})
}
