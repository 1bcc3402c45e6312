package packet

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"seawall/internal/mitigation"
	"seawall/internal/packet/filter"
)

// sign makes a signature of a mitigation about packets: one that refuses or
// drops stops what it hits; any other, and one on a dry run, only counts it. Whoever ordered it, it
// ends with the lease, and spares whom the allow list lets pass. Where there is no
// room for all, it returns a mitigation.LeftOut.
func (p *Packet) sign(m mitigation.Mitigation) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o, known := p.orders[m.ID]; known { // it was about a prefix before
		if err := p.strike(m.ID, o); err != nil {
			return err
		}
	}
	stops := !m.Shadow && (m.Action == mitigation.Refuse || m.Action == mitigation.Drop)
	p.signs[m.ID] = filter.Signature{ID: uint32(m.ID), Match: m.Match, Enforce: stops}
	err := p.setSignatures()
	if errors.Is(err, filter.ErrSignature) {
		// Trying again would not help, and it would stand in the way of others.
		delete(p.signs, m.ID)
		p.refused++
		p.log.Warn("the packet filter cannot have a signature; nothing is done about its packets", "match", m.Match, "err", err)
		return p.setSignatures()
	}
	if err == nil && len(p.left) > 0 {
		return &mitigation.LeftOut{IDs: slices.Sorted(maps.Keys(p.left)), Why: fmt.Sprintf("the packet filter has room for %d signatures; "+
			"withdraw some (`seawall mitigations` lists them), or take rules about packets out of the configuration", filter.SignaturesMost)}
	}
	return err
}

// unsign takes a mitigation's signature away, if it has one.
func (p *Packet) unsign(id mitigation.ID) error {
	was, known := p.signs[id]
	if !known {
		return nil
	}
	delete(p.signs, id)
	err := p.setSignatures()
	if err != nil {
		p.signs[id] = was // it still acts, and is to be tried again
	}
	return err
}

// setSignatures tells the filter which signatures stand. Where there are more
// than it takes, those that only count give way, and then the youngest.
func (p *Packet) setSignatures() error {
	if p.filter == nil && (p.started || len(p.cfg.Interfaces) == 0) {
		p.left = nil
		return nil // there is no filter, and none is still to come
	}
	list := make([]filter.Signature, 0, len(p.signs))
	for _, s := range p.signs {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b filter.Signature) int {
		if a.Enforce != b.Enforce {
			if a.Enforce {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	fit := min(len(list), filter.SignaturesMost)
	if p.filter != nil {
		if err := p.filter.SetSignatures(list[:fit]); err != nil {
			return err
		}
	}
	p.leaveOut(list[fit:])
	return nil
}

// leaveOut notes what there is no room for, and says so once of each.
func (p *Packet) leaveOut(rest []filter.Signature) {
	before := p.left
	p.left = make(map[mitigation.ID]bool, len(rest))
	for _, s := range rest {
		id := mitigation.ID(s.ID)
		if p.left[id] = true; !before[id] {
			p.refused++
			p.log.Warn("the packet filter has no room for a signature; nothing is done about its packets", "mitigation", id, "match", s.Match, "most", filter.SignaturesMost)
		}
	}
}
