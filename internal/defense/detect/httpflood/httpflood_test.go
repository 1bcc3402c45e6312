package httpflood

import (
	"fmt"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// site is a campaign site in ordinary times: 80 requests a second of browsers.
func site() *traffic.Normal {
	n := &traffic.Normal{
		Learned: time.Minute, Requests: 80, Peak: 100, Clients: 40, PerClient: 2.5,
		OriginP50: 10 * time.Millisecond, OriginP95: 14 * time.Millisecond,
		AssetShare: 0.6, ClearanceShare: 0.95,
	}
	n.Share[traffic.FieldPath] = map[string]float64{"/": 0.12, "/news": 0.1, "/app.css": 0.3}
	n.Share[traffic.FieldKind] = map[string]float64{"page": 0.4, "asset": 0.6}
	n.Share[traffic.FieldUserAgent] = map[string]float64{"Firefox": 0.5, "Chrome": 0.5}
	n.Share[traffic.FieldHeaderOrder] = map[string]float64{"aa": 0.6, "bb": 0.4}
	n.Share[traffic.FieldQueryShape] = map[string]float64{"": 0.95}
	n.Share[traffic.FieldStanding] = map[string]float64{"good": 0.9, "new": 0.1}
	return n
}

// apiSite has no assets and no cookies: programs that poll.
func apiSite() *traffic.Normal {
	n := site()
	n.AssetShare, n.ClearanceShare = 0, 0
	n.Share[traffic.FieldPath] = map[string]float64{"/api/latest": 0.7, "/api/item": 0.3}
	n.Share[traffic.FieldUserAgent] = map[string]float64{"poller": 0.6, "app": 0.4}
	n.Share[traffic.FieldStanding] = map[string]float64{"new": 0.5, "shy": 0.5}
	return n
}

// part is one group of requests within a window.
type part struct {
	n         uint64
	clients   uint64
	kind      traffic.Kind
	clearance traffic.Clearance
	standing  traffic.Standing
	path      string
	agent     string
	order     string
}

type maker struct{ at clock.Instant }

func (m *maker) window(parts ...part) *traffic.Window {
	m.at = m.at.Add(time.Second)
	w := &traffic.Window{At: m.at, Span: time.Second, Reasons: map[string]uint64{}}
	sums := [traffic.Fields]map[string]uint64{}
	for f := range sums {
		sums[f] = map[string]uint64{}
	}
	for i, p := range parts {
		w.Offered += p.n
		w.Clients += p.clients
		w.ByKind[p.kind] += p.n
		w.ByClearance[p.clearance] += p.n
		w.ByStanding[p.standing] += p.n
		sums[traffic.FieldPath][p.path] += p.n
		sums[traffic.FieldUserAgent][p.agent] += p.n
		sums[traffic.FieldHeaderOrder][p.order] += p.n
		sums[traffic.FieldQueryShape][""] += p.n
		sums[traffic.FieldHost]["campaign.example"] += p.n
		for c := range min(p.clients, 20) {
			sums[traffic.FieldClient][fmt.Sprintf("%d-%d", i, c)] = p.n / p.clients
		}
	}
	w.Admitted = w.Offered
	for f := range sums {
		for k, c := range sums[f] {
			w.Top[f] = append(w.Top[f], traffic.Heavy{Key: k, Count: c})
		}
	}
	w.Origin = traffic.Origin{Asked: min(w.Offered, 500), Limit: 5, P50: 10 * time.Millisecond, P95: 14 * time.Millisecond}
	return w
}

func visitors(n uint64) []part {
	return []part{
		{n: n * 12 / 100, clients: n / 2, kind: traffic.KindPage, clearance: traffic.ClearanceProven, standing: traffic.StandingGood, path: "/", agent: "Firefox", order: "aa"},
		{n: n * 23 / 100, kind: traffic.KindPage, clearance: traffic.ClearanceProven, standing: traffic.StandingGood, path: "/news", agent: "Chrome", order: "bb"},
		{n: n * 5 / 100, kind: traffic.KindPage, standing: traffic.StandingNew, path: "/", agent: "Chrome", order: "bb"},
		{n: n * 60 / 100, kind: traffic.KindAsset, clearance: traffic.ClearanceProven, standing: traffic.StandingGood, path: "/app.css", agent: "Firefox", order: "aa"},
	}
}

func flood(n, clients uint64, s traffic.Standing) part {
	return part{n: n, clients: clients, kind: traffic.KindPage, standing: s, path: "/", agent: "Firefox", order: "aa"}
}

func vectors(fs []attack.Finding) string {
	if len(fs) == 0 {
		return ""
	}
	return string(fs[0].Vector)
}

func TestSinglePictures(t *testing.T) {
	crowd := func(n uint64) []part {
		ps := visitors(n)
		ps[2].n *= 3 // many first visits
		return ps
	}
	hurt := func(w *traffic.Window) {
		w.Origin.P95, w.Origin.Shed, w.Origin.Waiting = time.Second, 200, 40
	}
	api := func(n, clients uint64, path, agent string) part {
		return part{n: n, clients: clients, kind: traffic.KindAPI, path: path, agent: agent, order: "aa"}
	}
	cases := []struct {
		name   string
		normal *traffic.Normal
		parts  []part
		change func(*traffic.Window)
		first  string // after the first window
		second string // after a second like it
	}{
		{"quiet", site(), visitors(80), nil, "", ""},
		{"busy", site(), visitors(250), nil, "", ""},
		{"few and heavy (A)", site(), append(visitors(80), flood(10000, 200, traffic.StandingShy)), hurt, "http-flood", "http-flood"},
		{"wide and low (B), all new", site(), append(visitors(80), flood(4000, 2000, traffic.StandingNew)), nil, "http-flood", "http-flood"},
		{"wide and low (B), origin hurt", site(), append(visitors(80), flood(4000, 2000, traffic.StandingNew)), hurt, "http-flood", "http-flood"},
		{"flash crowd", site(), crowd(800), nil, "flash-crowd", "flash-crowd"},
		{"flash crowd, origin hurt", site(), crowd(2000), hurt, "flash-crowd", "flash-crowd"},
		{"a flood hidden in a crowd", site(), append(crowd(800), flood(4000, 2000, traffic.StandingShy)), hurt, "http-flood", "http-flood"},
		{"five clients of 50/s, origin hurt", site(), append(visitors(80), flood(250, 5, traffic.StandingGreedy)), hurt, "http-flood", "http-flood"},
		{"three clients of 50/s below 3x, origin hurt", site(), append(visitors(80), flood(150, 3, traffic.StandingGreedy)), hurt, "http-flood", "http-flood"},
		{"three clients of 50/s, origin well", site(), append(visitors(80), flood(150, 3, traffic.StandingGreedy)), nil, "", ""},
		{"api: ten times the same polling", apiSite(), []part{api(560, 400, "/api/latest", "poller"), api(240, 200, "/api/item", "app")}, nil, "flash-crowd", "flash-crowd"},
		{"api: polling that hurts", apiSite(), []part{api(560, 400, "/api/latest", "poller"), api(240, 200, "/api/item", "app")}, hurt, "flash-crowd", "flash-crowd"},
		{"api: one strange program on one path that hurts", apiSite(), []part{api(80, 40, "/api/latest", "poller"), api(4000, 2000, "/api/search", "x")}, hurt, "http-flood", "http-flood"},
		{"assets without pages", site(), append(visitors(80), part{n: 4000, clients: 2000, kind: traffic.KindAsset, path: "/app.css", agent: "Firefox", order: "aa"}), hurt, "http-flood", "http-flood"},
		{"nothing known yet, page flood that hurts", nil, []part{flood(4000, 2000, traffic.StandingNew)}, hurt, "http-flood", "http-flood"},
		{"nothing known yet, visitors", nil, visitors(800), nil, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
			for i, want := range []string{c.first, c.second} {
				w := m.window(c.parts...)
				if c.change != nil {
					c.change(w)
				}
				fs := d.Detect(w, c.normal)
				if got := vectors(fs); got != want {
					n := c.normal
					if n == nil {
						n = &traffic.Normal{}
					}
					t.Errorf("window %d: %q, want %q (score %.2f, facts %v)", i+1, got, want, shapeOf(w, n).score, shapeOf(w, n).facts)
				}
				if len(fs) > 0 && (fs[0].Confidence <= 0 || fs[0].Confidence > 0.99 || len(fs[0].Facts) == 0) {
					t.Errorf("finding %+v", fs[0])
				}
			}
		})
	}
}

