package admit

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

func v6(hi uint64) netip.Addr {
	var b [16]byte
	for i := range 8 {
		b[i] = byte(hi >> (56 - 8*i))
	}
	b[15] = 1
	return netip.AddrFrom16(b)
}

func page(a netip.Addr) *traffic.Visit {
	return &traffic.Visit{Client: a, Peer: a, Method: "GET", Path: "/", HeaderOrder: 1}
}

func TestClientBudget(t *testing.T) {
	s := newStage(t)
	if n := s.admitted(1000, s.from("192.0.2.1")); n != 150 {
		t.Errorf("a burst of %d, want 150", n)
	}
	d := s.Decide(s.visit("192.0.2.1"))
	if d.Action != mitigation.Refuse || d.Reason != mitigation.ReasonClientBudget || d.RetryAfter != 50*time.Millisecond {
		t.Errorf("over budget: %v", d)
	}
	s.pass(time.Second)
	if n := s.admitted(1000, s.from("192.0.2.1")); n != 20 {
		t.Errorf("%d a second, want 20", n)
	}
	if n := s.admitted(1000, s.from("198.51.100.1")); n != 150 {
		t.Errorf("another client gets %d", n)
	}
	// A whole /64 is one client.
	if n := s.admitted(1000, func(i int) *traffic.Visit { return s.visit(fmt.Sprintf("2001:db8::%x", i)) }); n != 150 {
		t.Errorf("a /64 gets %d", n)
	}
}

func TestUnderAttackAQuarter(t *testing.T) {
	s := newStage(t)
	s.UnderAttack(s.wall())
	if n := s.admitted(1000, s.from("192.0.2.1")); n != 37 {
		t.Errorf("a stranger's burst is %d, want 37", n)
	}
	s.pass(time.Second)
	if n := s.admitted(1000, s.from("192.0.2.1")); n != 5 {
		t.Errorf("a stranger's rate is %d, want 5", n)
	}
	issued := s.wall()
	if n := s.admitted(1000, func(int) *traffic.Visit { return cleared(s.visit("198.51.100.1"), 1, issued) }); n != 150 {
		t.Errorf("with a clearance %d, want 150", n)
	}
	s.Calm()
	s.pass(time.Minute)
	if n := s.admitted(1000, s.from("192.0.2.1")); n != 150 {
		t.Errorf("in peace again %d, want 150", n)
	}
}

// Who rotates through prefixes gains the wider prefix's multiple and no more:
// at once, and over every span, however small the table.
func TestRotationGainsTheMultipleOnly(t *testing.T) {
	const net48, net56 = uint64(0x2001_0db8_0001_0000), uint64(0x2001_0db8_0002_0000)
	for _, c := range []struct {
		name string
		addr func(i int) netip.Addr
		most int // times one client's budget
	}{
		{"65,536 /64s of a /48", func(i int) netip.Addr { return v6(net48 | uint64(i&0xffff)) }, 4},
		{"256 /64s of a /56", func(i int) netip.Addr { return v6(net56 | uint64(i&0xff)) }, 2},
		{"256 addresses of a /24", func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }, 16},
	} {
		for _, clients := range []int{1024, 1 << 17} {
			for _, cookies := range []bool{false, true} {
				if cookies && clients > 1024 {
					continue
				}
				t.Run(fmt.Sprintf("%s, %d entries, fresh cookies %v", c.name, clients, cookies), func(t *testing.T) {
					s := newStage(t, func(cfg *Config) { cfg.Clients = clients })
					issued := s.wall()
					i, in := 0, 0
					var at []clockCount
					for step := range 50 { // 5 s
						n := 250
						if step == 0 {
							n = 1 << 16 // every prefix once, at one moment
						}
						got := s.admitted(n, func(int) *traffic.Visit {
							i++
							v := page(c.addr(i))
							if cookies {
								cleared(v, uint64(i&0xffff), issued)
							}
							return v
						})
						in += got
						at = append(at, clockCount{float64(step) / 10, in})
						s.pass(100 * time.Millisecond)
					}
					if first := at[0].n; first != c.most*150 {
						t.Errorf("a burst of %d, want %d", first, c.most*150)
					}
					for x := range at {
						for y := x + 1; y < len(at); y++ {
							span, got := at[y].t-at[x].t, at[y].n-at[x].n
							if most := float64(c.most) * (150 + 20*span); float64(got) > most {
								t.Fatalf("%d in %.1f s, at most %.0f may", got, span, most)
							}
						}
					}
				})
			}
		}
	}
}

type clockCount struct {
	t float64
	n int
}

// Being pushed out of a small table gives nobody a fresh budget.
func TestEvictionGivesNoFreshBudget(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Clients = 1024 })
	s.admitted(1000, s.from("192.0.2.1")) // used up
	for i := range 20_000 {               // and pushed out by strangers
		v := page(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		v.At = s.now
		s.Decide(v)
	}
	if n := s.admitted(1000, s.from("192.0.2.1")); n > 1 {
		t.Errorf("after having been pushed out, %d more", n)
	}
	s.pass(time.Second)
	if n := s.admitted(1000, s.from("192.0.2.1")); n > 20 {
		t.Errorf("%d a second later", n)
	}
	if s.Stats().Evicted == 0 {
		t.Error("nothing was pushed out; the test shows nothing")
	}
}

// A stolen cookie buys one visitor's budget, from however many addresses.
func TestStolenCookie(t *testing.T) {
	s := newStage(t)
	issued := s.wall().Add(-time.Hour)
	n := s.admitted(5000, func(i int) *traffic.Visit {
		return cleared(page(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})), 77, issued)
	})
	if n != 150 {
		t.Errorf("%d let in, want 150", n)
	}
}

