package admit

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

func (s *stage) offencesSoFar() (out []mitigation.Offence) {
	for {
		select {
		case o := <-s.Offences():
			out = append(out, o)
		default:
			return out
		}
	}
}

func TestOffences(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(s *stage)
		refused int
		visit   func(s *stage) *traffic.Visit
		want    int
	}{
		{"39 refusals in peace", nil, 39, nil, 0},
		{"40 refusals in peace", nil, 40, nil, 1},
		{"20 under attack", func(s *stage) { s.UnderAttack(s.wall()) }, 20, nil, 1},
		{"19 under attack", func(s *stage) { s.UnderAttack(s.wall()) }, 19, nil, 0},
		{"many at once are one report", nil, 5000, nil, 1},
		{"behind a live clearance", func(s *stage) {
			s.Decide(cleared(s.visit("192.0.2.1"), 1, s.wall()))
		}, 1000, nil, 0},
		{"through a proxy", nil, 40, func(s *stage) *traffic.Visit {
			v := s.visit("192.0.2.1")
			v.Peer = netip.MustParseAddr("127.0.0.1")
			return v
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			if c.prepare != nil {
				c.prepare(s)
			}
			visit := func() *traffic.Visit { return s.visit("192.0.2.1") }
			if c.visit != nil {
				visit = func() *traffic.Visit { return c.visit(s) }
			}
			s.apply(1, mitigation.ByMachine, mitigation.Refuse, is(traffic.FieldPath, "/"))
			for range c.refused {
				s.Decide(visit())
			}
			got := s.offencesSoFar()
			if len(got) != c.want {
				t.Fatalf("%d reports, want %d", len(got), c.want)
			}
			if people := c.name == "behind a live clearance"; s.Shared(netip.MustParsePrefix("192.0.2.1/32")) != people || s.Shared(netip.MustParsePrefix("192.0.2.2/32")) {
				t.Error("people are seen where there are none, or none where there are some")
			}
			for _, o := range got {
				if o.Prefix != netip.MustParsePrefix("192.0.2.1/32") || int(o.Refused) < 20 || o.Direct != (c.visit == nil) {
					t.Errorf("%+v", o)
				}
			}
		})
	}
}

func TestOffencesInTime(t *testing.T) {
	s := newStage(t)
	s.apply(1, mitigation.ByOperator, mitigation.Refuse, within("2001:db8::/32"))
	total := 0
	for i := range 120 { // 30 refusals a minute are no offence; 600 are
		if i%2 == 0 {
			s.Decide(s.visit("2001:db8::1"))
		}
		for range 10 {
			s.Decide(s.visit("2001:db8:1::1"))
		}
		s.pass(time.Second)
		for _, o := range s.offencesSoFar() {
			if total++; o.Prefix != netip.MustParsePrefix("2001:db8:1::/64") {
				t.Errorf("%+v", o)
			}
		}
	}
	if total < 3 || total > 4 {
		t.Errorf("%d reports in two minutes, want one each half minute", total)
	}
}

// Somebody who is a little over the budget all the time offends nobody.
func TestLittleOverBudgetIsNoOffence(t *testing.T) {
	s := newStage(t)
	for range 300 {
		s.admitted(5, s.from("192.0.2.1"))
		s.pass(200 * time.Millisecond) // 25 a second
	}
	if got := s.offencesSoFar(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// Programs that behave well behind an address protect it.
func TestGoodProgramsAreNotReported(t *testing.T) {
	s := newStage(t)
	for i := range 200 {
		for fp := range 6 {
			v := s.visit("192.0.2.1")
			by(v, fp).Kind = traffic.Kind(i % 2)
			s.Decide(v)
		}
		s.pass(time.Second)
	}
	s.apply(1, mitigation.ByOperator, mitigation.Refuse, within("192.0.2.1/32"))
	s.admitted(500, s.from("192.0.2.1"))
	if got := s.offencesSoFar(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestOffencesAreLossy(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Clients = 1 << 15 })
	s.apply(1, mitigation.ByOperator, mitigation.Refuse, within("10.0.0.0/8"))
	for i := range 3000 {
		for range 40 {
			v := page(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
			v.At = s.now
			s.Decide(v)
		}
	}
	got, lost := len(s.offencesSoFar()), s.Stats().LostOffences
	if got != cap(s.offences) || lost != uint64(3000-got) {
		t.Errorf("%d reported, %d counted as lost", got, lost)
	}
}

// Raw prefixes of those refused can be asked for, and are gone after an hour.
func TestRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(c *Config) { c.Recent = 4 })
		ctx, stop := context.WithCancel(t.Context())
		go s.Run(ctx)
		defer func() { stop(); synctest.Wait() }()
		s.apply(1, mitigation.ByOperator, mitigation.Refuse, within("192.0.2.0/24"))
		for _, a := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "10.0.0.4"} {
			s.Decide(s.visit(a))
		}
		for hash, want := range map[uint64]string{1: "192.0.2.1/32", 3: "192.0.2.3/32", 4: ""} {
			p, ok := s.Recent(hash)
			if ok != (want != "") || ok && p.String() != want {
				t.Errorf("Recent(%d) = %v %v, want %q", hash, p, ok, want)
			}
		}
		for i := range 4 { // newer ones take the place of older ones
			s.Decide(s.visit(netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}).String()))
		}
		if _, ok := s.Recent(1); ok {
			t.Error("more are kept than may be")
		}
		time.Sleep(59 * time.Minute)
		if _, ok := s.Recent(13); !ok {
			t.Error("forgotten within the hour")
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if _, ok := s.Recent(13); ok {
			t.Error("kept for more than an hour")
		}
		s.recent.mu.Lock()
		defer s.recent.mu.Unlock()
		for _, e := range s.recent.ring {
			if e != (refusal{}) {
				t.Errorf("still in memory: %v", e)
			}
		}
	})
}

func TestAllowed(t *testing.T) {
	s := newStage(t)
	s.apply(1, mitigation.ByOperator, mitigation.Admit, within("192.0.2.0/24"))
	s.apply(2, mitigation.ByOperator, mitigation.Refuse, within("198.51.100.0/24"))
	if !s.Allowed(netip.MustParseAddr("::ffff:192.0.2.7")) || s.Allowed(netip.MustParseAddr("198.51.100.7")) {
		t.Error("not as it was ordered")
	}
}