// An unclear shape waits for a second window; the end waits for ten calm ones.
func TestBeginsAndEnds(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	n := apiSite()
	strange := part{n: 400, clients: 30, kind: traffic.KindAPI, standing: traffic.StandingGreedy, path: "/api/search", agent: "x", order: "aa"}
	calm := part{n: 80, clients: 40, kind: traffic.KindAPI, path: "/api/latest", agent: "poller", order: "aa"}
	if fs := d.Detect(m.window(calm, strange), n); len(fs) != 0 && shapeOf(m.window(calm, strange), n).score < scorePlain {
		t.Fatalf("first window: %v", fs)
	}
	fs := d.Detect(m.window(calm, strange), n)
	if vectors(fs) != "http-flood" {
		t.Fatalf("second window: %v", fs)
	}
	for i := range 9 {
		if fs = d.Detect(m.window(calm), n); vectors(fs) != "http-flood" {
			t.Fatalf("calm window %d: %v", i+1, fs)
		}
	}
	if fs = d.Detect(m.window(calm), n); fs != nil {
		t.Fatalf("after ten calm windows: %v", fs)
	}
}

// While what we refuse still comes, the flood is not over, though nothing of
// it shows in what is let in.
func TestRefusedFloodGoesOn(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	n := site()
	d.Detect(m.window(append(visitors(80), flood(4000, 2000, traffic.StandingShy))...), n)
	for i := range 30 {
		w := m.window(append(visitors(80), flood(60, 50, traffic.StandingShy))...)
		w.Reasons["mitigation"] = 60
		if fs := d.Detect(w, n); vectors(fs) != "http-flood" {
			t.Fatalf("window %d: %v", i+1, fs)
		}
	}
}

