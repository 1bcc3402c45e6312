package login

import (
	"fmt"
	"strings"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	youth   = 5 * time.Second // of learning, until something is known of the site
	young   = 3               // times as much is asked for until then
	strange = 0.8             // share of the POSTs from clients that do nothing that browsers do
	failing = 0.8             // share of the attempts that fail
	leastN  = 8               // samples, for shares to say anything
	goesOn  = 0.5             // of what begins it, for a flood to go on
)

// Detector finds floods of forms and guessed passwords. It remembers what it said of
// the windows before, and who failed within the minute. Make it with New.
type Detector struct {
	cfg   Config
	spell spell.Spell
	path  string // that is flooded, while one is
	guess guesses
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg, guess: newGuesses()} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "login" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 {
		return nil
	}
	if n == nil {
		n = &traffic.Normal{}
	}
	var out []attack.Finding
	if f, ok := d.flood(w, n); ok {
		out = append(out, f)
	}
	if f, ok := d.guess.step(&d.cfg, w, n); ok && len(out) == 0 {
		out = append(out, f) // what is a flood need not be told twice
	}
	return out
}

// form says whether a visit sends one, or a password.
func form(v *traffic.Visit) bool {
	return v.Method == "POST" && (v.Kind == traffic.KindPage || traffic.LoginPath(v.Path))
}

// flood judges the page that most forms go to.
func (d *Detector) flood(w *traffic.Window, n *traffic.Normal) (attack.Finding, bool) {
	path := d.path
	if !d.spell.On() {
		path = busiest(w)
	}
	var visitors traffic.Visitors // of most windows nobody sends a form
	sent, odd, fails := 0, 0, 0
	for i := range w.Samples {
		s := &w.Samples[i]
		if !form(&s.Visit) || s.Visit.Path != path {
			continue
		}
		if sent++; sent == 1 {
			visitors = w.Visitors(path)
		}
		if !visitors.Like(&s.Visit) {
			odd++
		}
		if s.Refused || failed(s) == sure {
			fails++
		}
	}
	stands := w.Steady(w.Offered) / float64(max(len(w.Samples), 1))
	rate := stands * float64(sent)
	usual := 0.0
	if sent > 0 || d.spell.On() { // else it is no matter
		usual = n.Peak * usually(n, path)
	}
	floor := d.cfg.Floor
	known := n.Learned >= youth && n.Tells()
	if !known {
		floor *= young
	}
	least := max(floor, d.cfg.Times*usual)
	share := func(k int) float64 { return float64(k) / float64(max(sent, 1)) }
	unlike := known && share(odd) >= strange || traffic.LoginPath(path) && share(fails) >= failing && share(odd) >= strange
	here := sent >= leastN && rate > least && unlike
	lingers := rate > goesOn*least && share(odd) >= goesOn*strange
	if !d.spell.Step(w.At, w.Span, here, lingers, d.cfg.EndAfter) {
		d.path = ""
		return attack.Finding{}, false
	}
	d.path = path
	f := attack.Finding{
		Vector: attack.FormFlood, Since: d.spell.Since(), Rate: rate, Normal: usual, Suffering: w.Suffers(n),
		Confidence: 0.8, Part: attack.Part{Path: path, Method: "POST"},
		Facts: []attack.Fact{
			{Name: "forms sent to the page", Value: rate, Usual: usual, Unit: "/s"},
			{Name: "of those, from clients that do nothing that browsers do", Value: share(odd), Unit: "share"},
			{Name: "of those, refused or failed", Value: share(fails), Unit: "share"},
		},
		Top: []attack.Contributor{{Field: traffic.FieldPath, Key: path, Share: float64(sent) / float64(max(len(w.Samples), 1))}},
	}
	f.What = "forms sent" + f.Part.Where()
	if traffic.LoginPath(path) {
		f.What = "passwords tried" + f.Part.Where()
	}
	return f, true
}

// busiest is the path that most forms go to.
func busiest(w *traffic.Window) string {
	counts := map[string]int{}
	best := ""
	for i := range w.Samples {
		v := &w.Samples[i].Visit
		if !form(v) {
			continue
		}
		counts[v.Path]++
		if c, top := counts[v.Path], counts[best]; c > top || c == top && v.Path < best {
			best = v.Path
		}
	}
	return best
}

// usually is the share of ordinary requests that are forms for the path.
func usually(n *traffic.Normal, path string) float64 {
	c := 0
	for i := range n.Ordinary {
		if v := &n.Ordinary[i].Visit; form(v) && v.Path == path {
			c++
		}
	}
	return float64(c) / float64(max(len(n.Ordinary), 1))
}

// verdict is what an answer says of an attempt to log in.
type verdict int

const (
	unsaid   verdict = iota // no answer, or success
	doubtful                // it may be either
	sure                    // it failed
)

// failed reads the answer to an attempt.
func failed(s *traffic.Sample) verdict {
	switch s.Outcome.Status {
	case 401, 403, 429:
		return sure
	case 200:
		if p := strings.ToLower(s.Visit.Path); strings.HasSuffix(p, "/wp-login.php") || strings.HasSuffix(p, "/xmlrpc.php") {
			return sure
		}
		return doubtful
	case 400, 422:
		return doubtful
	}
	return unsaid
}

func clients(n int) string {
	if n == 1 {
		return "one client"
	}
	return fmt.Sprintf("%d clients", n)
}
