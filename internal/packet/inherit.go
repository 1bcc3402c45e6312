package packet

import (
	"errors"
	"net/netip"

	"seawall/internal/packet/filter"
)

// Remove ends what a dead Seawall has left in the kernel: the filter that is
// pinned in a folder, and, where the rights are there, the table in nftables that
// may have stood in for it. A filter that a living Seawall uses stays, without an
// error: it heeds its own switch.
func Remove(pins string) error {
	_ = RemoveTable(pins)
	if err := filter.Remove(pins); !errors.Is(err, filter.ErrInUse) {
		return err
	}
	return nil
}

// removeLeft ends what a dead Seawall has left, where this one has no filter that
// would take it over: nobody else would end people's bans in it. It needs mu.
func (p *Packet) removeLeft() {
	if len(p.cfg.Interfaces) == 0 {
		return // app has seen to it
	}
	switch err := filter.Remove(p.cfg.Pins); {
	case errors.Is(err, filter.ErrInUse):
		p.log.Warn("the packet filter there is another Seawall's, and stays", "pins", p.cfg.Pins)
	case err != nil:
		p.log.Error("packets may still be filtered", "err", err)
	}
}

// keepAttached ends what a dead Seawall has left at interfaces that this one does
// not filter. It needs mu.
func (p *Packet) keepAttached() {
	keep := p.cfg.Interfaces
	if p.off || p.trial.failed {
		keep = nil
	}
	if err := p.filter.KeepAttached(keep); err != nil {
		p.log.Error("packets are still filtered where they should not be", "err", err)
	}
}

// reconcile takes off the lists what the book does not have: a dead Seawall may
// have left bans that were lifted since, and entries of another configuration.
// It comes with the first renewal of the lease, seconds after the control loop
// has applied all that the journal has, so that until then nobody is freed who is
// banned still. It needs mu.
func (p *Packet) reconcile() {
	if !p.unsure {
		return
	}
	var blocked, allowed []netip.Prefix
	for prefix := range p.always {
		allowed = append(allowed, prefix)
	}
	for at, s := range p.places {
		switch {
		case !s.on:
		case at.allow:
			allowed = append(allowed, at.prefix)
		default:
			blocked = append(blocked, at.prefix)
		}
	}
	gone, err := p.filter.Keep(blocked, allowed)
	if err != nil {
		p.log.Error("the packet filter's lists have entries that nobody ordered", "err", err)
		return
	}
	p.unsure = false
	if gone > 0 {
		p.log.Info("took off the packet filter's lists what nobody orders any more", "entries", gone)
	}
}