// A flood that grows by a twentieth each second is found before it is 5x.
// Visitors whom a mitigation slows are no flood turned away.
func TestSlowedVisitorsAreNoFlood(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	if fs := d.Detect(m.window(append(visitors(80), flood(4000, 2000, traffic.StandingShy))...), site()); vectors(fs) != "http-flood" {
		t.Fatalf("%q", vectors(fs))
	}
	seconds := 0
	for ; seconds < 60; seconds++ {
		w := m.window(visitors(80)...)
		w.Reasons["mitigation"], w.Slowed = w.Offered, w.Offered
		if len(d.Detect(w, site())) == 0 {
			break
		}
	}
	if seconds > 11 {
		t.Errorf("the flood was over after %d s", seconds)
	}
}

// A backlog that is answered after the origin was slow is no crowd.
func TestBacklogIsNoCrowd(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	slow := m.window(visitors(10)...)
	slow.Origin.Waiting = 600
	d.Detect(slow, site())
	if fs := d.Detect(m.window(visitors(600)...), site()); len(fs) != 0 {
		t.Errorf("%+v", fs[0])
	}
}

// Ten quiet seconds teach seven (see baseline): that has to be enough to tell a
// crowd from a flood.
func TestTenQuietSecondsAreEnough(t *testing.T) {
	n := site()
	n.Learned = 7 * time.Second
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	if fs := d.Detect(m.window(visitors(800)...), n); vectors(fs) != "flash-crowd" {
		t.Errorf("a crowd: %q", vectors(fs))
	}
	d = New(DefaultConfig())
	if fs := d.Detect(m.window(append(visitors(80), flood(4000, 2000, traffic.StandingNew))...), n); vectors(fs) != "http-flood" {
		t.Errorf("a flood: %q", vectors(fs))
	}
}

// What the last whole second showed, and was not called a flood, is none at a
// glance: under a crowd, those who are sent away look like no people.
func TestBlatantIsNews(t *testing.T) {
	m := &maker{at: clock.Instant(time.Hour)}
	glance := m.window(flood(200, 100, traffic.StandingNew)) // pages alone, 2,000 a second
	glance.Span = 100 * time.Millisecond
	d := New(DefaultConfig())
	if f, ok := d.Blatant(glance, site()); !ok || f.Vector != attack.HTTPFlood {
		t.Errorf("out of the blue: %v %q", ok, f.Vector)
	}
	d.Detect(m.window(visitors(1000)...), site())
	if f, ok := d.Blatant(glance, site()); ok {
		t.Errorf("after a second of half as many: %q", f.Vector)
	}
	d.Detect(m.window(visitors(500)...), site())
	if f, ok := d.Blatant(glance, site()); !ok || f.Vector != attack.HTTPFlood {
		t.Errorf("after a second of a quarter: %v %q", ok, f.Vector)
	}
}

func TestSlowGrowth(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	size := 10.0
	for range 120 {
		fs := d.Detect(m.window(append(visitors(80), flood(uint64(size), 200, traffic.StandingShy))...), site())
		if vectors(fs) == "http-flood" {
			if size > 5*80 {
				t.Errorf("found at %.0f requests a second", size)
			}
			return
		}
		size *= 1.05
	}
	t.Error("never found")
}

// The crowd of the demo: ten times the visitors within 30 s.
func TestCrowdRampIsNeverAFlood(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	for i := range 60 {
		size := uint64(80 + 720*min(i, 30)/30)
		ps := visitors(size)
		ps[2].n *= 4
		w := m.window(ps...)
		if size > 500 {
			w.Origin.P95, w.Origin.Shed, w.Origin.Waiting = time.Second, 100, 100
		}
		for _, f := range d.Detect(w, site()) {
			if f.Vector == attack.HTTPFlood {
				t.Fatalf("second %d: %+v", i, f)
			}
		}
	}
}

