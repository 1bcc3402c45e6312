package cachebust

import (
	"math/bits"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/sketch"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	youth    = 5 * time.Second // of learning, until something is known of the site
	young    = 3               // times as much is asked for until then
	leastNew = 0.7             // share of the requests with a query whose query came once
	strange  = 0.8             // share of those from clients that do nothing that browsers do
	onePath  = 0.7             // share of those at one path, for it to be named
	leastN   = 10              // samples, for shares to say anything
	goesOn   = 0.5             // of what begins it, for a flood to go on
)

// Detector finds cache busting. It remembers what it said of the windows before. Make
// it with New.
type Detector struct {
	cfg   Config
	spell spell.Spell
	path  string // where it is, while it runs
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "cachebust" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 {
		return nil
	}
	if n == nil {
		n = &traffic.Normal{}
	}
	floor := d.cfg.Floor
	if n.Learned < youth {
		floor *= young
	}
	if !d.spell.On() && w.Steady(w.Offered)*float64(asking(w))/float64(max(len(w.Samples), 1)) <= floor {
		return nil // too few for a flood, whoever asks
	}
	return d.judge(w, n, floor)
}

// judge looks at queries one by one. Nothing at or below floor begins a flood.
func (d *Detector) judge(w *traffic.Window, n *traffic.Normal, floor float64) []attack.Finding {
	s := see(w)
	shaped := s.n >= leastN && s.once >= leastNew*float64(s.n) && s.strange >= strange*s.once
	usual := 0.0
	if shaped || d.spell.On() { // else it is no matter
		usual = usualOf(n, s.path)
	}
	least := max(floor, d.cfg.Times*usual)
	if !d.spell.Step(w.At, w.Span, shaped && s.rate > least, shaped && s.rate > goesOn*least, d.cfg.EndAfter) {
		return nil
	}
	if shaped {
		d.path = s.path
	} else {
		s.path = d.path
	}
	f := attack.Finding{
		Vector: attack.CacheBusting, Since: d.spell.Since(), Rate: s.rate, Normal: usual, Suffering: w.Suffers(n),
		Confidence: 0.8, Part: attack.Part{Path: s.path, Query: true},
		Facts: []attack.Fact{
			{Name: "requests with a query that came once", Value: s.rate, Usual: usual, Unit: "/s"},
			{Name: "of the requests with a query, those whose query came once", Value: s.once / max(float64(s.n), 1), Unit: "share"},
			{Name: "of those, from clients that do nothing that browsers do", Value: s.strange / max(s.once, 1), Unit: "share"},
		},
	}
	f.What = "ever new queries" + f.Part.Where() + ", which no cache has"
	if s.path != "" {
		f.Top = []attack.Contributor{{Field: traffic.FieldPath, Key: s.path, Share: s.rate / max(w.Rate(w.Offered), 1)}}
	}
	return []attack.Finding{f}
}

// seen is what the samples of a window show.
type seen struct {
	path    string  // where most new queries are, "" for many paths
	n       int     // samples with a query, at the path
	once    float64 // of those, whose query came once
	strange float64 // of those, from strangers
	rate    float64 // of those that came once from strangers, in requests a second
}

// asks says that a request has a query, for something that is there: what a scanner
// looks for is not.
func asks(s *traffic.Sample) bool {
	if s.Visit.RawQuery == "" {
		return false
	}
	switch s.Outcome.Status {
	case 400, 404, 405, 410:
		return s.Refused
	}
	return true
}

// asking is how many samples have a query.
func asking(w *traffic.Window) (n int) {
	for i := range w.Samples {
		if asks(&w.Samples[i]) {
			n++
		}
	}
	return n
}

func see(w *traffic.Window) seen {
	// Queries by a hash of them and their path: two that share one are hardly ever there,
	// and then count as one that came twice.
	hashes, counts, asked := make([]uint64, len(w.Samples)), map[uint64]int32{}, 0
	for i := range w.Samples {
		if s := &w.Samples[i]; asks(s) {
			hashes[i] = sketch.Hash(s.Visit.RawQuery) ^ bits.RotateLeft64(sketch.Hash(s.Visit.Path), 17)
			counts[hashes[i]]++
			asked++
		}
	}
	if asked < leastN {
		return seen{}
	}
	once := func(i int) bool { return counts[hashes[i]] == 1 }
	byPath, all := map[string]int{}, 0
	for i := range w.Samples {
		if s := &w.Samples[i]; asks(s) && once(i) {
			byPath[s.Visit.Path]++
			all++
		}
	}
	var s seen
	for path, c := range byPath {
		if float64(c) >= onePath*float64(all) { // more than half: there is one at most
			s.path = path
		}
	}
	visitors := w.Visitors(s.path)
	for i := range w.Samples {
		v := &w.Samples[i].Visit
		if !asks(&w.Samples[i]) || s.path != "" && v.Path != s.path {
			continue
		}
		s.n++
		if !once(i) {
			continue
		}
		s.once++
		if !visitors.Like(v) {
			s.strange++
		}
	}
	s.rate = w.Steady(w.Offered) * s.strange / float64(len(w.Samples))
	return s
}

// usualOf is the usual peak of requests with a query at the path, a second. Queries of
// old samples are forgotten, so each counts as a new one.
func usualOf(n *traffic.Normal, path string) float64 {
	with := 0
	for i := range n.Ordinary {
		v := &n.Ordinary[i].Visit
		if (v.QueryShape != 0 || v.RawQuery != "") && (path == "" || v.Path == path) {
			with++
		}
	}
	if with == 0 {
		return 0
	}
	return n.Peak * float64(with) / float64(len(n.Ordinary))
}
