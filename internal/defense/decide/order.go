package decide

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Verb is what an order asks for.
type Verb string

// The verbs.
const (
	Ban       Verb = "ban"       // refuse Prefix
	Allow     Verb = "allow"     // let Prefix in, whatever else is said of it
	Refuse    Verb = "refuse"    // what Match matches
	Challenge Verb = "challenge" // what Match matches
	Slow      Verb = "slow"      // what Match matches
	Unban     Verb = "unban"     // end what is said of Prefix and of prefixes within it
	Lift      Verb = "lift"      // end the mitigation ID
	Pin       Verb = "pin"       // keep the mitigation ID of the machine's, as it is
	Undo      Verb = "undo"      // reverse what was ordered within Since
	Off       Verb = "off"       // let everything through
	On        Verb = "on"        // defend again
)

// Order is what somebody asks for. Which fields are valid depends on Verb.
type Order struct {
	Verb   Verb          `json:"verb"`
	Prefix netip.Prefix  `json:"prefix,omitzero"` // Ban, Allow, Unban
	Match  string        `json:"match,omitzero"`  // Refuse, Challenge, Slow
	ID     mitigation.ID `json:"id,omitzero"`     // Lift, Pin
	For    time.Duration `json:"for,omitzero"`    // Ban, Allow, Refuse, Challenge, Slow, Pin; 0: until lifted
	Since  time.Duration `json:"since,omitzero"`  // Undo
	Note   string        `json:"note,omitzero"`   // why
	By     mitigation.By `json:"by,omitzero"`     // "" is a person
}

// Result says what an order did.
type Result struct {
	Text    string                  `json:"text"`    // one plain sentence
	Changed []mitigation.Mitigation `json:"changed"` // made, ended or restored
}

// Errors that a caller decides on.
var (
	// ErrNotFound says that there is nothing active to end.
	ErrNotFound = errors.New("nothing like that is active")
	// ErrFull says that there are too many orders.
	ErrFull = errors.New("there are too many orders; lift some first")
)

// The widest prefixes that can be banned: more is half the internet, and most
// likely a mistake.
const (
	widest4 = 8
	widest6 = 16
)

const longestNote = 300

// Order carries out what somebody asks for. n may be nil; it serves to tell how
// much ordinary traffic an order hits.
func (d *Decider) Order(now Moment, o Order, n *traffic.Normal) (Result, Output, error) {
	if o.By == "" {
		o.By = mitigation.ByOperator
	}
	if len(o.Note) > longestNote {
		o.Note = strings.ToValidUTF8(o.Note[:longestNote], "")
	}
	if o.For < 0 || o.Since < 0 {
		return Result{}, d.take(), errors.New("a time cannot be negative")
	}
	var (
		r   Result
		err error
	)
	switch o.Verb {
	case Ban, Allow:
		r, err = d.orderPrefix(now, o)
	case Refuse, Challenge, Slow:
		r, err = d.orderMatch(now, o, n)
	case Unban:
		r, err = d.unban(now, o)
	case Lift:
		r, err = d.lift(now, o)
	case Pin:
		r, err = d.pin(now, o)
	case Undo:
		r, err = d.undo(now, o)
	case Off, On:
		r = d.turn(o.Verb == Off)
	default:
		err = fmt.Errorf("%q is no order: write ban, allow, refuse, challenge, slow, unban, lift, pin, undo, off or on", o.Verb)
	}
	if err == nil {
		// Addresses stay out of records: they would outlive the ban.
		said := r.Text
		if o.Prefix.IsValid() || slices.ContainsFunc(r.Changed, func(m mitigation.Mitigation) bool { return aboutAddress(m.Match) }) {
			said = fmt.Sprintf("Order: %s, %s changed.", o.Verb, plural(len(r.Changed), "mitigation"))
		}
		d.note("order", said, map[string]float64{"changed": float64(len(r.Changed)), "seconds": o.For.Seconds()})
	}
	return r, d.take(), err
}

// tooWide is the error for a prefix that is most likely a mistake.
func tooWide(p netip.Prefix) error {
	least := widest6
	if p.Addr().Is4() {
		least = widest4
	}
	if p.Bits() < least {
		return fmt.Errorf("%s is too wide: at most /%d can be ordered at once", p, least)
	}
	return nil
}

