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
	// clearance: estimates, and too high by whoever came before and after a restart, or
	// a step of the clock from one day to another.
	Clients  uint64       `json:"clients"`
	Visitors uint64       `json:"visitors"`
	Matches  []DayMatches `json:"matches"` // most met first

	before observe.Refusals // of the same day, by an earlier process or before such a step
}

// DayMatches is how many requests one description met.
type DayMatches struct {
	What     string `json:"what"` // the expression; "bans" for all of those
	Requests uint64 `json:"requests"`
}

// days keeps the last of them. It belongs to the loop's goroutine.
type days struct {
	list  []Day  // oldest first, each once
	today string // which of them runs: not the last, where the clock was ahead; "" before any
}

// today is the running day, which begins where it is due, or goes on where the wall clock
// has stepped back to it.
func (l *Loop) today(now decide.Moment) *Day {
	d := &l.days
	name := now.Wall.UTC().Format(time.DateOnly)
	day := d.at(name)
	if d.today != name {
		if d.today != "" { // or those of the first window would be lost
			l.observer.Forget()
		}
		d.today = name
		for _, s := range []*Stopped{&day.Stopped, &day.Would} {
			s.before = observe.Refusals{Clients: s.Clients, Visitors: s.Visitors}
		}
	}
	return day
}

// find tells where a day is, or belongs.
func (d *days) find(name string) (at int, there bool) {
	return slices.BinarySearchFunc(d.list, name, func(day Day, name string) int { return cmp.Compare(day.Day, name) })
}

// at is a day of the list. Where it is new and the list is full, the oldest gives way,
// even to one that is older still: the clock says that this is today.
func (d *days) at(name string) *Day {
	i, there := d.find(name)
	if !there {
		if len(d.list) >= mostDays {
			d.list, i = slices.Delete(d.list, 0, 1), max(i-1, 0)
		}
		d.list = slices.Insert(d.list, i, Day{Day: name})
	}
	return &d.list[i]
}

// last is a copy of the last n days, at least one. Today is among them, in place of the
// first, though there be later ones.
func (d *days) last(n int) []Day {
	all := d.copy()
	from := max(0, len(all)-max(n, 1))
	if at, there := d.find(d.today); there && at < from {
		all[from] = all[at]
	}
	return all[from:]
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
	s.Challenged += w.Challenged
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
			s.Matches = s.Matches[:min(len(s.Matches), mostMatches)]
		}
	}
	list = inOrder(list)
	d.list = list[max(0, len(list)-mostDays):]
	return nil
}

// inOrder sorts days and makes one of those that are there twice, as a clock that stepped
// back has left them.
func inOrder(list []Day) (out []Day) {
	slices.SortStableFunc(list, func(a, b Day) int { return cmp.Compare(a.Day, b.Day) })
	for i := range list {
		if n := len(out); n > 0 && out[n-1].Day == list[i].Day {
			out[n-1].join(&list[i])
		} else {
			out = append(out, list[i])
		}
	}
	return out
}

func (d *Day) join(o *Day) {
	d.Watched += o.Watched
	d.Defended += o.Defended
	d.Attacks += o.Attacks
	d.Requests += o.Requests
	d.Cleared += o.Cleared
	d.Stopped.join(&o.Stopped)
	d.Would.join(&o.Would)
}

func (s *Stopped) join(o *Stopped) {
	s.add(&o.Stopped)
	s.Clients += o.Clients
	s.Visitors += o.Visitors
	for _, m := range o.Matches {
		s.met(m.What, m.Requests)
	}
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
		c <- l.days.last(n)
	}); err != nil {
		return Letter{}, err
	}
	return Letter{Mode: l.mode(), Days: <-c}, nil
}
