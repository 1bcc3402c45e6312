package defense

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
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