func (d *Decider) orderPrefix(now Moment, o Order) (Result, error) {
	if !o.Prefix.IsValid() {
		return Result{}, errors.New("an address or a prefix is missing: write 198.51.100.7 or 198.51.100.0/24")
	}
	m := match.Client(o.Prefix)
	p, _ := m.OnlyClient()
	if err := tooWide(p); err != nil {
		return Result{}, err
	}
	action, note := mitigation.Refuse, "Banned by the operator."
	if o.Verb == Allow {
		action, note = mitigation.Admit, "Allowed by the operator."
	}
	if o.Note != "" {
		note = o.Note
	}
	// An order replaces an older one about the same prefix, and the machine's
	// bans that it makes pointless.
	for _, e := range d.about(p, o.Verb == Allow) {
		d.end(now, e, "replaced by a newer order", o.By)
	}
	if d.orders >= mostOrders {
		return Result{}, ErrFull
	}
	e := d.begin(now, kindOrder, mitigation.Mitigation{Match: m, Action: action, By: o.By, Note: note}, o.For)
	text := fmt.Sprintf("Banned %s%s (#%d).", p, lasting(o.For), e.m.ID)
	if o.Verb == Allow {
		text = fmt.Sprintf("Allowed %s%s (#%d).", p, lasting(o.For), e.m.ID)
	} else if d.allows.covers(p) {
		text += " It is on the allow list too, which wins."
	}
	return Result{Text: text, Changed: []mitigation.Mitigation{e.m}}, nil
}

// about lists what is active about exactly p, and with inside also the
// machine's bans within p. Rules are not among it: they stand until the
// configuration changes.
func (d *Decider) about(p netip.Prefix, inside bool) []*entry {
	var out []*entry
	for _, id := range d.ids() {
		e := d.active[id]
		q, ok := e.m.Banned()
		if ok && e.kind != kindRule && (q == p || inside && e.kind == kindBan && q.Bits() >= p.Bits() && p.Contains(q.Addr())) {
			out = append(out, e)
		}
	}
	return out
}

func (d *Decider) orderMatch(now Moment, o Order, n *traffic.Normal) (Result, error) {
	if strings.TrimSpace(o.Match) == "" {
		return Result{}, errors.New(`the match is empty: name at least one condition, such as path == "/search"`)
	}
	m, err := match.Parse(o.Match)
	if err != nil {
		return Result{}, fmt.Errorf("the match cannot be used: %w", err)
	}
	if len(m.Tests()) == 0 {
		return Result{}, errors.New("the match hits everybody: name at least one condition")
	}
	if p, ok := m.OnlyClient(); ok {
		if err := tooWide(p); err != nil {
			return Result{}, err
		}
	}
	action, verb := mitigation.Refuse, "Refusing"
	switch {
	case o.Verb == Slow:
		action, verb = mitigation.Slow, "Slowing"
	case o.Verb == Challenge && m.OnPackets():
		return Result{}, errors.New("packets cannot be asked to come back: refuse them, or slow them, which only counts them")
	case o.Verb == Challenge:
		action, verb = mitigation.Challenge, "Challenging"
	}
	if d.orders >= mostOrders || asksVisits(m, action) && d.matches() >= mostMatches {
		return Result{}, ErrFull
	}
	note := o.Note
	if note == "" {
		note = "Ordered by the operator."
	}
	share, tested := collateral(m, n)
	e := d.begin(now, kindOrder, mitigation.Mitigation{Match: m, Action: action, By: o.By, Note: note, Expected: share}, o.For)
	text := fmt.Sprintf("%s %s%s (#%d).", verb, m, lasting(o.For), e.m.ID)
	if tested > 0 {
		what := "requests"
		if m.OnPackets() {
			what = "packets"
		}
		text += fmt.Sprintf(" It would have hit %.1f %% of the last %d ordinary %s that were kept.", 100*share, tested, what)
	}
	return Result{Text: text, Changed: []mitigation.Mitigation{e.m}}, nil
}

// matches counts people's orders that the door asks of each visit.
func (d *Decider) matches() (n int) {
	for _, e := range d.active {
		if e.kind == kindOrder && asksVisits(e.m.Match, e.m.Action) {
			n++
		}
	}
	return n
}

// asksVisits says whether the door has to ask each visit: for prefixes, unless they are
// challenged, and for packets there are other lists.
func asksVisits(m *match.Match, a mitigation.Action) bool {
	_, prefix := m.OnlyClient()
	return !m.OnPackets() && (!prefix || a == mitigation.Challenge)
}

// collateral is the share of ordinary requests, or packets, that m hits.
func collateral(m *match.Match, n *traffic.Normal) (share float64, tested int) {
	if n != nil && m.OnPackets() {
		return packetCollateral(m, n.Packets.Ordinary)
	}
	if n == nil || len(n.Ordinary) == 0 {
		return 0, 0
	}
	hits := 0
	for i := range n.Ordinary {
		if m.Hits(&n.Ordinary[i].Visit) {
			hits++
		}
	}
	return float64(hits) / float64(len(n.Ordinary)), len(n.Ordinary)
}

