package scrape

import (
	"fmt"
	"net/netip"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/callers"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/sketch"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	period    = time.Minute // over which a client's pages are added up
	most      = 1024        // clients and networks remembered
	fewAssets = 0.05        // of the pages read
	steady    = 10          // seconds of the minute in which pages are read
	wider     = 3           // times as many pages, of a network
)

// read is what a client, or a network, read within the period.
type read struct {
	pages, assets int
	clients       uint64        // of a network: a bit each, some share one
	seconds       int           // in which it read
	last          clock.Instant // of those, the window's end
	agent         string
	paths         sketch.Small // valid iff pages > 0: many fetch assets only
}

// Detector finds scrapers. It remembers what clients read within the minute. Make it
// with New.
type Detector struct {
	cfg   Config
	began clock.Instant // of the period
	by    *callers.Table[read]
	spell spell.Spell
	said  attack.Finding // what was said when one was last seen
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg, by: callers.New[read](most)} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "scrape" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, _ *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 {
		return nil
	}
	if d.began == 0 || w.At.Sub(d.began) > period {
		d.began = w.At.Add(-w.Span)
		d.by.Clear()
	}
	var worst *read
	var who netip.Prefix
	for i := range w.Samples {
		s := &w.Samples[i]
		if s.Refused || s.Outcome.Status < 200 || s.Outcome.Status >= 400 {
			continue // nothing was read
		}
		var path uint64
		if page(&s.Visit) {
			path = sketch.Hash(s.Visit.Path)
		}
		for _, level := range [...]traffic.Level{traffic.LevelClient, traffic.LevelWide} {
			p := traffic.PrefixOf(s.Visit.Client, level)
			r, known := d.by.Count(p, 1)
			if !known {
				r.pages, r.assets, r.clients, r.seconds, r.last, r.agent = 0, 0, 0, 0, 0, ""
			}
			r.take(&s.Visit, path, w.At)
			// A client says more than the network that it is in.
			if d.scrapes(r, level) && (worst == nil || p.Bits() > who.Bits() || p.Bits() == who.Bits() && r.pages >= worst.pages) {
				kept := *r
				worst, who = &kept, p
			}
		}
	}
	if !d.spell.Step(w.At, w.Span, worst != nil, false, d.cfg.EndAfter) {
		d.said = attack.Finding{} // with the address in it
		return nil
	}
	if worst != nil {
		d.said = d.finding(worst, who, w.At.Sub(d.began))
	}
	d.said.Since = d.spell.Since()
	return []attack.Finding{d.said}
}

// page says whether a visit reads something that counts as a page.
func page(v *traffic.Visit) bool {
	return v.Method == "GET" && v.Kind != traffic.KindAsset && v.Kind != traffic.KindFeed
}

func (r *read) take(v *traffic.Visit, path uint64, at clock.Instant) {
	if v.Kind == traffic.KindAsset {
		r.assets++
		return
	}
	if !page(v) {
		return
	}
	if r.pages++; r.pages == 1 {
		r.paths = sketch.Small{}
	}
	r.paths.AddHash(path)
	b := v.Client.As16()
	r.clients |= 1 << ((b[15] ^ b[7] ^ b[6]) & 63)
	if r.last != at {
		r.last = at
		r.seconds++
	}
	if r.agent == "" {
		r.agent = v.UserAgent // a Sample's own
	}
}

// scrapes says whether it reads on and on.
func (d *Detector) scrapes(r *read, level traffic.Level) bool {
	least := d.cfg.Pages
	if level == traffic.LevelWide {
		least *= wider
	}
	return r.pages >= least && r.seconds >= steady && float64(r.assets) <= fewAssets*float64(r.pages) &&
		r.paths.Count() >= float64(least)-0.5 && (level == traffic.LevelClient || r.clients&(r.clients-1) != 0)
}

func (d *Detector) finding(r *read, who netip.Prefix, within time.Duration) attack.Finding {
	pages := r.paths.Count()
	f := attack.Finding{
		Vector: attack.Scraping, Confidence: 0.7, Rate: float64(r.pages) / max(within.Seconds(), 1),
		Facts: []attack.Fact{
			{Name: "pages read within the minute", Value: float64(r.pages), Unit: "requests"},
			{Name: "of those, different ones, about", Value: pages, Unit: "pages"},
			{Name: "assets fetched", Value: float64(r.assets), Unit: "requests"},
		},
		Top: []attack.Contributor{{Field: traffic.FieldClient, Key: who.String(), Share: 1}},
	}
	by := "one client"
	if !who.IsSingleIP() && who.Bits() <= 48 && who.Addr().Is6() || who.Addr().Is4() && who.Bits() <= 24 {
		by = "the clients of one network"
	}
	if name := traffic.Crawler(r.agent); name != "" {
		by += ", which calls itself " + name
	}
	f.What = fmt.Sprintf("page after page read by %s, and nothing that belongs to pages: %.0f within the minute", by, pages)
	return f
}
