package packet

import (
	"net/netip"
	"time"

	"seawall/internal/packet/filter"
)

// enforcer keeps the lists and acts on them: the filter, or what stands in for it
// where it cannot be had.
type enforcer interface {
	// Block stops packets from a prefix until a moment, the zero Time being for
	// ever. What a person has not ordered ends with the lease.
	Block(p netip.Prefix, end time.Time, person bool) error
	Unblock(p netip.Prefix) error
	// Allow lets them pass, whatever else is said.
	Allow(p netip.Prefix, end time.Time) error
	Disallow(p netip.Prefix) error
	// Renew prolongs the lease to d from now.
	Renew(d time.Duration) error
	// Sweep takes off the lists what is over.
	Sweep() (int, error)
	// Attach makes packets that come in at an interface meet it.
	Attach(name string) (filter.How, error)
	Detach(name string) error
	Counts() (filter.Counts, error)
	Close()
}

// on is what acts; nil where nothing does.
func (p *Packet) on() enforcer {
	if p.filter != nil {
		return p.filter
	}
	return nil
}