// unban ends what is said of a prefix. The machine does not repeat it for an
// hour.
func (d *Decider) unban(now Moment, o Order) (Result, error) {
	if !o.Prefix.IsValid() {
		return Result{}, errors.New("an address or a prefix is missing: write 198.51.100.7 or 198.51.100.0/24")
	}
	p, _ := match.Client(o.Prefix).OnlyClient()
	list := d.about(p, true)
	if len(list) == 0 {
		if e := d.ruleAbout(p); e != nil {
			return Result{}, e.fixed()
		}
		return Result{}, fmt.Errorf("%s is neither banned nor allowed: %w", p, ErrNotFound)
	}
	var r Result
	for _, e := range list {
		d.end(now, e, "ended by the operator", o.By)
		r.Changed = append(r.Changed, e.m)
	}
	d.forbid(now, match.Client(p))
	r.Text = fmt.Sprintf("Ended %s about %s; the machine does not repeat it for an hour.", plural(len(list), "mitigation"), p)
	return r, nil
}

func (d *Decider) lift(now Moment, o Order) (Result, error) {
	e := d.active[o.ID]
	if e == nil {
		return Result{}, fmt.Errorf("mitigation #%d: %w", o.ID, ErrNotFound)
	}
	if e.kind == kindRule {
		return Result{}, e.fixed()
	}
	d.end(now, e, "lifted by the operator", o.By)
	text := fmt.Sprintf("Lifted #%d (%s %s).", o.ID, e.m.Action, e.m.Match)
	if e.kind != kindOrder {
		d.forbid(now, e.m.Match)
		text += " The machine does not repeat it for an hour."
	}
	return Result{Text: text, Changed: []mitigation.Mitigation{e.m}}, nil
}

// undo reverses what was ordered within o.Since, by people and by the machine:
// what was begun is ended, what was lifted is back. What the machine began it
// may not repeat for an hour. Rules stand: the file would bring them back.
func (d *Decider) undo(now Moment, o Order) (Result, error) {
	if o.Since <= 0 {
		return Result{}, errors.New("how far back is missing: write --since 10m")
	}
	from := now.At.Add(-o.Since)
	var r Result
	ended := 0
	var rules []string
	for _, id := range d.ids() {
		e := d.active[id]
		if e.harsh < from { // as it acts now, it was ordered before
			continue
		}
		if e.kind == kindRule {
			rules = append(rules, e.m.Name)
			continue
		}
		d.end(now, e, "undone by the operator", o.By)
		if e.kind != kindOrder {
			d.forbid(now, e.m.Match)
		}
		r.Changed = append(r.Changed, e.m)
		ended++
	}
	// What the machine did and ended within that time may come back as little.
	since := now.Wall.Add(-o.Since)
	restored := 0
	for _, over := range d.ended.since(since) {
		switch {
		case over.kind != kindOrder && !over.From.Before(since) && (over.EndedBy == "" || over.EndedBy == mitigation.ByMachine) && over.Match != nil:
			d.forbid(now, over.Match)
		case over.kind == kindOrder && over.From.Before(since) && liftedByPerson(over) && !over.Expired(now.Wall) && over.Match != nil:
			d.restore(now, over)
			r.Changed = append(r.Changed, over.Mitigation)
			restored++
		}
	}
	r.Text = fmt.Sprintf("Undid the last %s: ended %s", o.Since.Round(time.Second), plural(ended, "mitigation"))
	if restored > 0 {
		r.Text += fmt.Sprintf(", brought back %s that had been lifted", plural(restored, "order"))
	}
	r.Text += ". The machine does not repeat any of it for an hour."
	if len(rules) > 0 {
		r.Text += " Rules of the configuration stand, " + strings.Join(rules, ", ") + " among them: take them out of the file and run `seawall reload`."
	}
	return r, nil
}

func liftedByPerson(e Ended) bool {
	return e.EndedBy == mitigation.ByOperator && !strings.HasPrefix(e.Why, "undone")
}

// restore makes an ended order active again, under its old number.
func (d *Decider) restore(now Moment, over Ended) {
	if d.orders >= mostOrders {
		return
	}
	d.ended.remove(over.ID)
	e := &entry{m: over.Mitigation, kind: kindOrder, harsh: now.At, made: now.At.Add(over.From.Sub(now.Wall)), hits: over.Hits}
	if !e.m.Until.IsZero() {
		e.until = now.At.Add(e.m.Until.Sub(now.Wall))
	}
	d.index(e)
	d.publish(e)
}

func (d *Decider) forbid(now Moment, m *match.Match) {
	d.undone.add(m, now.At.Add(undoneFor))
	d.out.Events = append(d.out.Events, Event{Undone: &UndoneEvent{Match: writeMatch(m), Until: now.Wall.Add(undoneFor)}})
}

// turn switches everything off or on. While off, the machine makes nothing new.
func (d *Decider) turn(off bool) Result {
	was := d.off
	d.off = off
	switch {
	case off && !was:
		return Result{Text: "Off: everything passes; nothing new is ordered by the machine."}
	case off:
		return Result{Text: "It was off already."}
	case was:
		return Result{Text: "On: defending again."}
	}
	return Result{Text: "It was on already."}
}

func lasting(d time.Duration) string {
	if d <= 0 {
		return " until lifted"
	}
	return " for " + d.Round(time.Second).String()
}
