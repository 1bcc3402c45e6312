package defense

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/baseline"
	"seawall/internal/defense/detect/cachebust"
	"seawall/internal/defense/detect/carpet"
	"seawall/internal/defense/detect/connflood"
	"seawall/internal/defense/detect/costly"
	"seawall/internal/defense/detect/handshakeflood"
	"seawall/internal/defense/detect/httpflood"
	"seawall/internal/defense/detect/login"
	"seawall/internal/defense/detect/packetflood"
	"seawall/internal/defense/detect/protocolabuse"
	"seawall/internal/defense/detect/pulse"
	"seawall/internal/defense/detect/reflection"
	"seawall/internal/defense/detect/scan"
	"seawall/internal/defense/detect/scrape"
	"seawall/internal/defense/detect/slowattack"
	"seawall/internal/defense/detect/synflood"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// What every detector keeps to, whatever it looks for. Each is held against what it is
// there to find, which begins after ordinary traffic that was learnt.

// stretch makes windows, one a second.
type stretch struct {
	at clock.Instant
	r  *rand.Rand
	n  int
}

func newStretch() *stretch {
	return &stretch{at: clock.Instant(time.Hour), r: rand.New(rand.NewPCG(1, 2))}
}

// window sums up samples, each of which stands for itself.
func (s *stretch) window(samples []traffic.Sample) *traffic.Window {
	s.at = s.at.Add(time.Second)
	s.n++
	w := &traffic.Window{At: s.at, Span: time.Second, Samples: samples, Offered: uint64(len(samples)), Admitted: uint64(len(samples)), Reasons: map[string]uint64{}}
	w.Links = traffic.Links{Counted: true, Opened: 12, Closed: 12, Unused: 1, Open: 60, Most: 8192, Clients: 10, Handshakes: traffic.Handshakes{Begun: 11, Made: 11, Unused: 1}}
	w.Links.Lagging[traffic.WaitShake] = 1
	sums := [traffic.Fields]map[string]uint64{}
	clients := map[netip.Addr]bool{}
	for i := range samples {
		v := &samples[i].Visit
		w.ByKind[v.Kind]++
		w.ByClearance[v.Clearance]++
		w.ByStanding[v.Standing]++
		clients[v.Client] = true
		for f := range traffic.Fields {
			if sums[f] == nil {
				sums[f] = map[string]uint64{}
			}
			sums[f][v.Key(f)]++
		}
		if o := &samples[i].Outcome; o.Reached {
			w.Origin.Asked++
			w.Origin.P50, w.Origin.P95 = 10*time.Millisecond, 12*time.Millisecond
		}
	}
	w.Clients = uint64(len(clients))
	for f := range sums {
		for k, c := range sums[f] {
			w.Top[f] = append(w.Top[f], traffic.Heavy{Key: k, Count: c})
		}
	}
	return w
}

func answered(v traffic.Visit, status int, took time.Duration) traffic.Sample {
	if v.Method == "" {
		v.Method = "GET"
	}
	v.Host = "campaign.example"
	return traffic.Sample{Visit: v, Outcome: traffic.Outcome{Status: status, Reached: true, OriginTime: took, Took: took}}
}

// ordinary is a second of a site's readers, who log in, search and make posters as well.
func (s *stretch) ordinary() (out []traffic.Sample) {
	for range 8 + s.r.IntN(5) {
		v := traffic.Visit{
			Client: netip.AddrFrom4([4]byte{84, 1, 0, byte(s.r.IntN(60))}), Path: fmt.Sprintf("/news/%d", s.r.IntN(12)), HeaderOrder: 7,
			UserAgent: "Mozilla/5.0 (X11) Firefox/140", Clearance: traffic.ClearanceProven, Standing: traffic.StandingGood,
		}
		if s.r.IntN(12) == 0 {
			v.Clearance, v.Standing = traffic.ClearanceNone, traffic.StandingNew
		}
		page, status, took := v, 200, 10*time.Millisecond
		switch s.r.IntN(40) {
		case 0:
			page.Method, page.Path, status = "POST", "/login", 302
			if s.r.IntN(4) == 0 {
				status = 401
			}
		case 1:
			page.Path, page.RawQuery, page.QueryShape = "/search", fmt.Sprint("q=", s.r.IntN(1000)), 9
		case 2:
			page.Path, took = "/poster", 500*time.Millisecond
		case 3:
			page.Path, status = "/gone", 404
		}
		out = append(out, answered(page, status, took))
		for i := range 2 {
			asset := v
			asset.Path, asset.Kind = fmt.Sprintf("/static/%d.css", i), traffic.KindAsset
			out = append(out, answered(asset, 200, time.Millisecond))
		}
	}
	return out
}

