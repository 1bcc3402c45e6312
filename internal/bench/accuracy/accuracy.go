package accuracy

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"seawall/internal/attack"
	"seawall/internal/traffic"
)

const (
	quiet   = 30 * time.Second // before something happens
	lasts   = 25 * time.Second
	readers = 60 // of a site that is flooded
)

// strengths are requests a second; the site can serve 500 pages.
var strengths = [...]struct {
	name string
	rate float64
}{{"weak", 600}, {"middling", 2000}, {"strong", 6000}}

// Options says what to measure.
type Options struct {
	Seed uint64
	Only string // part of the scenarios' names
	// World makes the door and the loop whose clock shows at; origin tells how the line
	// stands; wired asks for a packet filter.
	World    func(at time.Time, origin func() traffic.Origin, wired bool) (*World, error)
	Progress func(done, all int, name string)
}

// Row is what one scenario showed.
type Row struct {
	Name    string `json:"name"`
	Attack  bool   `json:"attack"`
	HeldOut bool   `json:"held_out"`

	Noticed    bool     `json:"noticed"`
	Notice     float64  `json:"notice_seconds"`   // from its beginning
	Mitigated  bool     `json:"mitigated"`        //
	Mitigate   float64  `json:"mitigate_seconds"` // until something stood against it
	Flood      int      `json:"flood"`            // requests of it, from its second second on
	Stopped    int      `json:"stopped"`          // of those, refused
	Vectors    []string `json:"vectors"`
	FalseAlarm int      `json:"false_alarms"`

	Finding string   `json:"finding"`       // that is no attack and is to be found; "" none
	Found   bool     `json:"found"`         // it was
	Find    float64  `json:"find_seconds"`  // from its beginning
	Besides []string `json:"found_besides"` // other findings

	Ordinary int `json:"ordinary"`   // requests of people and their programs
	Refused  int `json:"refused"`    // of those
	Slowed   int `json:"slowed"`     // put at the end of the line
	Asked    int `json:"challenged"` // sent once more to what they asked for, with a cookie; not among Ordinary
	Unserved int `json:"unserved"`   // let in, and met a full line or a failing origin
	Visitors int `json:"visitors"`
	Touched  int `json:"touched"` // of those, with a request refused
	Held     int `json:"held"`    // or slowed
}

// Report is what all showed.
type Report struct {
	Seed    uint64 `json:"seed"`
	Rows    []Row  `json:"scenarios"`
	All     Score  `json:"all"`
	Tuned   Score  `json:"tuned"`    // those that may be looked at
	HeldOut Score  `json:"held_out"` // those that are not

	Packets        []PacketRow `json:"packet_scenarios"`
	PacketsAll     PacketScore `json:"packets_all"`
	PacketsTuned   PacketScore `json:"packets_tuned"`
	PacketsHeldOut PacketScore `json:"packets_held_out"`

	Links        []LinkRow `json:"connection_scenarios"`
	LinksAll     LinkScore `json:"connections_all"`
	LinksTuned   LinkScore `json:"connections_tuned"`
	LinksHeldOut LinkScore `json:"connections_held_out"`
}

// Score sums rows up. Shares come with their counts, and with a 95 % interval.
type Score struct {
	Attacks   Count   `json:"attacks_noticed"`
	Mitigated Count   `json:"attacks_mitigated"`
	Notice95  float64 `json:"notice_p95_seconds"`
	Mitig95   float64 `json:"mitigate_p95_seconds"`
	Stopped   Count   `json:"flood_stopped"`
	Found     Count   `json:"found"`         // of what is no attack and is to be found
	Besides   Count   `json:"found_wrongly"` // calm scenarios in which something was found that was not there
	Alarms    Count   `json:"false_alarms"`  // calm scenarios in which an attack was called
	Met       Count   `json:"calms_refused"` // calm scenarios in which a visitor was refused
	Refused   Count   `json:"refused"`       // ordinary requests
	Slowed    Count   `json:"slowed"`        //
	Asked     Count   `json:"challenged"`    // ordinary requests
	Unserved  Count   `json:"unserved"`      // ordinary requests let in during a flood, and not served
	Touched   Count   `json:"visitors_hit"`  // visitors with a request refused
}

