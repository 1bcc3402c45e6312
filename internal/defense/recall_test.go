package defense

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/attack"
	"seawall/internal/match"
	"seawall/internal/traffic"
)

// The second pulse of a flood meets at once what refused the first.
func TestTheSecondPulseInTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, "")
		stop := s.start(t)
		defer stop()
		defer s.dump(t)
		recalled := func() bool {
			return slices.ContainsFunc(s.loop.Status().Records, func(r Record) bool { return strings.Contains(r.Text, "again, at once") })
		}
		good, flood := visitors(40, 2, 100), bots(200, 50)
		s.clients = good
		s.run(12 * time.Second)
		s.clients = append(append([]*client{}, good...), flood...)
		s.run(5 * time.Second)
		s.clients = good
		s.run(90 * time.Second)
		if st := s.loop.Status(); st.State != Calm || s.count() != 0 || recalled() {
			t.Fatalf("after the first: %s, %d mitigations stand, recalled %v", st.State, s.count(), recalled())
		}
		s.clients = append(append([]*client{}, good...), flood...)
		if s.run(200 * time.Millisecond); !recalled() {
			t.Error("not refused again within a glance")
		}
	})
}

// What is remembered is judged by all that is known of ordinary traffic, and whether a
// flood is held off by what is usual at the whole site.
func TestWhatDecideIsTold(t *testing.T) {
	s := newSim(t, "")
	defer s.loop.Close()
	m, err := match.Parse(`path == "/poster"`)
	if err != nil {
		t.Fatal(err)
	}
	n := &traffic.Normal{Requests: 80, Ordinary: make([]traffic.Sample, 500), OrdinaryWeek: make([]traffic.Sample, 500)}
	for i := range 50 {
		n.OrdinaryWeek[i].Visit.Path = "/poster"
	}
	flood := attack.Finding{Vector: attack.CostlyRequests, Rate: 40, Normal: 0.5, Part: attack.Part{Path: "/poster"}}
	in := s.loop.input(s.loop.moment(), []attack.Finding{flood}, &flood, &traffic.Window{Span: time.Second}, n)
	if got := in.Judge(attack.Signature{Match: m}); in.Usual != 80 || got.Collateral != 0.1 || got.CollateralHour != 0 {
		t.Errorf("usual %v, %+v", in.Usual, got)
	}
}