// bots are n requests of so many sources, browser-like, changed by each.
func (s *stretch) bots(n, sources int, each func(i int, v *traffic.Visit) (status int, took time.Duration)) (out []traffic.Sample) {
	for i := range n {
		v := traffic.Visit{
			Client: netip.AddrFrom4([4]byte{170, 1, byte(i % sources >> 8), byte(i % sources)}), Path: "/", HeaderOrder: 8, Standing: traffic.StandingShy,
			UserAgent: "Mozilla/5.0 (X11) Chrome/139",
		}
		status, took := each(s.n*1000+i, &v)
		out = append(out, answered(v, status, took))
	}
	return out
}

// subject is a detector with what it is there to find.
type subject struct {
	name   string
	vector attack.Vector
	make   func() Detector
	attack func(s *stretch) *traffic.Window // a second of it, with ordinary traffic
	within int                              // seconds, until it is found
	over   int                              // seconds of ordinary traffic, until it is over
}

// with makes a second of an attack of requests.
func with(attack func(s *stretch) []traffic.Sample) func(s *stretch) *traffic.Window {
	return func(s *stretch) *traffic.Window { return s.window(append(s.ordinary(), attack(s)...)) }
}

// packets makes a second of an attack of packets.
func packets(kind traffic.PacketKind, protocol uint8, port uint16) func(s *stretch) *traffic.Window {
	return func(s *stretch) *traffic.Window {
		w := s.window(s.ordinary())
		p := &w.Packets
		p.Filtered, p.Every, p.Kinds[kind] = true, 100, 50_000
		for i := range 500 {
			p.Samples = append(p.Samples, traffic.Packet{
				Source: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), Kind: kind, Protocol: protocol, Ports: true, SourcePort: port, DestPort: 443, Length: 60,
			})
		}
		return w
	}
}

// links makes a second of an attack on connections.
func links(change func(l *traffic.Links)) func(s *stretch) *traffic.Window {
	return func(s *stretch) *traffic.Window {
		w := s.window(s.ordinary())
		change(&w.Links)
		return w
	}
}

func subjects() []subject {
	return append(ofConnections(), []subject{
		{"httpflood", attack.HTTPFlood, func() Detector { return httpflood.New(httpflood.DefaultConfig()) }, with(func(s *stretch) []traffic.Sample {
			return s.bots(1500, 500, func(int, *traffic.Visit) (int, time.Duration) { return 200, 10 * time.Millisecond })
		}), 1, 12},
		{"cachebust", attack.CacheBusting, func() Detector { return cachebust.New(cachebust.DefaultConfig()) }, with(func(s *stretch) []traffic.Sample {
			return s.bots(60, 20, func(i int, v *traffic.Visit) (int, time.Duration) {
				v.Path, v.RawQuery, v.QueryShape = "/search", fmt.Sprint("q=x", i), 9
				return 200, 10 * time.Millisecond
			})
		}), 1, 12},
		{"costly", attack.CostlyRequests, func() Detector { return costly.New(costly.DefaultConfig()) }, with(func(s *stretch) []traffic.Sample {
			return s.bots(20, 10, func(_ int, v *traffic.Visit) (int, time.Duration) {
				v.Path = "/poster"
				return 200, 500 * time.Millisecond
			})
		}), 1, 12},
		{"login, a flood", attack.FormFlood, func() Detector { return login.New(login.DefaultConfig()) }, with(func(s *stretch) []traffic.Sample {
			return s.bots(30, 30, func(_ int, v *traffic.Visit) (int, time.Duration) {
				v.Method, v.Path = "POST", "/login"
				return 401, 10 * time.Millisecond
			})
		}), 1, 100},
		{"login, guessing", attack.PasswordGuessing, func() Detector { return login.New(login.DefaultConfig()) }, with(func(s *stretch) []traffic.Sample {
			return s.bots(1, 1, func(i int, v *traffic.Visit) (int, time.Duration) {
				v.Method, v.Path, v.Client = "POST", "/login", netip.AddrFrom4([4]byte{170, 1, 0, byte(s.n % 30)})
				return 401, 10 * time.Millisecond
			})
		}), 60, 160},
		{"scan", attack.Scanning, func() Detector { return scan.New(scan.DefaultConfig()) }, with(func(s *stretch) []traffic.Sample {
			return s.bots(3, 1, func(i int, v *traffic.Visit) (int, time.Duration) {
				v.Path = fmt.Sprintf("/x%d.php", i)
				return 404, time.Millisecond
			})
		}), 10, 100},
		{"scrape", attack.Scraping, func() Detector { return scrape.New(scrape.DefaultConfig()) }, with(func(s *stretch) []traffic.Sample {
			return s.bots(4, 1, func(i int, v *traffic.Visit) (int, time.Duration) {
				v.Path = fmt.Sprintf("/archive/%d", i)
				return 200, time.Millisecond
			})
		}), 20, 100},
		{"synflood", attack.SynFlood, func() Detector { return synflood.New(synflood.DefaultConfig()) }, packets(traffic.PacketSyn, 6, 40000), 1, 12},
		{"reflection", attack.Reflection, func() Detector { return reflection.New(reflection.DefaultConfig()) }, packets(traffic.PacketSynAck, 6, 443), 1, 12},
		{"packetflood", attack.PacketFlood, func() Detector { return packetflood.New(packetflood.DefaultConfig()) }, packets(traffic.PacketReset, 6, 40000), 1, 12},
		{"pulse", attack.PulseWave, func() Detector { return newPulsing() }, func(s *stretch) *traffic.Window {
			samples := s.ordinary()
			if s.n%4 < 2 {
				samples = append(samples, s.bots(1500, 500, func(int, *traffic.Visit) (int, time.Duration) { return 200, 10 * time.Millisecond })...)
			}
			return s.window(samples)
		}, 12, 40},
	}...)
}

