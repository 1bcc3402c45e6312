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

// What is found and is no attack stands in the status while it is there, is told when it
// begins and ends, and has nothing done about it.
func TestScannersAreTold(t *testing.T) {
	clk := clock.NewStopped(time.Date(2019, 11, 12, 9, 0, 0, 0, time.UTC))
	var told []string
	l, err := New(DefaultConfig(), Deps{Clock: clk, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Applier: nothing{}, Tell: func(r Record) { told = append(told, r.Text) }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// second is one, with so many requests of a scanner.
	n := 0
	second := func(scans int) {
		for i := range 10 {
			if i < scans {
				n++
				v := traffic.Visit{At: clk.Now(), Client: netip.MustParseAddr("192.0.2.7"), Method: "GET", Host: "campaign.example", Path: "/" + strings.Repeat("x", n) + ".php"}
				l.Record(&v, mitigation.Verdict{}, traffic.Outcome{Status: 404, Reached: true, OriginTime: time.Millisecond, Took: time.Millisecond})
			}
			clk.Set(clk.Now().Add(glanceEvery))
			l.Step()
		}
	}
	second(0)
	if st := l.Status(); st.Findings == nil || len(st.Findings) > 0 || !l.Still() {
		t.Fatalf("in peace: %+v", st.Findings)
	}
	for range 12 {
		second(3)
	}
	st := l.Status()
	if len(st.Findings) != 1 || st.Findings[0].Vector != attack.Scanning || st.Findings[0].Since.IsZero() || l.Still() {
		t.Fatalf("%+v", st.Findings)
	}
	if st.State != Calm || st.Active != 0 || st.Attack != nil {
		t.Errorf("something is done about it: %s, %+v", st.State, st.Mitigations)
	}
	for range 100 {
		second(0)
	}
	if st := l.Status(); len(st.Findings) > 0 || !l.Still() {
		t.Errorf("it is still there: %+v", st.Findings)
	}
	all := strings.Join(told, "\n")
	if strings.Count(all, "Scanning: pages that are not there, asked for by one client: ") != 1 || strings.Count(all, "Nobody is refused for it.") != 1 || strings.Count(all, "Scanning is over.") != 1 {
		t.Errorf("told:\n%s", all)
	}
	if strings.Contains(all, "192.0.2.7") {
		t.Errorf("an address stands in a record, which outlives it:\n%s", all)
	}
}

// A flood of few requests for a page that keeps the origin busy is an attack, far below
// what a flood of requests is; visitors of other pages are not touched.
func TestFewCostlyRequestsAreAnAttack(t *testing.T) {
	clk := clock.NewStopped(time.Date(2019, 11, 12, 9, 0, 0, 0, time.UTC))
	door := &remembering{}
	l, err := New(DefaultConfig(), Deps{Clock: clk, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Applier: door})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	visit := func(v traffic.Visit, took time.Duration) {
		v.At, v.Method, v.Host, v.HeaderOrder = clk.Now(), "GET", "campaign.example", 7
		v.UserAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
		l.Record(&v, mitigation.Verdict{}, traffic.Outcome{Status: 200, Reached: true, OriginTime: took, Took: took})
	}
	asked := 0
	second := func(costly int) {
		for i := range 10 {
			for k := range 3 {
				reader := netip.AddrFrom4([4]byte{84, 0, byte(k), byte(i)})
				visit(traffic.Visit{Client: reader, Path: "/news", Clearance: traffic.ClearanceProven, Standing: traffic.StandingGood}, 10*time.Millisecond)
				if asked++; asked%60 == 0 { // some of them make a poster
					visit(traffic.Visit{Client: reader, Path: "/poster", Clearance: traffic.ClearanceProven, Standing: traffic.StandingGood}, 500*time.Millisecond)
				}
				visit(traffic.Visit{Client: reader, Path: "/news.css", Kind: traffic.KindAsset, Clearance: traffic.ClearanceProven, Standing: traffic.StandingGood}, time.Millisecond)
			}
			for k := range costly {
				visit(traffic.Visit{Client: netip.AddrFrom4([4]byte{170, 0, byte(k), byte(i)}), Path: "/poster"}, 500*time.Millisecond)
			}
			clk.Set(clk.Now().Add(glanceEvery))
			l.Step()
		}
	}
	for range 60 {
		second(0)
	}
	second(1)
	if st := l.Status(); st.Active == 0 {
		t.Errorf("nothing is done after a second: %+v", st.Findings)
	}
	second(1)
	st := l.Status()
	if st.Attack == nil || st.Attack.Vector != attack.CostlyRequests || st.State != UnderAttack {
		t.Fatalf("%s: %+v", st.State, st.Attack)
	}
	flood := traffic.Visit{Method: "GET", Path: "/poster", Client: netip.MustParseAddr("170.0.0.1"), HeaderOrder: 7, Host: "campaign.example", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
	first := flood
	first.Path, first.Client = "/news", netip.MustParseAddr("84.0.0.200")
	refused, touched := false, false
	for _, m := range door.stands {
		refused = refused || m.Action == mitigation.Refuse && m.Match.Hits(&flood)
		touched = touched || m.Match.Hits(&first)
	}
	if !refused || touched {
		t.Errorf("refused %v, somebody's first visit touched %v: %+v", refused, touched, door.stands)
	}
	for range 60 {
		second(0)
	}
	if st := l.Status(); st.Attack != nil || st.Active != 0 {
		t.Errorf("a minute later: %+v %+v", st.Attack, st.Mitigations)
	}
}

// remembering is an Applier that knows what stands.
type remembering struct {
	stands map[mitigation.ID]mitigation.Mitigation
}

func (r *remembering) Apply(m mitigation.Mitigation) error {
	if r.stands == nil {
		r.stands = map[mitigation.ID]mitigation.Mitigation{}
	}
	r.stands[m.ID] = m
	return nil
}

func (r *remembering) Withdraw(id mitigation.ID) error { delete(r.stands, id); return nil }
