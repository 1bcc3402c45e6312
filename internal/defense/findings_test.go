package defense

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// nobody applies mitigations, and counts them.
type nobody struct{ applied int }

func (n *nobody) Apply(mitigation.Mitigation) error { n.applied++; return nil }
func (n *nobody) Withdraw(mitigation.ID) error      { return nil }

// TestFindingsAreToldAndRefuseNobody: a flood of connections is found within two
// seconds, stands in the status, is recorded at its beginning, growth and end, leads
// to no mitigation and no stance, and nothing is learnt from it. Once it is over,
// nobody's address is kept.
func TestFindingsAreToldAndRefuseNobody(t *testing.T) {
	began := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	clk, applier := clock.NewStopped(began), &nobody{}
	var links traffic.Links
	cfg := DefaultConfig()
	cfg.Observe.Seed = 1
	loop, err := New(cfg, Deps{
		Clock: clk, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Applier: applier,
		Links: func() traffic.Links { return links },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer loop.Close()
	who := netip.MustParseAddr("203.0.113.9")
	seconds := func(n, opened, unused int) {
		for range n {
			for range 10 {
				links.Counted, links.Most = true, 8192
				links.Opened += uint64(opened / 10)
				links.Closed += uint64(opened / 10)
				links.Unused += uint64(unused / 10)
				for range unused / 10 {
					loop.Observer().Linked(who, "", traffic.LinkOpened)
				}
				clk.Set(clk.Now().Add(100 * time.Millisecond))
				loop.Step()
			}
		}
	}
	seconds(20, 20, 0)
	if st := loop.Status(); len(st.Findings) > 0 || st.Normal.Links.Opened.Usual < 19 || st.Normal.Links.Opened.Usual > 21 {
		t.Fatalf("found %+v, usual %+v", st.Findings, st.Normal.Links)
	}
	seconds(2, 500, 480)
	st := loop.Status()
	if len(st.Findings) != 1 || st.Findings[0].Vector != attack.ConnectionFlood || st.Findings[0].Ended != nil {
		t.Fatalf("found %+v", st.Findings)
	}
	f := st.Findings[0]
	if d := f.Noticed.Sub(began.Add(20 * time.Second)); d > 2*time.Second {
		t.Errorf("noticed after %v", d)
	}
	if top := f.Finding.Top; len(top) != 2 || top[0].Key != "203.0.113.0/24" || top[1].Key != "203.0.113.9/32" {
		t.Errorf("it is %+v", top)
	}
	seconds(3, 2000, 1900)
	seconds(15, 20, 0)
	st = loop.Status()
	if len(st.Findings) != 0 || len(st.FindingsEnded) != 1 || st.FindingsEnded[0].Ended == nil || st.FindingsEnded[0].Peak < 1900 {
		t.Fatalf("in the end %+v %+v", st.Findings, st.FindingsEnded)
	}
	for _, c := range st.FindingsEnded[0].Finding.Top {
		if strings.HasSuffix(c.Key, "/32") {
			t.Errorf("%s is kept", c.Key)
		}
	}
	if st.Active != 0 || applier.applied != 0 || st.State != Calm || loop.stance {
		t.Errorf("%d mitigations, %d applied, %s", st.Active, applier.applied, st.State)
	}
	if usual := st.Normal.Links; usual.Opened.Peak > 22 || usual.Unused.Peak > 1 {
		t.Errorf("it was learnt from: %+v", usual)
	}
	var told []string
	for _, r := range st.Records {
		if r.Step == "detect" {
			told = append(told, r.Text)
		}
	}
	if len(told) != 3 || !strings.HasPrefix(told[0], "A flood of connections: connections that ask for nothing, 500 connections a second, where 20 are usual.") ||
		!strings.HasPrefix(told[1], "A flood of connections has grown to ") || !strings.HasPrefix(told[2], "A flood of connections is over: ") {
		t.Errorf("told: %s", strings.Join(told, "\n"))
	}
}

// What goes on for long keeps nobody's address for more than an hour.
func TestLongFindingsForgetClients(t *testing.T) {
	clk := clock.NewStopped(time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC))
	l, err := New(DefaultConfig(), Deps{Clock: clk, Log: slog.New(slog.DiscardHandler), Applier: &nobody{}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := attack.Finding{Vector: attack.Scanning, Since: clk.Now(), Rate: 3, What: "pages that are not there", Top: []attack.Contributor{
		{Field: traffic.FieldClient, Key: "192.0.2.7/32", Share: 1}, {Field: traffic.FieldPath, Key: "/x", Share: 1},
	}}
	for minute := range 120 {
		l.followFindings(l.moment(), []attack.Finding{f}, nil)
		got := l.found.current[0].Finding.Top
		if kept := len(got) == 2; kept != (minute <= 50) || got[len(got)-1].Key != "/x" {
			t.Fatalf("after %d minutes: %+v", minute, got)
		}
		f.Rate = 1
		clk.Set(clk.Now().Add(time.Minute))
	}
}

// Of an attack on connections nothing is learnt of connections, and all the rest is: whoever
// annoys a site for weeks keeps it from knowing itself otherwise.
func TestWhatIsLearntBesides(t *testing.T) {
	now := decide.Moment{Wall: time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)}
	w := &traffic.Window{Offered: 100}
	w.Links.Counted, w.Packets.Filtered = true, true
	for _, c := range []struct {
		vector         attack.Vector
		ago            time.Duration
		links, packets bool // are learnt
		nothing        bool
	}{
		{attack.Scanning, time.Minute, true, true, false},
		{attack.SlowAttack, time.Minute, false, true, false},
		{attack.CarpetBombing, time.Minute, false, false, true},
		{attack.CarpetBombing, crowdStays, false, false, false},
	} {
		b := foundBook{current: []*Found{{Vector: c.vector, Noticed: now.Wall.Add(-c.ago)}}}
		got, nothing := b.learnable(now, w)
		if got.Links.Counted != c.links || got.Packets.Filtered != c.packets || nothing != c.nothing || got.Offered != 100 {
			t.Errorf("%s for %v: %v %v, nothing %v", c.vector, c.ago, got.Links.Counted, got.Packets.Filtered, nothing)
		}
	}
	if !w.Links.Counted || !w.Packets.Filtered {
		t.Error("the window itself was changed")
	}
}

// An attack that was of a part at first and is of all requests now is called so, and held
// against what is usual of those.
func TestAttackWidens(t *testing.T) {
	var l ledger
	n, at := &traffic.Normal{}, time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	w := &traffic.Window{Span: time.Second, Offered: 5000}
	step := func(f attack.Finding) {
		at = at.Add(time.Second)
		l.follow(at, at, w, n, &f, nil)
	}
	part := attack.Finding{Vector: attack.CostlyRequests, Rate: 10, Normal: 0.2, Part: attack.Part{Path: "/poster"}}
	step(part)
	step(attack.Finding{Vector: attack.HTTPFlood, Rate: 5000, Normal: 40})
	if a := l.current; a.Vector != attack.HTTPFlood || a.Now != attack.HTTPFlood || a.Normal != 40 || a.Peak != 5000 {
		t.Errorf("%+v", a)
	}
	step(part)
	if a := l.current; a.Vector != attack.HTTPFlood || a.Now != attack.CostlyRequests || a.Peak != 5000 || a.Normal != 40 {
		t.Errorf("in the end: %+v", a)
	}
}