// Strangers cannot use up what a known visitor behind the same prefix needs, at
// any level.
func TestKnownIsNotRefusedForStrangers(t *testing.T) {
	for name, stranger := range map[string]func(i int) netip.Addr{
		"the same address":        func(int) netip.Addr { return v6(0x2001_0db8_0001_0203) },
		"the same /56":            func(i int) netip.Addr { return v6(0x2001_0db8_0001_0200 | uint64(i&0xff)) },
		"the same /48":            func(i int) netip.Addr { return v6(0x2001_0db8_0001_0000 | uint64(i&0xffff)) },
		"the same IPv4 address":   func(int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, 1}) },
		"the same /24, all of it": func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			issued := s.wall().Add(-time.Hour)
			s.UnderAttack(s.wall())
			for step := range 300 { // 30 s
				s.admitted(200, func(i int) *traffic.Visit { return page(stranger(step*200 + i)) })
				if step%5 == 0 { // two pages a second
					v := cleared(page(stranger(0)), 5, issued)
					v.At = s.now
					if d := s.Decide(v); !d.LetsIn() || d.Rank != mitigation.RankKnown {
						t.Fatalf("after %d: %v", step, d)
					}
				}
				s.pass(100 * time.Millisecond)
			}
		})
	}
}

// What a mitigation refuses does not use up the neighbours' budget.
func TestMitigatedFloodLeavesItsNeighboursAlone(t *testing.T) {
	s := newStage(t)
	s.apply(1, mitigation.ByMachine, mitigation.Refuse, is(traffic.FieldPath, "/flood"))
	s.admitted(20_000, func(i int) *traffic.Visit {
		v := page(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 200)}))
		v.Path = "/flood"
		return v
	})
	if d := s.Decide(s.visit("192.0.2.250")); !d.LetsIn() {
		t.Errorf("a neighbour: %v", d)
	}
}

// A thousand people come to work behind one address, in ten minutes, each with
// a clearance of their own and a page every five seconds.
func TestAThousandBehindOneAddress(t *testing.T) {
	s := newStage(t)
	began := s.wall()
	in, all := 0, 0
	for sec := range 900 {
		people := min(1000, 5+sec*1000/600)
		for p := range people {
			if p%5 != sec%5 {
				continue
			}
			arrived := p * 600 / 1000
			v := cleared(s.visit("192.0.2.1"), uint64(p), began.Add(time.Duration(arrived)*time.Second))
			by(v, p%12)
			if all++; s.Decide(v).LetsIn() {
				in++
			}
		}
		s.pass(time.Second)
	}
	if in < all*999/1000 {
		t.Errorf("%d of %d let in", in, all)
	}
	// And they go on while an attack runs, and strangers behind the same address too.
	s.UnderAttack(s.wall())
	in, all = 0, 0
	for range 30 {
		for p := range 200 {
			if all++; s.Decide(cleared(s.visit("192.0.2.1"), uint64(p), began)).LetsIn() {
				in++
			}
		}
		s.pass(time.Second)
	}
	if in < all*999/1000 {
		t.Errorf("under attack %d of %d let in", in, all)
	}
}

// Collecting cookies does not make a budget grow: not while they are young, and
// later only slowly.
func TestCollectingCookiesGrowsSlowly(t *testing.T) {
	for _, attack := range []bool{false, true} {
		s := newStage(t)
		issued := s.wall()
		if attack {
			s.UnderAttack(issued)
		}
		in := func(seconds int) (n int) {
			for range seconds {
				n += s.admitted(300, func(i int) *traffic.Visit { return cleared(s.visit("192.0.2.1"), uint64(i), issued) })
				s.pass(time.Second)
			}
			return n
		}
		if n := in(59); n > 150+20*59 {
			t.Errorf("attack %v: %d in the first minute with young cookies", attack, n)
		}
		in(5)
		bits := s.size("192.0.2.1")
		if bits > 6 {
			t.Errorf("attack %v: five seconds after a minute the budget is %d times its size", attack, bits)
		}
		in(60)
		most := 64
		if attack {
			most = 6
		}
		if n := s.size("192.0.2.1"); n > most {
			t.Errorf("attack %v: two minutes on the budget is %d times its size, at most %d", attack, n, most)
		}
	}
}

// Changing one's name, with assets and all, reaches a few times the budget.
func TestRotatingProgramsGrowsLittle(t *testing.T) {
	s := newStage(t)
	for range 300 {
		for i := range 40 {
			v := s.visit("192.0.2.1")
			by(v, i/2).Kind = traffic.Kind(i % 2)
			s.Decide(v)
		}
		s.pass(time.Second)
	}
	if n := s.size("192.0.2.1"); n > printBits+1 {
		t.Errorf("the budget is %d times its size", n)
	}
}

// Cookies of one place do not grow the budget of another.
func TestClearancesCountWhereTheyLive(t *testing.T) {
	s := newStage(t)
	issued := s.wall().Add(-time.Hour)
	for range 60 {
		for id := range uint64(20) {
			s.Decide(cleared(s.visit("192.0.2.1"), id, issued))
			s.Decide(cleared(s.visit("198.51.100.1"), id, issued))
		}
		s.pass(5 * time.Second)
	}
	if home, away := s.size("192.0.2.1"), s.size("198.51.100.1"); home < 10 || away != 1 {
		t.Errorf("at home the budget is %d times its size, away %d times", home, away)
	}
}

// size is how many times its usual size the budget of a client is.
func (s *stage) size(addr string) int {
	key := addressOf(netip.MustParseAddr(addr)).hash(&s.seed, traffic.LevelClient)
	set := s.clients.at(key)
	i := set.find(key)
	if i < 0 {
		return 1
	}
	return set.cells[i].times()
}