func ofConnections() []subject {
	return []subject{
		{"connflood", attack.ConnectionFlood, func() Detector { return connflood.New(connflood.DefaultConfig()) }, links(func(l *traffic.Links) { l.Opened, l.Unused = 9000, 4000 }), 2, 30},
		{"handshakeflood", attack.HandshakeFlood, func() Detector { return handshakeflood.New(handshakeflood.DefaultConfig()) }, links(func(l *traffic.Links) {
			l.Opened, l.Handshakes = 4000, traffic.Handshakes{Begun: 4000, Made: 1000, Unused: 900}
		}), 2, 30},
		{"slowattack", attack.SlowAttack, func() Detector { return slowattack.New(slowattack.DefaultConfig()) }, links(func(l *traffic.Links) {
			l.Open, l.Lagging[traffic.WaitHead] = 3000, 2500
		}), 2, 30},
		{"protocolabuse", attack.ProtocolAbuse, func() Detector { return protocolabuse.New(protocolabuse.DefaultConfig()) }, links(func(l *traffic.Links) { l.Odd[traffic.OddResets] = 100 }), 2, 30},
		{"carpet", attack.CarpetBombing, func() Detector { return carpet.New(carpet.DefaultConfig()) }, with(func(s *stretch) []traffic.Sample {
			return s.bots(2000, 200, func(i int, v *traffic.Visit) (int, time.Duration) {
				v.Client = netip.AddrFrom4([4]byte{203, 0, 113, byte(i % 200)})
				return 200, 10 * time.Millisecond
			})
		}), 3, 30},
	}
}

// Whatever is found is among those that metrics list, and has a name for people.
func TestVectorsAreListed(t *testing.T) {
	for _, sub := range subjects() {
		if !slices.Contains(attack.Vectors(), sub.vector) {
			t.Errorf("%s is not listed", sub.vector)
		}
		if sub.vector.Title() == string(sub.vector) {
			t.Errorf("%s has no name", sub.vector)
		}
	}
	if n := len(attack.Vectors()); n != len(subjects())+1 { // and the crowd
		t.Errorf("of %d vectors %d are held to the contract", n, len(subjects()))
	}
}

// pulsing is the detector of pulses, with the one that finds the flood.
type pulsing struct {
	flood Detector
	pulse *pulse.Detector
}

func newPulsing() *pulsing {
	return &pulsing{httpflood.New(httpflood.DefaultConfig()), pulse.New(pulse.DefaultConfig())}
}

func (p *pulsing) Name() string { return "pulse" }
func (p *pulsing) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	return p.pulse.After(w, n, p.flood.Detect(w, n))
}

