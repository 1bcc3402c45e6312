package accuracy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
)

// raidsLast is longer than anything may keep us waiting by default, so that what is ended
// when its time is up shows.
const raidsLast = 15 * time.Second

// raidStrengths are their names; what they are, each raid says.
var raidStrengths = [...]string{"weak", "middling", "strong"}

// LinkRow is what one scenario of connections showed.
type LinkRow struct {
	Name    string `json:"name"`
	Attack  bool   `json:"attack"`
	HeldOut bool   `json:"held_out"`

	Noticed bool           `json:"noticed"`        // something was found, or an attack called
	Notice  float64        `json:"notice_seconds"` // from its beginning
	Named   bool           `json:"named"`          // what was found is what it was
	Found   []string       `json:"found"`          // all that was, and attacks called; none is right without one
	Loop    bool           `json:"loop"`           // a mitigation stood against it
	Links   int            `json:"connections"`    // of it, from its second second on
	Stopped int            `json:"stopped"`        // of those, not taken, or ended by us
	Stop    float64        `json:"stop_seconds"`   // from its beginning, until the first was; 0: none was
	By      map[string]int `json:"stopped_by"`     // of Stopped, over what
	Most    int            `json:"most"`           // of it that were open at a time

	Ordinary int `json:"ordinary"` // connections of people and their programs
	Touched  int `json:"touched"`  // of those, not taken, or ended by us while somebody waited
	Requests int `json:"requests"` // of people and their programs, those among them that found no connection
	Refused  int `json:"refused"`  // of those, by the door
	Unserved int `json:"unserved"` // found no connection, or no answer
}

// linkBook counts connections.
type linkBook struct {
	raids, people, touched, dropped int
	by                              [fates]int // of an attack's, from its second second on
	first                           clock.Instant
	open, most                      int // of an attack
}

// comes counts one that comes, and says whether it is one of an attack's from its second
// second on.
func (b *linkBook) comes(s *stage, c *client) (late bool) {
	if c.ordinary {
		b.people++
		return false
	}
	if late = s.books.late != nil && s.books.floodAt != 0 && s.now().Sub(s.books.floodAt) >= time.Second; late {
		b.raids++
	}
	return late
}

func (b *linkBook) opened(k *link) {
	if !k.c.ordinary {
		b.open++
		b.most = max(b.most, b.open)
	}
}

func (b *linkBook) closed(k *link) { b.open -= one(!k.c.ordinary) }

func (b *linkBook) stopped(s *stage, c *client, late bool, why fate) {
	switch {
	case c.ordinary:
		b.touched++
		return
	case late:
		b.by[why]++
	}
	if b.first == 0 {
		b.first = s.now()
	}
}

// playLinks plays one scenario of connections; r is nil where there is no attack.
func playLinks(name string, o Options, r *raid, n int, begin func(s *stage)) (LinkRow, error) {
	s, err := newStage(o.Seed^hashOf(name), o.World, false)
	if err != nil {
		return LinkRow{}, err
	}
	s.listens()
	s.books = newBooks()
	s.everyday(readers)
	s.background()
	s.run(quiet)
	early := s.books
	s.books, s.port.book = newBooks(), &linkBook{}
	s.books.alarms = early.alarms
	began := s.now()
	if r != nil {
		s.books.floodAt = began
		r.begin(&gang{s: s}, n)
	} else {
		begin(s)
	}
	s.run(raidsLast)
	b, l := s.books, s.port.book
	row := LinkRow{
		Name: name, Attack: r != nil, HeldOut: heldOut(name), Found: []string{}, By: map[string]int{},
		Loop: b.mitigated != 0, Links: l.raids, Most: l.most, Ordinary: l.people, Touched: l.touched,
		Requests: b.requests[true] + l.dropped, Refused: b.refused[true], Unserved: b.unserved + l.dropped,
	}
	first := b.noticed
	for _, list := range []*books{early, b} {
		for _, v := range list.vectors {
			row.Found = append(row.Found, string(v))
		}
		for v, at := range list.found {
			if v == attack.FlashCrowd {
				continue
			}
			row.Found = append(row.Found, string(v))
			if list == b && v.Connections() && (first == 0 || at < first) {
				first = at
			}
			row.Named = row.Named || list == b && r != nil && v == r.vector
		}
	}
	slices.Sort(row.Found)
	row.Found = slices.Compact(row.Found)
	if r != nil && first != 0 {
		row.Noticed, row.Notice = true, first.Sub(began).Seconds()
	}
	for f, n := range l.by {
		if n > 0 {
			row.By[fate(f).String()] = n
			row.Stopped += n
		}
	}
	if l.first != 0 {
		row.Stop = l.first.Sub(began).Seconds()
	}
	return row, s.w.Close()
}

// LinkScore sums rows up, as Score does.
type LinkScore struct {
	Attacks  Count   `json:"attacks_noticed"`
	Named    Count   `json:"attacks_named"` // for what they are
	Notice95 float64 `json:"notice_p95_seconds"`
	Stopped  Count   `json:"attacks_stopped"` // connections
	Alarms   Count   `json:"false_alarms"`    // peaceful scenarios in which something was found
	Met      Count   `json:"peaces_touched"`  // peaceful scenarios in which a connection was not taken or ended, or a request refused
	Touched  Count   `json:"touched"`         // ordinary connections
	Unserved Count   `json:"unserved"`        // ordinary requests during an attack
}

func scoreLinks(rows []LinkRow, in func(*LinkRow) bool) (s LinkScore) {
	var notice []float64
	for i := range rows {
		r := &rows[i]
		if !in(r) {
			continue
		}
		if s.Touched.add(r.Touched, r.Ordinary); !r.Attack {
			s.Alarms.add(one(len(r.Found) > 0), 1)
			s.Met.add(one(r.Touched+r.Refused > 0), 1)
			continue
		}
		s.Attacks.add(one(r.Noticed), 1)
		s.Named.add(one(r.Named), 1)
		s.Stopped.add(r.Stopped, r.Links)
		s.Unserved.add(r.Unserved, r.Requests)
		notice = append(notice, took(r.Noticed, r.Notice, raidsLast))
	}
	s.Notice95 = p95(notice)
	for _, c := range []*Count{&s.Attacks, &s.Named, &s.Stopped, &s.Alarms, &s.Met, &s.Touched, &s.Unserved} {
		c.Low, c.Up = wilson(c.N, c.Of)
	}
	return s
}

// does says over what an attack's connections were not taken or ended, those first that were
// most; what was less than one in twenty of them is left out.
func (r *LinkRow) does() string {
	var list []string
	for name, n := range r.By {
		if n*20 >= r.Stopped {
			list = append(list, name)
		}
	}
	if len(list) == 0 {
		return "nothing"
	}
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(cmp.Compare(r.By[b], r.By[a]), cmp.Compare(a, b))
	})
	return strings.Join(list, ", ")
}