// Count is how many of how many.
type Count struct {
	N   int     `json:"n"`
	Of  int     `json:"of"`
	Low float64 `json:"low"` // of the share
	Up  float64 `json:"up"`
}

// scenario is one thing that happens.
type scenario struct {
	name    string
	attack  bool
	readers int
	begin   func(s *stage)
	lasts   time.Duration // 0: as most do
	finds   attack.Vector // what is to be found, though it is no attack
}

func scenarios() []scenario {
	var out []scenario
	for _, v := range vectors() {
		for _, st := range strengths {
			out = append(out, scenario{name: v.name + ", " + st.name, attack: true, readers: readers, lasts: v.lasts, begin: func(s *stage) { v.begin(s, st.rate*v.scale) }})
		}
	}
	for _, c := range calms() {
		out = append(out, scenario{name: c.name, readers: c.readers, begin: c.begin, finds: c.finds})
	}
	return out
}

// heldOut is a third of the scenarios, by their names.
func heldOut(name string) bool { return hashOf(name)%3 == 0 }

func hashOf(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}

// part is a scenario to be played, into a report.
type part struct {
	name string
	play func(r *Report) error
}

func parts(o Options) (out []part) {
	for _, sc := range scenarios() {
		out = append(out, part{sc.name, func(r *Report) error {
			row, err := play(sc, o)
			r.Rows = append(r.Rows, row)
			return err
		}})
	}
	packets := func(name string, rate int, frame func(s *stage) *segment, begin func(s *stage)) {
		out = append(out, part{name, func(r *Report) error {
			row, err := playPackets(name, o, rate, frame, begin)
			r.Packets = append(r.Packets, row)
			return err
		}})
	}
	for _, f := range packetFloods() {
		for _, st := range packetStrengths {
			packets(f.name+", "+st.name, st.rate, f.frame, nil)
		}
	}
	for _, c := range packetCalms() {
		packets(c.name, 0, nil, c.begin)
	}
	links := func(name string, raid *raid, n int, begin func(s *stage)) {
		out = append(out, part{name, func(r *Report) error {
			row, err := playLinks(name, o, raid, n, begin)
			r.Links = append(r.Links, row)
			return err
		}})
	}
	for _, a := range raids() {
		for i, st := range raidStrengths {
			links(a.name+", "+st, &a, a.n[i], nil)
		}
	}
	for _, p := range peaces() {
		links(p.name, nil, 0, p.begin)
	}
	return out
}

// Run plays the scenarios.
func Run(ctx context.Context, o Options) (*Report, error) {
	list := parts(o)
	if o.Only != "" {
		list = slices.DeleteFunc(list, func(p part) bool { return !strings.Contains(p.name, o.Only) })
		if len(list) == 0 {
			return nil, fmt.Errorf("no scenario has %q in its name", o.Only)
		}
	}
	r := &Report{Seed: o.Seed, Rows: []Row{}, Packets: []PacketRow{}, Links: []LinkRow{}}
	for i, p := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress(i, len(list), p.name)
		}
		if err := p.play(r); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	r.All = score(r.Rows, func(Row) bool { return true })
	r.Tuned = score(r.Rows, func(r Row) bool { return !r.HeldOut })
	r.HeldOut = score(r.Rows, func(r Row) bool { return r.HeldOut })
	r.PacketsAll = scorePackets(r.Packets, func(*PacketRow) bool { return true })
	r.PacketsTuned = scorePackets(r.Packets, func(r *PacketRow) bool { return !r.HeldOut })
	r.PacketsHeldOut = scorePackets(r.Packets, func(r *PacketRow) bool { return r.HeldOut })
	r.LinksAll = scoreLinks(r.Links, func(*LinkRow) bool { return true })
	r.LinksTuned = scoreLinks(r.Links, func(r *LinkRow) bool { return !r.HeldOut })
	r.LinksHeldOut = scoreLinks(r.Links, func(r *LinkRow) bool { return r.HeldOut })
	return r, nil
}

