package defense

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"seawall/internal/defense/decide"
	"seawall/internal/defense/observe"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const (
	daysName    = "days.json"
	mostDays    = 31 // kept
	mostMatches = 24 // of a day
	daysMost    = 1 << 20
)

// Day is what a day's letter tells. There is no address in it. Days are those of UTC.
type Day struct {
	Day      string `json:"day"`      // 2026-05-01
	Watched  int64  `json:"watched"`  // seconds in watch mode
	Defended int64  `json:"defended"` // seconds in defend mode
	Attacks  int    `json:"attacks"`  // noticed, of requests and of packets
	Requests uint64 `json:"requests"` // that met the door
	Cleared  uint64 `json:"cleared"`  // of those, with a clearance

	Stopped Stopped `json:"stopped"` // in defend mode
	Would   Stopped `json:"would"`   // what would have been, in watch mode
}

// Stopped is whom budgets and mitigations stopped; rules are not counted.
type Stopped struct {
	traffic.Stopped
	// Clients are the different ones refused, and Visitors those of them with a
	// clearance: estimates, and too high by whoever came before and after a restart.
	Clients  uint64       `json:"clients"`
	Visitors uint64       `json:"visitors"`
	Matches  []DayMatches `json:"matches"` // most met first

	before observe.Refusals // of the same day, by an earlier process
}

// DayMatches is how many requests one description met.
type DayMatches struct {
	What     string `json:"what"` // the expression; "bans" for all of those
	Requests uint64 `json:"requests"`
}

// days keeps the last of them. It belongs to the loop's goroutine.
type days struct {
	list []Day // oldest first; the last is today
}

// today is the running day, which begins where it is due.
func (l *Loop) today(now decide.Moment) *Day {
	d := &l.days
	name := now.Wall.UTC().Format(time.DateOnly)
	if n := len(d.list); n == 0 || d.list[n-1].Day != name {
		d.list = append(d.list, Day{Day: name})
		d.list = d.list[max(0, len(d.list)-mostDays):]
		l.observer.Forget()
	}
	return &d.list[len(d.list)-1]
}

// countDay enters a window into the day, and how many attacks began with it.
func (l *Loop) countDay(now decide.Moment, w *traffic.Window, began int) {
	day := l.today(now)
	day.Attacks += began
	if l.deps.Watch {
		day.Watched += int64(w.Span.Round(time.Second).Seconds())
	} else {
		day.Defended += int64(w.Span.Round(time.Second).Seconds())
	}
	day.Requests += w.Offered
	day.Cleared += w.ByClearance[traffic.ClearanceProven] + w.ByClearance[traffic.ClearanceKnown]
	day.Stopped.add(&w.Stopped)
	day.Would.add(&w.Would)
	if w.Stopped.Refused+w.Would.Refused > 0 {
		did, would := l.observer.Refused()
		day.Stopped.distinct(did)
		day.Would.distinct(would)
	}
	for id, n := range w.Hits {
		m, ok := l.decider.Find(mitigation.ID(id))
		switch {
		case !ok || m.By != mitigation.ByMachine:
		case m.Shadow:
			day.Would.met(whatOf(m.Match), n)
		default:
			day.Stopped.met(whatOf(m.Match), n)
		}
	}
}

// whatOf names a match without an address.
func whatOf(m *match.Match) string {
	if m == nil {
		return "bans"
	}
	if slices.ContainsFunc(m.Tests(), func(t match.Test) bool { return t.Field() == traffic.FieldClient }) {
		return "bans"
	}
	return m.String()
}

func (s *Stopped) add(w *traffic.Stopped) {
	s.Refused += w.Refused
	s.Slowed += w.Slowed
	s.Cleared += w.Cleared
	for why, n := range w.Reasons {
		if s.Reasons == nil {
			s.Reasons = map[string]uint64{}
		}
		s.Reasons[why] += n
	}
}

func (s *Stopped) distinct(r observe.Refusals) {
	s.Clients, s.Visitors = s.before.Clients+r.Clients, s.before.Visitors+r.Visitors
}

// met counts what a description met. Where there are too many, the one that met
// least gives way.
func (s *Stopped) met(what string, n uint64) {
	i := slices.IndexFunc(s.Matches, func(m DayMatches) bool { return m.What == what })
	if i < 0 {
		i = len(s.Matches)
		s.Matches = append(s.Matches, DayMatches{What: what})
	}
	s.Matches[i].Requests += n
	slices.SortStableFunc(s.Matches, func(a, b DayMatches) int { return cmp.Compare(b.Requests, a.Requests) })
	if len(s.Matches) > mostMatches {
		// The last but one, or nothing new could ever stay.
		last := len(s.Matches) - 1
		if s.Matches[last].What == what {
			s.Matches[last-1] = s.Matches[last]
		}
		s.Matches = s.Matches[:last]
	}
}

func (s *Stopped) copy() Stopped {
	c := *s
	c.Reasons, c.Matches = maps.Clone(s.Reasons), slices.Clone(s.Matches)
	if c.Reasons == nil {
		c.Reasons = map[string]uint64{}
	}
	if c.Matches == nil {
		c.Matches = []DayMatches{}
	}
	return c
}

// copy is them in a form that later windows do not change.
func (d *days) copy() []Day {
	out := slices.Clone(d.list)
	for i := range out {
		out[i].Stopped, out[i].Would = out[i].Stopped.copy(), out[i].Would.copy()
	}
	return out
}

// encode writes them for the next process.
func (d *days) encode() []byte {
	text, err := json.Marshal(d.list)
	if err != nil {
		return nil // it cannot be: there is nothing in it that JSON lacks
	}
	return text
}

// load takes over what an earlier process has written.
func (d *days) load(dir string) error {
	if dir == "" {
		return nil
	}
	path := filepath.Join(dir, daysName)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Size() > daysMost {
		err = errors.New("it is too large")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	var list []Day
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return fmt.Errorf("read what the letter tells: %w", err)
	}
	for i := range list {
		for _, s := range []*Stopped{&list[i].Stopped, &list[i].Would} {
			s.before = observe.Refusals{Clients: s.Clients, Visitors: s.Visitors}
			s.Matches = s.Matches[:min(len(s.Matches), mostMatches)]
		}
	}
	d.list = list[max(0, len(list)-mostDays):]
	return nil
}

// Letter is what the days of some time have to tell, oldest first.
type Letter struct {
	Mode string `json:"mode"` // of now: watch or defend
	Days []Day  `json:"days"`
}

// Letter tells of the last n days, today among them.
func (l *Loop) Letter(n int) (Letter, error) {
	c := make(chan []Day, 1)
	if err := l.do(func(now decide.Moment) {
		l.today(now)
		c <- l.days.copy()
	}); err != nil {
		return Letter{}, err
	}
	all := <-c
	return Letter{Mode: l.mode(), Days: all[max(0, len(all)-n):]}, nil
}
