package decide

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"seawall/internal/mitigation"
)

// pin makes what the machine did a person's order: it neither ends when nothing is met any
// more nor with the attack, and is not loosened. It keeps its number and its action.
func (d *Decider) pin(now Moment, o Order) (Result, error) {
	e := d.active[o.ID]
	switch {
	case e == nil:
		return Result{}, fmt.Errorf("mitigation #%d: %w", o.ID, ErrNotFound)
	case e.kind == kindRule:
		return Result{}, e.fixed()
	case e.kind == kindOrder:
		return Result{}, fmt.Errorf("#%d is a person's order already: it stands until its time is over or somebody lifts it", o.ID)
	case d.orders >= mostOrders:
		return Result{}, ErrFull
	}
	d.unfile(e)
	e.kind, e.m.By, e.harsh, e.ttl = kindOrder, o.By, now.At, o.For
	// In watch mode what a person wants is done all the same.
	e.m.Shadow = false
	e.m.Few = false // a trial ends with the attack; this does not
	e.m.Note = "Pinned. " + e.m.Note
	if o.Note != "" {
		e.m.Note = o.Note
	}
	e.until, e.m.Until = 0, time.Time{}
	d.index(e)
	if o.For > 0 {
		d.extend(now, e, o.For)
	} else {
		d.publish(e)
	}
	return Result{
		Text:    fmt.Sprintf("Pinned #%d (%s %s)%s.", o.ID, e.m.Action, e.m.Match, lasting(o.For)),
		Changed: []mitigation.Mitigation{e.m},
	}, nil
}

// pinned says that a person's order was the machine's against a flood.
func (e *entry) pinned() bool { return e.kind == kindOrder && e.m.Finding != nil }

// isPinned says whether a person has pinned what has this match: the machine then leaves
// it as it is, and makes no other like it.
func (d *Decider) isPinned(text string) bool { return d.active[d.pinned[text]] != nil }

// sortedPins lists what is pinned, oldest first.
func (d *Decider) sortedPins() []mitigation.ID { return slices.Sorted(maps.Values(d.pinned)) }