// learnt is a site after two minutes.
func learnt(s *stretch) *baseline.Baseline {
	b := baseline.New(baseline.DefaultConfig())
	for range 120 {
		b.Learn(s.window(s.ordinary()), false)
	}
	return b
}

func TestDetectorsKeepTheContract(t *testing.T) {
	for _, sub := range subjects() {
		t.Run(sub.name, func(t *testing.T) {
			t.Run("nothing to judge", func(t *testing.T) { judgesNothing(t, sub) })
			t.Run("ordinary", func(t *testing.T) { findsNothingOrdinary(t, sub) })
			t.Run("begins and ends", func(t *testing.T) { beginsAndEnds(t, sub) })
			t.Run("the same again", func(t *testing.T) { saysTheSame(t, sub) })
		})
	}
}

// No window, an empty one, one of no length and no normal are survived, and nothing is
// found in them.
func judgesNothing(t *testing.T, sub subject) {
	d, n := sub.make(), &traffic.Normal{}
	if d.Name() == "" {
		t.Error("it has no name")
	}
	s := newStretch()
	zero := sub.attack(s)
	zero.Span = 0
	for name, w := range map[string]*traffic.Window{"none": nil, "empty": {}, "quiet": {At: clock.Instant(time.Hour), Span: time.Second}, "of no length": zero} {
		for _, n := range []*traffic.Normal{nil, n} {
			if fs := d.Detect(w, n); len(fs) > 0 {
				t.Errorf("%s: %+v", name, fs)
			}
		}
	}
	for range 3 {
		d.Detect(sub.attack(s), nil)
	}
}

// Five minutes of what is normal raise nothing, with and without a normal.
func findsNothingOrdinary(t *testing.T, sub subject) {
	for _, known := range []bool{false, true} {
		s, d := newStretch(), sub.make()
		var n *traffic.Normal
		if known {
			n = learnt(s).Normal()
		}
		for i := range 300 {
			if fs := d.Detect(s.window(s.ordinary()), n); len(fs) > 0 {
				t.Fatalf("known %v, second %d: %+v", known, i, fs)
			}
		}
	}
}

// It is found in time, with what people and sign need to know, and over after calm.
func beginsAndEnds(t *testing.T, sub subject) {
	s, d := newStretch(), sub.make()
	n := learnt(s).Normal()
	begin := s.at
	var f *attack.Finding
	for i := 0; i < sub.within && f == nil; i++ {
		f = find(d.Detect(sub.attack(s), n), sub.vector)
	}
	if f == nil {
		t.Fatalf("it was not found within %d s", sub.within)
	}
	if f.Since < begin || f.Since > s.at || f.What == "" || len(f.Facts) == 0 || f.Confidence <= 0 || f.Confidence > 1 {
		t.Errorf("%+v", f)
	}
	for range 5 {
		d.Detect(sub.attack(s), n)
	}
	for i := range sub.over {
		fs := d.Detect(s.window(s.ordinary()), n)
		if find(fs, sub.vector) == nil {
			return
		}
		if i == sub.over-1 {
			t.Errorf("it is not over after %d s: %+v", sub.over, fs)
		}
	}
}

// Fed the same, it finds the same, byte for byte.
func saysTheSame(t *testing.T, sub subject) {
	var first string
	for i := range 3 {
		s, d := newStretch(), sub.make()
		n := learnt(s).Normal()
		var all []attack.Finding
		for range sub.within + 5 {
			all = append(all, d.Detect(sub.attack(s), n)...)
		}
		b, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = string(b)
		} else if string(b) != first {
			t.Fatalf("run %d says\n%s\nand the first said\n%s", i, b, first)
		}
	}
}

// BenchmarkDetectors tells what each takes for a window of 2,000 samples of a wide flood
// with new queries, in which each source comes once.
func BenchmarkDetectors(b *testing.B) {
	s := newStretch()
	n := learnt(s).Normal()
	w := s.window(append(s.ordinary(), s.bots(1960, 1960, func(i int, v *traffic.Visit) (int, time.Duration) {
		v.RawQuery, v.QueryShape = fmt.Sprint(i), 5
		return 200, 80 * time.Millisecond
	})...))
	for _, sub := range subjects() {
		b.Run(sub.name, func(b *testing.B) {
			b.ReportAllocs()
			d := sub.make()
			for b.Loop() {
				d.Detect(w, n)
			}
		})
	}
}