// play plays one.
func play(sc scenario, o Options) (Row, error) {
	s, err := newStage(o.Seed^hashOf(sc.name), o.World, false)
	if err != nil {
		return Row{}, err
	}
	s.books = newBooks()
	s.everyday(sc.readers)
	s.run(quiet)
	early := s.books.alarms
	s.books = newBooks()
	s.books.alarms = early
	if sc.attack {
		s.books.floodAt = s.now()
	}
	sc.begin(s)
	began := s.now()
	s.run(cmp.Or(sc.lasts, lasts))
	b := s.books
	row := Row{
		Name: sc.name, Attack: sc.attack, HeldOut: heldOut(sc.name),
		Noticed: b.noticed != 0, Mitigated: b.mitigated != 0,
		Flood: b.late[false], Stopped: b.late[true], FalseAlarm: b.alarms, Vectors: []string{},
		Ordinary: b.requests[true], Refused: b.refused[true], Slowed: b.slowed[true], Asked: b.asked, Unserved: b.unserved,
		Visitors: b.clients[true], Touched: b.touched, Held: b.held,
	}
	row.Besides = []string{}
	for v, at := range b.found {
		switch {
		case v == sc.finds:
			row.Found, row.Find = true, at.Sub(began).Seconds()
		case v != attack.FlashCrowd && !sc.attack:
			row.Besides = append(row.Besides, string(v))
		}
	}
	row.Finding = string(sc.finds)
	slices.Sort(row.Besides)
	for _, v := range b.vectors {
		row.Vectors = append(row.Vectors, string(v))
	}
	if row.Noticed {
		row.Notice = b.noticed.Sub(b.floodAt).Seconds()
	}
	if row.Mitigated {
		row.Mitigate = b.mitigated.Sub(b.floodAt).Seconds()
	}
	return row, s.w.Close()
}

func score(rows []Row, in func(Row) bool) (s Score) {
	var notice, mitigate []float64
	for _, r := range rows {
		if !in(r) {
			continue
		}
		s.Refused.add(r.Refused, r.Ordinary)
		s.Slowed.add(r.Slowed, r.Ordinary)
		s.Asked.add(r.Asked, r.Ordinary)
		s.Touched.add(r.Touched, r.Visitors)
		if !r.Attack {
			s.Alarms.add(one(r.FalseAlarm > 0), 1)
			s.Met.add(one(r.Refused > 0), 1)
			s.Besides.add(one(len(r.Besides) > 0), 1)
			if r.Finding != "" {
				s.Found.add(one(r.Found), 1)
			}
			continue
		}
		s.Attacks.add(one(r.Noticed), 1)
		s.Mitigated.add(one(r.Mitigated), 1)
		s.Stopped.add(r.Stopped, r.Flood)
		s.Unserved.add(r.Unserved, r.Ordinary-r.Refused)
		notice, mitigate = append(notice, took(r.Noticed, r.Notice, lasts)), append(mitigate, took(r.Mitigated, r.Mitigate, lasts))
	}
	s.Notice95, s.Mitig95 = p95(notice), p95(mitigate)
	for _, c := range []*Count{&s.Attacks, &s.Mitigated, &s.Stopped, &s.Found, &s.Besides, &s.Alarms, &s.Met, &s.Refused, &s.Slowed, &s.Asked, &s.Unserved, &s.Touched} {
		c.Low, c.Up = wilson(c.N, c.Of)
	}
	return s
}

// took is how long something took; never is as late as it can be.
func took(did bool, seconds float64, most time.Duration) float64 {
	if did {
		return seconds
	}
	return most.Seconds()
}

func (c *Count) add(n, of int) { c.N, c.Of = c.N+n, c.Of+of }

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func p95(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.SortFunc(x, cmp.Compare[float64])
	return x[min(len(x)*95/100, len(x)-1)]
}
