package demo

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"seawall/internal/demo/crowd"
	"seawall/internal/demo/flood"
)

// Summary is what a run showed. Times are milliseconds where they are waiting
// times, and seconds since the flood began where they are moments.
type Summary struct {
	Kind     Kind    `json:"kind"`
	Front    Front   `json:"front"`
	Capacity float64 `json:"capacity"` // requests a second that the site bears

	Visitors Visitors `json:"visitors"`
	Flood    *Flood   `json:"flood,omitempty"`
	Shield   *Shield  `json:"seawall,omitempty"`
}

// Visitors is what visitors felt.
type Visitors struct {
	Number    int  `json:"number"`
	Quiet     Felt `json:"quiet"`
	During    Felt `json:"during"` // the regulars; of a flash crowd everybody
	After     Felt `json:"after"`
	Newcomers Felt `json:"newcomers"` // who came only during the flood
}

// Felt is what visitors felt during a phase.
type Felt struct {
	Meant  uint64            `json:"meant"`
	Served uint64            `json:"served"`
	Share  float64           `json:"share"`
	Sent   uint64            `json:"challenged"` // sent back to their page with a cookie
	Wrong  map[string]uint64 `json:"wrong,omitempty"`
	P50    float64           `json:"p50_ms"`
	P99    float64           `json:"p99_ms"`
	Rate   float64           `json:"rate"` // requests a second
}

// Flood is what became of the flood.
type Flood struct {
	Sources   int            `json:"sources"`
	Countries map[string]int `json:"countries,omitempty"` // sources, by where they are registered
	Meant     uint64         `json:"meant"`               // requests due
	Sent      uint64         `json:"sent"`
	Answered  uint64         `json:"answered"` // with the site's page
	Refused   uint64         `json:"refused"`
	Failed    uint64         `json:"failed"` // other answers
	Errors    uint64         `json:"errors"` // no answer
	Reached   uint64         `json:"reached"`
	Rate      float64        `json:"rate"` // sent, a second

	RefusedShare float64 `json:"refused_share"` // of Sent
	ReachedShare float64 `json:"reached_share"` // of Sent
	// ReachedLate is the share that reached the site of what was sent from 2 s
	// after the beginning on.
	ReachedLate float64 `json:"reached_share_after_2s"`
	// Stemmed is when, by the site's own count, the flood was down to 1 % of
	// what was sent for good; negative: never.
	Stemmed float64 `json:"stemmed_s"`
}

// Shield is what Seawall says that it did, and what it cost.
type Shield struct {
	Noticed   float64 `json:"noticed_s"`   // negative: not noticed
	Mitigated float64 `json:"mitigated_s"` // negative: not mitigated
	// Withdrawn is how many seconds after the flood's end nothing was being done
	// any more; negative: something still was when the run ended.
	Withdrawn float64           `json:"withdrawn_s"`
	Attacks   int               `json:"attacks"` // called so during the run, flash crowds not counted
	Countries map[string]uint64 `json:"countries,omitempty"`
	Did       []doing           `json:"did"`     // every mitigation there was
	Records   []record          `json:"records"` // every step, oldest first
	RSS       int64             `json:"rss_bytes"`
	PeakRSS   int64             `json:"peak_rss_bytes"`
	IdleRSS   int64             `json:"idle_rss_bytes"` // before the flood
	CPU       float64           `json:"cpu_cores"`      // used during the flood and after
}

func feltOf(f crowd.Felt) Felt {
	out := Felt{
		Meant: f.Meant, Served: f.Served, Share: f.Share(), Sent: f.Sent, Wrong: f.Wrong,
		P50: millis(f.P50), P99: millis(f.P99),
	}
	if f.Span > 0 {
		out.Rate = float64(f.Meant) / f.Span.Seconds()
	}
	return out
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// summary gathers what the run showed.
func (s *session) summary() Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := Summary{Kind: s.o.Kind, Front: s.o.Front, Capacity: s.o.Site.Capacity()}
	if s.crowd != nil {
		sum.Visitors = Visitors{
			Number:    s.o.Visitors,
			Quiet:     feltOf(s.crowd.Felt(phaseQuiet, regulars)),
			During:    feltOf(s.crowd.Felt(phaseDuring, regulars)),
			After:     feltOf(s.crowd.Felt(phaseAfter, regulars)),
			Newcomers: feltOf(s.crowd.Felt(phaseDuring, newcomers)),
		}
		if s.o.Kind == Crowd {
			sum.Visitors.During = feltOf(s.crowd.FeltByAll(phaseDuring))
		}
	}
	if s.flood != nil {
		sum.Flood = s.floodSummary()
	}
	if s.admin != "" {
		sum.Shield = s.shieldSummary()
	}
	return sum
}

