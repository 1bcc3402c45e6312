package packet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"seawall/internal/packet/fallback"
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
	switch {
	case p.filter != nil:
		return p.filter
	case p.plain != nil:
		return plain{p.plain}
	}
	return nil
}

// NFTables is how packets are filtered where XDP cannot be had: by the lists
// alone.
const NFTables filter.How = "nftables"

// plain makes an enforcer of the lists in nftables.
type plain struct{ *fallback.Lists }

func (l plain) Attach(name string) (filter.How, error) { return NFTables, l.Lists.Attach(name) }

func (l plain) Block(p netip.Prefix, end time.Time, person bool) error {
	return full(l.Lists.Block(p, end, person))
}

func (l plain) Allow(p netip.Prefix, end time.Time) error { return full(l.Lists.Allow(p, end)) }

// full says ErrFull as the filter says it.
func full(err error) error {
	if errors.Is(err, fallback.ErrFull) {
		return fmt.Errorf("%w: %w", filter.ErrFull, err)
	}
	return err
}

func (l plain) Counts() (c filter.Counts, err error) {
	n, err := l.Lists.Counts()
	c.Done[filter.PassAllowed] = filter.Tally(n.Allowed)
	if l.DryRun() {
		c.Dry[filter.StopBlocked] = filter.Tally(n.Blocked)
	} else {
		c.Done[filter.StopBlocked] = filter.Tally(n.Blocked)
	}
	return c, err
}

// standIn has nftables keep the lists, since XDP cannot be had for a reason. It
// says so loudly: nothing but the lists works then. It needs mu.
func (p *Packet) standIn(why error) {
	if p.cfg.Fallback != "nftables" {
		p.log.Error("packets are not filtered; HTTP is defended all the same", "err", why)
		return
	}
	if p.cfg.Filter.Block == filter.Off {
		p.log.Error("packets are not filtered: nftables could stand in for the list of bans, and that is off; HTTP is defended all the same", "err", why)
		return
	}
	// What a process with more rights has pinned acts no longer, when its lease is
	// over, but for people's bans.
	p.removeLeft()
	p.prepare("nftables")
	if p.off || p.trial.failed {
		p.removeTable()
	}
	l, err := fallback.New(fallback.Options{
		Table: tableOf(p.cfg.Pins), Ports: p.ports, Entries4: p.cfg.Filter.Entries4, Entries6: p.cfg.Filter.Entries6,
		DryRun: p.cfg.Filter.Block == filter.DryRun,
	})
	if err != nil {
		p.log.Error("packets are not filtered, neither by XDP nor by nftables: HTTP alone is defended", "xdp", why, "nftables", err)
		return
	}
	p.plain = l
	if err := l.Renew(p.lease()); err != nil {
		p.log.Error("the machine's bans are not in nftables yet", "err", err)
	}
	p.log.Warn("XDP cannot be had: nftables filters packets, and only by the lists of who is banned and who is allowed. Malformed and reflected packets, fragments, ICMP, budgets, SYN cookies and signatures are not looked at", "err", why)
	p.showAll()
	p.attach()
}

// removeTable takes away what an earlier process has left. Where that cannot be,
// there is no nftables.
func (p *Packet) removeTable() {
	if err := RemoveTable(p.cfg.Pins); err != nil {
		p.log.Debug("look for an earlier table", "err", err)
	}
}

// tableOf is the name of the table in nftables: as with the folder for pins, each
// Seawall on a machine has its own.
func tableOf(pins string) string {
	if pins == DefaultConfig().Pins {
		return "seawall"
	}
	sum := sha256.Sum256([]byte(filepath.Clean(pins)))
	return "seawall-" + hex.EncodeToString(sum[:4])
}

// Table is the table in nftables that filters packets; "" where none does.
func (p *Packet) Table() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plain == nil {
		return ""
	}
	return tableOf(p.cfg.Pins)
}

// RemoveTable ends the table in nftables, and says so where it cannot.
func RemoveTable(pins string) error { return fallback.Remove(tableOf(pins)) }
