package defense

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// start runs the loop until the returned function is called.
func (s *sim) start(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.loop.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func (s *sim) dump(t *testing.T) {
	t.Helper()
	if !t.Failed() && !testing.Verbose() {
		return
	}
	st := s.loop.Status()
	for _, r := range st.Records {
		t.Logf("%s %-7s %s", r.At.Format("15:04:05.00"), r.Step, r.Text)
	}
}

func TestFloods(t *testing.T) {
	for _, c := range []struct {
		name    string
		bots    func() []*client
		served  float64       // least share of the visitors' requests
		within  time.Duration // until something stands
		signed  time.Duration // until what it has in common was looked for
		reached float64       // most of the flood that reaches the origin, from 3 s on
	}{
		{"A: 200 clients of 50/s", func() []*client { return bots(200, 50) }, 0.995, 300 * time.Millisecond, 600 * time.Millisecond, 0.01},
		{"B: 2000 clients of 2/s", func() []*client { return bots(2000, 2) }, 0.97, 500 * time.Millisecond, 600 * time.Millisecond, 0.02},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, "")
				stop := s.start(t)
				defer stop()
				defer s.dump(t)
				good := visitors(40, 2, 100)
				s.clients = good
				s.run(12 * time.Second)
				if st := s.loop.Status(); st.State != Calm || st.Attack != nil || s.count() != 0 {
					t.Fatalf("before the flood: %s, %d mitigations", st.State, s.count())
				}
				for _, v := range good {
					v.offered, v.served, v.slowest = 0, 0, 0
				}
				flood := c.bots()
				begin := time.Now()
				s.countFrom = begin.Add(3 * time.Second)
				s.clients = append(append([]*client{}, good...), flood...)
				s.run(6 * time.Second)
				late := visitors(5, 1, 101) // who come in the middle of it
				s.clients = append(s.clients, late...)
				s.run(7 * time.Second)

				st := s.loop.Status()
				if st.State != UnderAttack || st.Attack == nil || st.Attack.Mitigated == nil {
					t.Fatalf("during the flood: %s", st.State)
				}
				if b, err := json.Marshal(st); err != nil || !strings.Contains(string(b), `"vector":"http-flood"`) {
					t.Errorf("status as JSON: %v", err)
				}
				s.clients = append(append([]*client{}, good...), late...)
				s.run(2 * time.Second) // what waits in line is answered
				if got := share(good); got < c.served {
					t.Errorf("%.4f of the visitors' requests were served", got)
				}
				reached := float64(s.floodReached) / float64(offered(flood))
				if reached > c.reached {
					t.Errorf("%.4f of the flood reached the origin from 3 s on", reached)
				}
				// The whole walk is taken before the second is over.
				noticed := time.Duration(0)
				for _, r := range st.Records {
					if r.Step == "sign" && noticed == 0 {
						noticed = r.At.Sub(begin)
					}
				}
				if noticed == 0 || noticed > c.signed {
					t.Errorf("what it has in common was looked for after %v", noticed)
				}
				got := s.mitigatedAt().Sub(begin)
				if got > c.within {
					t.Errorf("mitigated after %v", got)
				}
				slowest := time.Duration(0)
				for _, v := range good {
					slowest = max(slowest, v.slowest)
				}
				t.Logf("visitors served %.4f (slowest %v), newcomers %.3f, mitigated after %v, flood reached %.4f; book: offered %d refused %d reached %d",
					share(good), slowest, share(late), got, reached, st.Attack.Offered, st.Attack.Refused, st.Attack.Reached)
				if share(late) < 0.8 {
					t.Errorf("only %.2f of what newcomers asked for was served", share(late))
				}
				s.run(54 * time.Second)
				if st = s.loop.Status(); s.count() != 0 || st.State != Calm || len(st.Attacks) != 1 || !s.calm() {
					t.Errorf("a minute later: %s, %d mitigations stand, %d attacks", st.State, s.count(), len(st.Attacks))
				}
			})
		})
	}
}

func TestFlashCrowd(t *testing.T) {
	for _, c := range []struct {
		name  string
		over  time.Duration // how fast they come
		rate  float64       // requests a second of each
		least float64       // share of their requests that is served
		found bool          // so fast that it cannot be taken for growth
	}{
		{"ten times the visitors in 30 s, at first more than the origin bears", 30 * time.Second, 2, 0.7, false},
		{"ten times the visitors in 30 s, reading calmly", 30 * time.Second, 1, 0.99, false},
		{"ten times the visitors in 4 s", 4 * time.Second, 2, 0.6, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, "")
				stop := s.start(t)
				defer stop()
				defer s.dump(t)
				s.clients = visitors(40, c.rate, 100)
				s.run(12 * time.Second)
				found := false
				for i := range 36 {
					s.clients = append(s.clients, visitors(10, c.rate, byte(101+i))...)
					s.run(c.over / 36)
					found = found || s.loop.Status().Crowd != nil
				}
				s.run(20 * time.Second)
				st := s.loop.Status()
				if st.Attack != nil || len(st.Attacks) != 0 {
					t.Errorf("a crowd is called an attack: %+v", st.Attack)
				}
				if c.found && !found {
					t.Error("the crowd went unnoticed")
				}
				if s.count() != 0 {
					t.Errorf("%d mitigations stand against a crowd", s.count())
				}
				if st.Window.Refused != 0 {
					t.Errorf("%d were refused in the last second", st.Window.Refused)
				}
				if got := share(s.clients); got < c.least {
					t.Errorf("%.3f served", got)
				}
				t.Logf("served %.3f", share(s.clients))
			})
		})
	}
}

