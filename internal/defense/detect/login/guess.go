package login

import (
	"math"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/callers"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/sketch"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	period     = time.Minute // over which attempts are added up
	mostOnes   = 512         // clients remembered
	doubtTimes = 2.5         // as many doubtful failures say as much as sure ones
	allShare   = 0.6         // of all attempts that fail, for many clients together to be guessing
	leastMany  = 5           // clients, to be many
	manyTimes  = 5           // times the usual failures, of many clients
	usualLeast = 10          // ordinary attempts, for an answer to be the usual one
)

// attempts are those of one client, or of all, within the period.
type attempts struct {
	all  int
	fail float64 // a doubtful one is less than one
}

// guesses adds up attempts to log in.
type guesses struct {
	began clock.Instant // of the period
	by    *callers.Table[attempts]
	all   attempts
	who   sketch.Small // clients that failed
	first string       // path of the first failure

	ordinary []traffic.Sample // that was looked at last, and how many attempts are in it
	tried    tried

	spell spell.Spell
	said  attack.Finding // what was said when it was last seen
}

// tried are the attempts among ordinary requests.
type tried struct{ all, doubts, fails int }

func newGuesses() guesses { return guesses{by: callers.New[attempts](mostOnes)} }

// step takes in a window.
func (g *guesses) step(cfg *Config, w *traffic.Window, n *traffic.Normal) (attack.Finding, bool) {
	if g.began == 0 || w.At.Sub(g.began) > period {
		g.began, g.all, g.who, g.first = w.At.Add(-w.Span), attempts{}, sketch.Small{}, ""
		g.by.Clear()
	}
	ordinary := g.usual(n)
	one, worst := false, 0.0
	var path string
	came := false
	for i := range w.Samples {
		s := &w.Samples[i]
		if s.Visit.Method != "POST" || !traffic.LoginPath(s.Visit.Path) {
			continue
		}
		who := traffic.PrefixOf(s.Visit.Client, traffic.LevelClient)
		a, known := g.by.Count(who, 1)
		if !known {
			*a = attempts{}
		}
		a.all++
		g.all.all++
		weight := ordinary.weigh(s)
		if weight == 0 {
			continue
		}
		came = true
		a.fail += weight
		g.all.fail += weight
		if g.who.Add(who.String()); g.first == "" {
			g.first = s.Visit.Path
		}
		if a.fail >= float64(cfg.OneFails) && a.fail > worst {
			one, worst, path = true, a.fail, s.Visit.Path
		}
	}
	usual := ordinary.fails * period.Seconds()
	failers := g.who.Count()
	many := g.all.fail >= max(float64(cfg.AllFail), manyTimes*usual) && g.all.fail >= allShare*float64(g.all.all) && failers >= leastMany-0.5
	if many {
		path = g.first
	}
	if !g.spell.Step(w.At, w.Span, came && (one || many), false, cfg.Quiet) {
		return attack.Finding{}, false
	}
	if came && (one || many) {
		g.say(path, one && !many, failers, usual)
	}
	g.said.Since = g.spell.Since()
	return g.said, true
}

func (g *guesses) say(path string, one bool, failers, usual float64) {
	f := attack.Finding{
		Vector: attack.PasswordGuessing, Confidence: 0.8,
		Rate: float64(g.all.all) / period.Seconds(), Normal: usual / period.Seconds(),
		Part: attack.Part{Path: path, Method: "POST"},
		Facts: []attack.Fact{
			{Name: "attempts within the minute", Value: float64(g.all.all), Unit: "attempts"},
			{Name: "of those, failed (those that may have succeeded weigh less)", Value: g.all.fail, Usual: usual, Unit: "attempts"},
			{Name: "clients that failed", Value: math.Round(failers), Unit: "clients"},
		},
		Top: []attack.Contributor{{Field: traffic.FieldPath, Key: path, Share: 1}},
	}
	n := max(int(math.Round(failers)), 1)
	if one {
		n = 1
	}
	f.What = "passwords tried" + f.Part.Where() + ", from " + clients(n)
	g.said = f
}

// ordinaries is what is usual of attempts to log in.
type ordinaries struct {
	fails    float64 // a second
	doubtful bool    // doubtful answers are the usual ones, so they are successes
}

func (g *guesses) usual(n *traffic.Normal) ordinaries {
	// What is published never changes, and is mostly what it was in the last window.
	if len(n.Ordinary) != len(g.ordinary) || len(n.Ordinary) > 0 && &n.Ordinary[0] != &g.ordinary[0] {
		g.ordinary, g.tried = n.Ordinary, triedOf(n.Ordinary)
	}
	t := &g.tried
	o := ordinaries{doubtful: t.all >= usualLeast && 2*t.doubts > t.all}
	o.fails = n.Peak * float64(t.fails) / float64(max(len(n.Ordinary), 1))
	return o
}

func triedOf(list []traffic.Sample) (t tried) {
	for i := range list {
		s := &list[i]
		if s.Visit.Method != "POST" || !traffic.LoginPath(s.Visit.Path) {
			continue
		}
		t.all++
		switch failed(s) {
		case doubtful:
			t.doubts++
		case sure:
			t.fails++
		}
	}
	return t
}

// weigh says how much of a failure an attempt is.
func (o ordinaries) weigh(s *traffic.Sample) float64 {
	if s.Refused {
		return 0 // by us: it says nothing of the password
	}
	switch failed(s) {
	case sure:
		return 1
	case doubtful:
		if !o.doubtful {
			return 1 / doubtTimes
		}
	}
	return 0
}
