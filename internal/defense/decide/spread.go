package decide

import (
	"cmp"
	"slices"
	"time"

	"seawall/internal/traffic"
)

const (
	spreadOver  = time.Minute     // that a ban lasts longer at most
	spreadMost  = time.Second     // between two ends
	spreadAhead = 3 * time.Second // Step is called once a second
)

// spread keeps bans that began together from ending together while an attack
// runs that the kernel holds off. Whether a client still comes cannot be seen
// while its packets are stopped: it has to be let go to be tried. Those that are
// due end one after the other, within a minute, so that what comes back is a
// trickle, which the door reports anew, and not the flood. Each ban is put off
// once, so that it costs one event.
func (d *Decider) spread(now Moment, w *traffic.Window) {
	if !d.attack || w == nil || w.Packets.Blocked() == 0 {
		return
	}
	var due []*entry
	stopped := 0
	for _, e := range d.active {
		if e.kind != kindBan || !e.m.Direct {
			continue
		}
		stopped++
		if left := e.until.Sub(now.At); !e.spread && left > 0 && left <= spreadAhead {
			due = append(due, e)
		}
	}
	if len(due) == 0 {
		return
	}
	slices.SortFunc(due, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.until, b.until), cmp.Compare(a.m.ID, b.m.ID))
	})
	gap := min(spreadOver/time.Duration(stopped), spreadMost)
	for _, e := range due[:min(len(due), bansATick)] {
		e.spread = true
		if next := max(d.letGo.Add(gap), e.until); next > e.until {
			d.letGo = min(next, e.until.Add(spreadOver))
			d.extend(now, e, d.letGo.Sub(now.At))
		} else {
			d.letGo = e.until
		}
	}
}
