package scan

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/callers"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/sketch"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	period  = time.Minute // over which a client's requests are added up
	most    = 512         // clients remembered
	missing = 0.6         // share of a client's pages that are not there
	shown   = 3           // paths told
	shownTo = 60          // bytes of each
)

// looked is what one client asked for within the period.
type looked struct {
	pages, gone int
	probes      uint64 // names looked for and not found
	// Valid iff gone > 0: few miss anything.
	some  [shown]string
	paths sketch.Small // that are not there
}

// Detector finds scanners. It remembers what clients asked for within the minute. Make
// it with New.
type Detector struct {
	cfg   Config
	began clock.Instant // of the period
	by    *callers.Table[looked]
	spell spell.Spell
	said  attack.Finding // what was said when one was last seen
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg, by: callers.New[looked](most)} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "scan" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 {
		return nil
	}
	if d.began == 0 || w.At.Sub(d.began) > period {
		d.began = w.At.Add(-w.Span)
		d.by.Clear()
	}
	var worst *looked
	var who netip.Prefix
	came := 0 // requests of scanners in this window
	for i := range w.Samples {
		s := &w.Samples[i]
		if !answered(s) {
			continue
		}
		p := traffic.PrefixOf(s.Visit.Client, traffic.LevelClient)
		l, known := d.by.Count(p, 1)
		if !known {
			l.pages, l.gone, l.probes = 0, 0, 0
		}
		l.take(s)
		if !d.scans(l) {
			continue
		}
		came++
		if worst == nil || l.gone >= worst.gone {
			kept := *l
			worst, who = &kept, p
		}
	}
	if !d.spell.Step(w.At, w.Span, came > 0, false, d.cfg.EndAfter) {
		d.said = attack.Finding{} // with the address in it
		return nil
	}
	if worst != nil {
		rate := w.Rate(w.Offered) * float64(came) / float64(len(w.Samples))
		d.said = d.finding(worst, who, rate, usual(n))
	}
	d.said.Since = d.spell.Since()
	return []attack.Finding{d.said}
}

// answered says that the site itself answered, so that it shows what is there.
func answered(s *traffic.Sample) bool {
	return !s.Refused && s.Outcome.Status >= 200 && s.Outcome.Status < 500
}

func (l *looked) take(s *traffic.Sample) {
	v := &s.Visit
	gone := false
	switch s.Outcome.Status {
	case 404, 410:
		gone = true
	case 400, 403, 405: // hidden, where it is what scanners look for
	default:
		if v.Kind != traffic.KindAsset {
			l.pages++
		}
		return
	}
	bit := probe(v.Path)
	if v.Kind == traffic.KindAsset && bit == 0 {
		return
	}
	l.pages++
	l.probes |= bit
	if bit == 0 && (!gone || traffic.Crawler(v.UserAgent) != "") {
		return
	}
	if l.gone++; l.gone == 1 {
		l.some, l.paths = [shown]string{}, sketch.Small{}
	}
	if l.gone <= shown {
		l.some[l.gone-1] = cut(v.Path)
	}
	l.paths.Add(v.Path)
}

// scans says whether a client looks around.
func (d *Detector) scans(l *looked) bool {
	return bits.OnesCount64(l.probes) >= d.cfg.Probes ||
		l.gone >= d.cfg.Missing && l.paths.Count() >= float64(d.cfg.Missing)-0.5 && float64(l.gone) >= missing*float64(l.pages)
}

func (d *Detector) finding(l *looked, who netip.Prefix, rate, usual float64) attack.Finding {
	scanners := 0
	d.by.Each(func(_ netip.Prefix, _ uint64, l *looked) {
		if d.scans(l) {
			scanners++
		}
	})
	different := l.paths.Count()
	f := attack.Finding{
		Vector: attack.Scanning, Confidence: 0.8, Rate: rate, Normal: usual,
		Facts: []attack.Fact{
			{Name: "pages that are not there, asked for by the busiest within the minute", Value: float64(l.gone), Unit: "requests"},
			{Name: "of those, different ones, about", Value: different, Unit: "pages"},
			{Name: "names that scanners look for, among them", Value: float64(bits.OnesCount64(l.probes)), Unit: "names"},
			{Name: "clients that do so", Value: float64(max(scanners, 1)), Unit: "clients"},
		},
		Top: []attack.Contributor{{Field: traffic.FieldClient, Key: who.String(), Share: 1}},
	}
	from := "one client"
	if scanners > 1 {
		from = fmt.Sprintf("%d clients", scanners)
	}
	var some []string
	for _, p := range l.some {
		if p != "" {
			some = append(some, p)
		}
	}
	f.What = fmt.Sprintf("pages that are not there, asked for by %s: %s", from, strings.Join(some, ", "))
	if more := l.gone - len(some); more > 0 {
		f.What += fmt.Sprintf(" and %d more", more)
	}
	return f
}

// usual is how many requests for what is not there are usual, a second.
func usual(n *traffic.Normal) float64 {
	if n == nil || len(n.Ordinary) == 0 {
		return 0
	}
	gone := 0
	for i := range n.Ordinary {
		if n.Ordinary[i].Outcome.Status == 404 {
			gone++
		}
	}
	return n.Requests * float64(gone) / float64(len(n.Ordinary))
}

// cut keeps the beginning of a path: it is a stranger's words, and in a sentence.
func cut(path string) string {
	return strings.Clone(strings.ToValidUTF8(path[:min(len(path), shownTo)], ""))
}
