package packet

import (
	"errors"

	"seawall/internal/packet/filter"
)

// retriesMost is how many orders retry tries, so that it holds nobody up.
const retriesMost = 1000

// refuse notes that the filter cannot have an order, and says so once. It is no
// error to the control loop, whose trying again would not help: the door has the
// order, too. It needs mu.
func (p *Packet) refuse(at place, o order, why error) {
	if _, said := p.waiting[at]; said {
		return
	}
	p.waiting[at] = errors.Is(why, filter.ErrFull)
	if p.refused++; o.person || p.refused == 1 {
		p.log.Warn("the packet filter cannot have this prefix; the door alone heeds it", "prefix", at.prefix, "allow", at.allow, "err", why)
	}
}

// retry puts on the lists what there was no room for. It needs mu.
func (p *Packet) retry() {
	tries := 0
	for at, room := range p.waiting {
		if !room {
			continue
		}
		if tries++; tries > retriesMost {
			return
		}
		if err := p.show(at); err != nil {
			p.log.Error("put an order on the packet filter's list", "err", err)
		}
	}
}
