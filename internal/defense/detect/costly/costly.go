package costly

import (
	"fmt"
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	youth     = 5 * time.Second // of learning, until something is known of the site
	most      = 0.5             // share of the origin's time that the page takes
	strange   = 0.8             // share of its requests from clients that do nothing that browsers do
	leastN    = 4               // samples, for shares to say anything
	goesOn    = 0.5             // of what begins it, for a flood to go on
	mostPages = 64              // whose time is remembered
)

// Detector finds floods of costly requests. It remembers what it said of the windows
// before. Make it with New.
type Detector struct {
	cfg   Config
	spell spell.Spell
	path  string        // that is flooded, while one is
	took  time.Duration // of one request for it, before anything was done

	known []page // what such pages took, the latest last
	costs costs  // of the last window

	page time.Duration    // what an ordinary page takes, see usual
	of   []traffic.Sample // that it was worked out from
}

// page is the least that a page took while it took most of the origin's time.
type page struct {
	path  string
	least time.Duration
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "costly" }

// cost is what a path took in a window.
type cost struct {
	path       string
	n, reached int
	time       time.Duration
}

// each is what one request took.
func (c *cost) each() time.Duration { return c.time / time.Duration(max(c.reached, 1)) }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 {
		return nil
	}
	if n == nil || n.Learned < youth || n.OriginP50 <= 0 {
		n = &traffic.Normal{} // nothing begins; what runs may end
		if !d.spell.On() {
			return nil
		}
	}
	return d.judge(w, n)
}

// judge looks at what each path took.
func (d *Detector) judge(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	by := &d.costs
	all := by.sum(w)
	path := d.path
	if !d.spell.On() {
		path = by.costliest()
	}
	p := by.of(path)
	each := p.each()
	if d.spell.On() && p.reached < leastN {
		each = d.took
	}
	// A sample stands for so many requests a second.
	stands := w.Steady(w.Offered) / float64(max(len(w.Samples), 1))
	// Refused ones count as if they had been let in.
	busy := stands * float64(p.n) * each.Seconds()
	rest := stands * (all - p.time).Seconds()
	usual := n.Peak * n.Share[traffic.FieldPath][path]
	rate := stands * float64(p.n)
	least := max(d.cfg.Floor, d.cfg.Times*usual)

	costlyPage := n.OriginP50 > 0 && p.reached >= leastN && d.least(path, w, n).Seconds() >= d.cfg.Costly*d.usual(n).Seconds()
	suffering := w.Suffers(n)
	here := costlyPage && rate >= least && busy > d.cfg.Busy && busy >= most*(busy+rest) &&
		(n.Tells() || suffering) && strangers(w, path) >= strange
	began := d.spell.On()
	lingers := began && rate > goesOn*least && busy > goesOn*d.cfg.Busy && strangers(w, path) >= goesOn*strange
	if !d.spell.Step(w.At, w.Span, here, lingers, d.cfg.EndAfter) {
		d.path = ""
		return nil
	}
	if !began {
		d.path, d.took = path, each
	}
	f := attack.Finding{
		Vector: attack.CostlyRequests, Since: d.spell.Since(), Rate: rate, Normal: usual, Suffering: suffering,
		Confidence: 0.8, Part: attack.Part{Path: d.path},
		Facts: []attack.Fact{
			{Name: "requests for the page", Value: rate, Usual: usual, Unit: "/s"},
			{Name: "the origin's time that they would take", Value: busy, Unit: "s/s"},
			{Name: "the origin's time that all else takes", Value: rest, Unit: "s/s"},
			{Name: "time of one", Value: ms(each), Usual: ms(d.page), Unit: "ms"},
		},
		Top: []attack.Contributor{{Field: traffic.FieldPath, Key: d.path, Share: float64(p.n) / float64(max(len(w.Samples), 1))}},
	}
	f.What = fmt.Sprintf("one page%s, that takes the origin %.0f ms each time", f.Part.Where(), ms(each))
	return []attack.Finding{f}
}