// floodSummary sums up the flood; hold s.mu.
func (s *session) floodSummary() *Flood {
	c := s.flooded
	f := &Flood{
		Meant: c.Meant, Sent: c.Sent, Answered: c.Answered, Refused: c.Refused, Failed: c.Failed, Errors: c.Errors + c.GaveUp,
		Stemmed: -1,
	}
	switch s.o.Kind {
	case Heavy:
		f.Sources, f.Countries = heavySources, map[string]int{"RU": heavySources * 3 / 5, "BR": heavySources - heavySources*3/5}
	case Wide:
		f.Sources, f.Countries = wideSources, map[string]int{"RU": wideSources * 3 / 5, "BR": wideSources - wideSources*3/5}
	}
	if len(s.reached) == 0 || len(s.series) == 0 {
		return f
	}
	began := s.series[0].At.Add(-s.series[0].Since)
	before := s.reachedAt(began)
	last := s.reached[len(s.reached)-1].stats.Others
	f.Reached = last - before
	f.Rate = float64(c.Sent) / c.Since.Seconds()
	f.RefusedShare, f.ReachedShare = share(c.Refused, c.Sent), share(f.Reached, c.Sent)
	late := began.Add(2 * time.Second)
	f.ReachedLate = share(last-s.reachedAt(late), c.Sent-sentAt(s.series, late))
	f.Stemmed = s.stemmed(began)
	return f
}

func share(n, of uint64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// reachedAt is how many requests of others had reached the site by a moment,
// between two samples by straight line; hold s.mu.
func (s *session) reachedAt(at time.Time) uint64 {
	for i, r := range s.reached {
		if r.at.Before(at) {
			continue
		}
		if i == 0 {
			return r.stats.Others
		}
		p := s.reached[i-1]
		return onLine(p.at, r.at, at, p.stats.Others, r.stats.Others)
	}
	return s.reached[len(s.reached)-1].stats.Others
}

// sentAt is the same for what the flood had sent.
func sentAt(series []flood.Counts, at time.Time) uint64 {
	for i, c := range series {
		if c.At.Before(at) {
			continue
		}
		if i == 0 {
			return onLine(c.At.Add(-c.Since), c.At, at, 0, c.Sent)
		}
		p := series[i-1]
		return onLine(p.At, c.At, at, p.Sent, c.Sent)
	}
	return series[len(series)-1].Sent
}

func onLine(t0, t1, at time.Time, a, b uint64) uint64 {
	span := t1.Sub(t0)
	if span <= 0 || !at.After(t0) {
		return a
	}
	return a + uint64(float64(b-a)*min(1, at.Sub(t0).Seconds()/span.Seconds()))
}

// stemmed is when the last half second ended in which more than 1 % of what was
// sent reached the site, in seconds after the beginning; hold s.mu.
func (s *session) stemmed(began time.Time) float64 {
	const step = 500 * time.Millisecond
	end := s.series[len(s.series)-1].At
	after := 0.0
	for t := began; t.Add(step).Before(end); t = t.Add(step) {
		sent := sentAt(s.series, t.Add(step)) - sentAt(s.series, t)
		got := s.reachedAt(t.Add(step)) - s.reachedAt(t)
		if sent > 0 && float64(got) > 0.01*float64(sent) {
			after = t.Add(step).Sub(began).Seconds()
		}
	}
	if end.Sub(began).Seconds()-after < 1 {
		return -1
	}
	return after
}

// shieldSummary sums up what Seawall says; hold s.mu.
func (s *session) shieldSummary() *Shield {
	h := &Shield{Noticed: -1, Mitigated: -1, Withdrawn: -1, RSS: s.use.RSS, PeakRSS: s.peak, IdleRSS: s.use0.RSS, Records: s.records}
	for _, id := range slices.Sorted(maps.Keys(s.did)) {
		h.Did = append(h.Did, s.did[id])
	}
	began := s.begun
	if len(s.series) > 0 {
		began = s.series[0].At.Add(-s.series[0].Since)
	}
	if spent := time.Since(s.begun).Seconds(); spent > 0 {
		h.CPU = (s.use.CPU - s.use0.CPU).Seconds() / spent
	}
	all := s.now.Attacks
	if a := s.now.Attack; a != nil && !slices.ContainsFunc(all, func(b attackStatus) bool { return b.Noticed.Equal(a.Noticed) }) {
		all = append(slices.Clone(all), *a)
	}
	for _, a := range all {
		if a.Finding == nil || a.Finding.Vector != "flash-crowd" {
			h.Attacks++
		}
	}
	// Seawall's clock is this machine's; a hair's breadth is allowed for rounding.
	if a := s.now.attackFrom(began.Add(-time.Second)); a != nil {
		h.Noticed = a.Noticed.Sub(began).Seconds()
		if !a.Mitigated.IsZero() {
			h.Mitigated = a.Mitigated.Sub(began).Seconds()
		}
		h.Countries = a.Countries
	}
	if s.now.calm() && !s.ended.IsZero() {
		h.Withdrawn = max(0, s.calmSince.Sub(s.ended).Seconds())
	}
	return h
}

// JSON returns the summary as one line of JSON.
func (sum Summary) JSON() ([]byte, error) {
	b, err := json.Marshal(sum)
	if err != nil {
		return nil, fmt.Errorf("write the summary: %w", err)
	}
	return append(b, '\n'), nil
}