func TestBlatant(t *testing.T) {
	glance := func(ps ...part) *traffic.Window {
		m := &maker{at: clock.Instant(time.Hour)}
		w := m.window(ps...)
		w.Span, w.Top = 100*time.Millisecond, [traffic.Fields][]traffic.Heavy{}
		return w
	}
	tenth := func(n uint64) part { return flood(n/10, 1, traffic.StandingNew) }
	refused := glance(tenth(10000))
	refused.Admitted, refused.Refused = 8, 992
	line := glance(append(visitors(20), tenth(350))...)
	line.Origin.Waiting = 30
	young := site()
	young.Learned = 0
	// A visitor loads a page in the same moment as a refused flood of 8,000/s
	// goes on: some 200/s are let in.
	page := glance(append(visitors(20), tenth(40))...)
	page.Offered, page.Refused = 820, 800
	full := func(w *traffic.Window) *traffic.Window { w.Origin.Waiting = 30; return w }
	for _, c := range []struct {
		name string
		w    *traffic.Window
		n    *traffic.Normal
		want attack.Vector
	}{
		{"A", glance(tenth(10000)), site(), attack.HTTPFlood},
		{"B with visitors", glance(append(visitors(20), tenth(4000))...), site(), attack.HTTPFlood},
		{"quiet", glance(visitors(20)...), site(), ""},
		{"crowd", glance(visitors(200)...), site(), ""},
		{"flood that is refused already", refused, site(), ""},
		{"flood that is refused already, and a page", page, site(), ""},
		{"the line fills with newcomers", line, site(), attack.HTTPFlood},
		{"unknown site", glance(tenth(10000)), nil, attack.HTTPFlood},
		{"young site", glance(tenth(10000)), young, attack.HTTPFlood},
		{"young site, a flood that fills the line", full(glance(tenth(1000))), young, attack.HTTPFlood},
		{"young site, many pages at once", glance(tenth(1000)), young, ""},
		{"young site, visitors fill the line", full(glance(visitors(100)...)), young, attack.FlashCrowd},
		{"crowd that fills the line", full(glance(visitors(200)...)), site(), attack.FlashCrowd},
		{"too little to say", glance(tenth(100)), site(), ""},
	} {
		f, got := New(DefaultConfig()).Blatant(c.w, c.n)
		if got != (c.want != "") || f.Vector != c.want {
			t.Errorf("%s: %v %q, want %q", c.name, got, f.Vector, c.want)
		}
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Error(l)
	}
	if l := (Config{}).Validate(); len(l) < 3 {
		t.Errorf("an empty configuration has only %d problems: %v", len(l), l)
	}
}

func BenchmarkDetect(b *testing.B) {
	b.ReportAllocs()
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	w := m.window(append(visitors(80), flood(10000, 200, traffic.StandingShy))...)
	n := site()
	for b.Loop() {
		d.Detect(w, n)
	}
}

// While the block list stops what would come back, the flood is not over,
// though no request of it is seen; what is stopped in peace, too, is no flood.
func TestHeldOffByTheKernel(t *testing.T) {
	for _, c := range []struct {
		name           string
		before, during uint64 // packets a second that the block list stops
		on             bool
	}{
		{"the flood waits", 0, 60, true},
		{"few packets wait", 0, blockedFloor, true},
		{"nothing waits", 0, 0, false},
		{"next to nothing", 0, blockedFloor - 1, false},
		{"as much as in peace", 100, 120, false},
		{"much more than in peace", 100, 1000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, m, n := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}, site()
			window := func(stopped uint64, parts ...part) *traffic.Window {
				w := m.window(parts...)
				w.Packets = traffic.Packets{Filtered: true, Reasons: map[string]traffic.Counted{"blocked": {Packets: stopped}}}
				return w
			}
			for range 10 * blockedMemory {
				if fs := d.Detect(window(c.before, visitors(80)...), n); len(fs) > 0 {
					t.Fatalf("in peace: %v", fs)
				}
			}
			d.Detect(window(c.before, append(visitors(80), flood(4000, 2000, traffic.StandingShy))...), n)
			for range 300 {
				d.Detect(window(c.during, visitors(80)...), n)
			}
			if fs := d.Detect(window(c.during, visitors(80)...), n); (vectors(fs) == "http-flood") != c.on {
				t.Fatalf("five minutes later: %q", vectors(fs))
			}
			for i := range 10 {
				if fs := d.Detect(window(c.before, visitors(80)...), n); i == 9 && len(fs) > 0 {
					t.Errorf("ten seconds after its end: %v", fs)
				}
			}
		})
	}
}