// least is what the page takes while nothing holds it up: the least of what it took in
// this window, lately, and in ordinary times. A crowd makes every page slow, and is
// none the worse for the one that it reads.
func (d *Detector) least(path string, w *traffic.Window, n *traffic.Normal) time.Duration {
	least := tenth(w.Samples, path)
	if usual := tenth(n.Ordinary, path); usual > 0 {
		least = min(least, usual)
	}
	for i := range d.known {
		if c := &d.known[i]; c.path == path {
			c.least = min(c.least, least)
			return c.least
		}
	}
	if len(d.known) >= mostPages {
		d.known = append(d.known[:0], d.known[1:]...)
	}
	d.known = append(d.known, page{path, least})
	return least
}

// usual is what an ordinary page takes the origin: the median of those that were kept, or of
// all requests, most of which are for what pages are made of, where too few were.
func (d *Detector) usual(n *traffic.Normal) time.Duration {
	if len(n.Ordinary) == len(d.of) && (len(d.of) == 0 || &n.Ordinary[0] == &d.of[0]) && d.page > 0 {
		return d.page
	}
	var took []time.Duration
	for i := range n.Ordinary {
		if s := &n.Ordinary[i]; s.Visit.Kind == traffic.KindPage && s.Outcome.Reached && s.Outcome.OriginTime > 0 {
			took = append(took, s.Outcome.OriginTime)
		}
	}
	d.of, d.page = n.Ordinary, n.OriginP50
	if len(took) >= leastPages {
		slices.Sort(took)
		d.page = max(d.page, took[len(took)/2])
	}
	return d.page
}

// leastPages are enough to say what a page takes.
const leastPages = 20

// tenth is the time that nine of ten answers for the path take at least: single ones are
// quick whatever a page costs, such as errors. 0 is unknown.
func tenth(samples []traffic.Sample, path string) time.Duration {
	var took []time.Duration
	for i := range samples {
		if s := &samples[i]; s.Visit.Path == path && s.Outcome.Reached && s.Outcome.Status < 400 && s.Outcome.Status > 0 {
			took = append(took, s.Outcome.OriginTime)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)/10]
}

// costs are what paths took in a window. Their memory is used again for the next one.
type costs struct {
	at   map[string]int // of list
	list []cost
}

// of is what a path took.
func (c *costs) of(path string) cost {
	if i, ok := c.at[path]; ok {
		return c.list[i]
	}
	return cost{}
}

// sum sums up the origin's time by path, and returns that of all.
func (c *costs) sum(w *traffic.Window) (all time.Duration) {
	if c.at == nil {
		c.at = map[string]int{}
	}
	clear(c.at)
	c.list = c.list[:0]
	for i := range w.Samples {
		s := &w.Samples[i]
		at, ok := c.at[s.Visit.Path]
		if !ok {
			at = len(c.list)
			c.at[s.Visit.Path] = at
			c.list = append(c.list, cost{path: s.Visit.Path})
		}
		p := &c.list[at]
		p.n++
		if s.Outcome.Reached && !s.Refused {
			p.reached++
			p.time += s.Outcome.OriginTime
			all += s.Outcome.OriginTime
		}
	}
	return all
}

func (c *costs) costliest() string {
	var best string
	var top time.Duration
	for i := range c.list {
		if p := &c.list[i]; p.time > top || p.time == top && p.path < best {
			best, top = p.path, p.time
		}
	}
	return best
}

// strangers is the share of the path's requests that come from clients that do nothing
// that browsers do by themselves.
func strangers(w *traffic.Window, path string) float64 {
	visitors := w.Visitors(path)
	n, strange := 0, 0
	for i := range w.Samples {
		v := &w.Samples[i].Visit
		if v.Path != path {
			continue
		}
		n++
		if !visitors.Like(v) {
			strange++
		}
	}
	return float64(strange) / float64(max(n, 1))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