// A flood that changes what it looks like is described anew.
func TestFloodThatChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, "")
		stop := s.start(t)
		defer stop()
		defer s.dump(t)
		good, flood := visitors(40, 2, 100), bots(2000, 2)
		s.clients = good
		s.run(12 * time.Second)
		s.clients = append(append([]*client{}, good...), flood...)
		for i := range 4 {
			for _, b := range flood {
				b.page, b.agent, b.order = pages[i], browsers[i], 0xc0+uint64(i)
			}
			s.run(5 * time.Second)
		}
		st := s.loop.Status()
		if st.Attack == nil || len(st.Attack.Signatures) < 4 {
			t.Errorf("%+v", st.Attack)
		}
		if got := share(good); got < 0.99 {
			t.Errorf("%.3f of the visitors' requests were served", got)
		}
	})
}

// A site for programs: no assets, no cookies, one path, everybody shy.
func TestSiteOfPrograms(t *testing.T) {
	program := func(n int, net byte, path, agent string, order uint64, rate float64) []*client {
		var out []*client
		for i := range n {
			out = append(out, &client{
				addr: netip.AddrFrom4([4]byte{192, net, byte(i >> 8), byte(i)}), page: path, kind: traffic.KindAPI,
				agent: agent, order: order, rate: rate, due: float64(i%100) / 100,
			})
		}
		return out
	}
	honest := func() []*client { return program(40, 1, "/api/latest", "reader/2.1", 0xb0, 2) }

	t.Run("more of the same is a crowd", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newSim(t, "")
			stop := s.start(t)
			defer stop()
			defer s.dump(t)
			s.clients = honest()
			s.run(15 * time.Second)
			s.clients = append(s.clients, program(400, 2, "/api/latest", "reader/2.1", 0xb0, 2)...)
			s.run(15 * time.Second)
			st := s.loop.Status()
			if st.Attack != nil || len(st.Attacks) > 0 || st.Window.Refused > 0 {
				t.Errorf("called an attack: %+v", st.Attack)
			}
		})
	})
	t.Run("something else is a flood", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newSim(t, "")
			stop := s.start(t)
			defer stop()
			defer s.dump(t)
			good := honest()
			s.clients = good
			s.run(15 * time.Second)
			s.clients = append(append([]*client{}, good...), program(2000, 2, "/api/search", "curl/8.5", 0xb7, 2)...)
			s.run(4 * time.Second)
			for _, c := range good {
				c.offered, c.served = 0, 0
			}
			s.run(8 * time.Second)
			if got := share(good); got < 0.97 {
				t.Errorf("%.3f of the honest programs' requests were served", got)
			}
			if st := s.loop.Status(); st.Attack == nil {
				t.Error("not called an attack")
			}
		})
	})
}

// A busy site on which Seawall is started for the first time is no attack, and
// becomes normal within seconds.
func TestFirstStartAtABusySite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, "")
		stop := s.start(t)
		defer stop()
		defer s.dump(t)
		s.clients = visitors(200, 2, 100)
		s.run(25 * time.Second)
		st := s.loop.Status()
		if len(st.Attacks) > 0 || st.Attack != nil || st.Window.Refused > 0 || s.count() > 0 {
			t.Errorf("%s, %d refused, %d mitigations", st.State, st.Window.Refused, s.count())
		}
		if st.Normal.Requests < 300 || st.Normal.Frozen {
			t.Errorf("normal is %+v", st.Normal.Requests)
		}
		if got := share(s.clients); got < 0.98 {
			t.Errorf("%.3f served", got)
		}
	})
}

// What is done survives a kill: the loop is left, not stopped, and another one
// opens the same folder. (The journal's own tests kill a real process.)
func TestRestartInTheMiddle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, dir)
		stop := s.start(t)
		good, flood := visitors(40, 2, 100), bots(2000, 2)
		s.clients = good
		s.run(12 * time.Second)
		s.clients = append(append([]*client{}, good...), flood...)
		s.run(8 * time.Second)
		before := s.loop.Mitigations()
		stop()

		n := newSim(t, dir)
		if got := n.loop.Status().Active; got != len(before) || got == 0 {
			t.Errorf("%d mitigations stood, %d after the restart", len(before), got)
		}
		stop = n.start(t)
		defer stop()
		defer n.dump(t)
		n.clients = s.clients
		n.step()
		n.step()
		if n.count() != len(before) {
			t.Errorf("%d applied after the restart, want %d", n.count(), len(before))
		}
		if n.calm() {
			t.Error("the door was not told that an attack runs")
		}
		for _, c := range good {
			c.offered, c.served = 0, 0
		}
		n.run(10 * time.Second)
		if got := share(good); got < 0.97 {
			t.Errorf("after the restart %.3f of the visitors' requests were served", got)
		}
		if _, _, ok := n.loop.Find(before[0].ID); !ok {
			t.Error("an earlier mitigation cannot be looked up")
		}
	})
	if p, err := ReadPast(dir); err != nil {
		t.Error(err)
	} else if _, _, ok := p.Find(1); !ok {
		t.Error("with no Seawall running, #1 cannot be looked up")
	}
}

func TestOrdersWhileItRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		events := s.loop.Subscribe(ctx)
		stop := s.start(t)
		good, flood := visitors(40, 2, 100), bots(2000, 2)
		s.clients = append(append([]*client{}, good...), flood...)
		s.run(6 * time.Second)
		if s.count() == 0 {
			t.Fatal("nothing is done about the flood")
		}
		r, err := s.loop.Order(decide.Order{Verb: decide.Undo, Since: time.Minute})
		if err != nil || len(r.Changed) == 0 || s.count() != 0 {
			t.Fatalf("undo: %v, %d stand", err, s.count())
		}
		s.run(5 * time.Second)
		if s.count() != 0 {
			t.Errorf("after undo the machine did it again: %v", s.loop.Mitigations())
		}
		if _, err := s.loop.Order(decide.Order{Verb: decide.Off}); err != nil || !s.isOff() || s.loop.Status().State != Off {
			t.Errorf("off: %v", err)
		}
		if _, err := s.loop.Order(decide.Order{Verb: decide.On}); err != nil || s.isOff() {
			t.Errorf("on: %v", err)
		}
		if _, err := s.loop.Order(decide.Order{Verb: decide.Lift, ID: 999}); !errors.Is(err, decide.ErrNotFound) {
			t.Errorf("lift: %v", err)
		}
		r, err = s.loop.Order(decide.Order{Verb: decide.Ban, Prefix: netip.MustParsePrefix("203.0.0.0/24"), For: time.Minute})
		if err != nil || s.count() != 1 {
			t.Errorf("ban: %v", err)
		}
		if m, active, ok := s.loop.Find(r.Changed[0].ID); !ok || !active || m.Action != mitigation.Refuse {
			t.Errorf("find: %v %v %v", m, active, ok)
		}
		cancel()
		n := 0
		for range events {
			n++
		}
		if n < 3 {
			t.Errorf("%d records were streamed", n)
		}
		stop()
		if _, err := s.loop.Order(decide.Order{Verb: decide.Off}); !errors.Is(err, ErrNotRunning) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// brokenDoor fails, detectors panic: the loop goes on.
type brokenDoor struct{ works atomic.Bool }

func (b *brokenDoor) Apply(mitigation.Mitigation) error {
	if !b.works.Load() {
		panic("no")
	}
	return nil
}
func (b *brokenDoor) Withdraw(mitigation.ID) error { return errors.New("no") }

type brokenDetector struct{ n int }

func (*brokenDetector) Name() string { return "broken" }
func (b *brokenDetector) Detect(*traffic.Window, *traffic.Normal) []attack.Finding {
	b.n++
	if b.n < 5 {
		panic("broken")
	}
	return nil
}

func TestGoesOnWithBrokenParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, "")
		door := &brokenDoor{}
		l, err := New(DefaultConfig(), Deps{Clock: s.clk, Log: s.loop.log, Applier: door, Detectors: []Detector{&brokenDetector{}}})
		if err != nil {
			t.Fatal(err)
		}
		_ = s.loop.Close()
		s.loop = l
		stop := s.start(t)
		defer stop()
		if _, err := l.Order(decide.Order{Verb: decide.Ban, Prefix: netip.MustParsePrefix("203.0.113.0/24")}); err != nil {
			t.Fatal(err)
		}
		s.run(6 * time.Second)
		st := l.Status()
		if st.Enforce.Failed == 0 || st.Enforce.Pending != 1 || len(st.Troubles) != 2 {
			t.Errorf("%+v, troubles %q", st.Enforce, st.Troubles)
		}
		door.works.Store(true)
		s.run(6 * time.Second)
		if st = l.Status(); st.Enforce.Pending != 0 || len(st.Troubles) != 1 {
			t.Errorf("%+v, troubles %q", st.Enforce, st.Troubles)
		}
	})
}

func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	a := newSim(t, dir)
	defer a.loop.Close()
	if _, err := New(DefaultConfig(), Deps{Clock: a.clk, Log: a.loop.log, Applier: a, DataDir: dir}); err == nil {
		t.Error("two loops use one folder")
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Error(l)
	}
	if l := (Config{}).Validate(); len(l) < 8 {
		t.Error(l)
	}
}
