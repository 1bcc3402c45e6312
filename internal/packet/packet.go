package packet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/packet/filter"
)

// How often Run does what.
const (
	renewEvery = 10 * time.Second
	sweepEvery = time.Minute
)

// Packet keeps the filter in step with what people ordered. Without interfaces,
// or where this machine does not bear a filter, it does nothing, and says so.
// It is safe for concurrent use.
type Packet struct {
	cfg Config
	log *slog.Logger

	mu      sync.Mutex     // guards the following
	filter  *filter.Filter // nil: there is none
	off     bool
	at      map[string]filter.How // interfaces that are filtered
	said    map[string]string     // the last complaint about an interface
	always  []netip.Prefix        // allowed by the configuration
	orders  map[mitigation.ID]order
	signs   map[mitigation.ID]filter.Signature
	refused uint64 // orders that the filter could not take
}

// order is what stands on the filter's lists for a mitigation.
type order struct {
	prefix netip.Prefix
	until  time.Time
	allow  bool
}

// New makes a Packet that filters nothing before Start.
func New(cfg Config, log *slog.Logger) *Packet {
	return &Packet{
		cfg: cfg, log: log,
		at: map[string]filter.How{}, said: map[string]string{},
		orders: map[mitigation.ID]order{}, signs: map[mitigation.ID]filter.Signature{},
	}
}

// Start loads the filter for the ports at which Seawall listens and attaches it.
// What cannot be had is logged, and HTTP is defended all the same.
func (p *Packet) Start(ports []uint16) {
	if len(p.cfg.Interfaces) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.off {
		// What a crashed one has left must not act.
		if err := filter.Remove(p.cfg.Pins); err != nil {
			p.log.Error("packets may still be filtered", "err", err)
		}
	}
	ports = append(slices.Clone(ports), p.cfg.Ports...)
	// UDP as well: HTTP/3 may be there, and reflected floods aim at these ports.
	guard := filter.Guard{TCP: ports, UDP: ports, Loopback: p.onLoopback()}
	f, err := filter.New(p.cfg.Filter, guard, p.cfg.Pins)
	if err != nil {
		p.log.Error("packets are not filtered; HTTP is defended all the same", "err", err)
		return
	}
	p.filter = f
	for _, prefix := range p.always {
		p.allow(prefix)
	}
	for _, o := range p.orders {
		if err := p.put(o); err != nil {
			p.log.Error("put an order on the packet filter's list", "err", err)
		}
	}
	if err := p.setSignatures(); err != nil {
		p.log.Error("packets that signatures describe are not stopped", "err", err)
	}
	p.attach()
}

// onLoopback says whether the loopback interface is filtered, where packets from
// loopback to loopback are in their place.
func (p *Packet) onLoopback() bool {
	return slices.ContainsFunc(p.cfg.Interfaces, func(name string) bool {
		at, err := net.InterfaceByName(name)
		return err == nil && at.Flags&net.FlagLoopback != 0
	})
}

// attach makes every interface filtered that is not: one may come up late, or be
// made anew.
func (p *Packet) attach() {
	if p.filter == nil || p.off {
		return
	}
	for _, name := range p.cfg.Interfaces {
		how, err := p.filter.Attach(name)
		if err != nil {
			delete(p.at, name)
			if p.said[name] != err.Error() {
				p.said[name] = err.Error()
				p.log.Error("an interface's packets are not filtered", "err", err)
			}
			continue
		}
		delete(p.said, name)
		if p.at[name] == how {
			continue // as it was
		}
		p.at[name] = how
		p.log.Info("packets are filtered", "interface", name, "mode", string(how))
		if how == filter.Generic {
			p.log.Warn("the driver cannot filter before the kernel has handled a packet: a flood costs several times as much as it would in native mode", "interface", name)
		}
	}
}

// Run renews the lease, without which the kernel lets packets pass, until ctx
// ends.
func (p *Packet) Run(ctx context.Context) error {
	if len(p.cfg.Interfaces) == 0 {
		return nil
	}
	renew, sweep := time.NewTicker(renewEvery), time.NewTicker(sweepEvery)
	defer renew.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-renew.C:
			p.renew()
		case <-sweep.C:
			p.sweep()
		}
	}
}

func (p *Packet) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filter == nil {
		return
	}
	if err := p.filter.Renew(filter.LeaseTime); err != nil {
		p.log.Error("packets will pass unfiltered when the lease is over", "err", err)
	}
	p.attach()
}

func (p *Packet) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filter == nil {
		return
	}
	if _, err := p.filter.Sweep(); err != nil {
		p.log.Error("sweep the packet filter's lists", "err", err)
	}
}

// Always makes prefixes pass whatever else is said, in the place of those that
// it was told before: the configuration's allow list, and trusted proxies.
func (p *Packet) Always(list []netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.always
	p.always = slices.Clone(list)
	if p.filter == nil {
		return
	}
	for _, prefix := range list {
		if !slices.Contains(before, prefix) {
			p.allow(prefix)
		}
	}
	for _, prefix := range before {
		if err := p.disallow(prefix); err != nil {
			p.log.Error("take a prefix off the packet filter's allow list", "err", err)
		}
	}
}

func (p *Packet) allow(prefix netip.Prefix) {
	if err := p.filter.Allow(prefix, time.Time{}); err != nil {
		p.log.Error("put a prefix on the packet filter's allow list", "err", err)
	}
}

// disallow takes a prefix off the allow list, unless something else allows it.
func (p *Packet) disallow(prefix netip.Prefix) error {
	if slices.Contains(p.always, prefix) {
		return nil
	}
	for _, o := range p.orders {
		if o.allow && o.prefix == prefix {
			return p.filter.Allow(prefix, o.until)
		}
	}
	return p.filter.Disallow(prefix)
}

// Apply puts people's bans and allow entries on the filter's lists, and makes
// signatures of matches on packets. Other mitigations are the door's alone: what
// the machine knows of an address may have come from a header, and who shares it
// is known only there.
func (p *Packet) Apply(m mitigation.Mitigation) error {
	if m.Match.OnPackets() {
		return p.sign(m)
	}
	prefix, one := m.Banned()
	o := order{prefix: prefix, until: m.Until, allow: m.Action == mitigation.Admit}
	stops := m.Action == mitigation.Refuse || m.Action == mitigation.Drop
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.unsign(m.ID); err != nil { // it was about packets before
		return err
	}
	if !one || m.By != mitigation.ByOperator || !o.allow && !stops {
		return nil
	}
	was, again := p.orders[m.ID]
	p.orders[m.ID] = o
	if p.filter == nil {
		return nil
	}
	if again && (was.prefix != o.prefix || was.allow != o.allow) {
		if err := p.lift(was); err != nil {
			return err
		}
	}
	err := p.put(o)
	if errors.Is(err, filter.ErrFull) {
		// The door has it, too; trying again would not help.
		p.refused++
		p.log.Warn("the packet filter has no room; the door alone refuses this prefix", "prefix", prefix, "err", err)
		return nil
	}
	return err
}

// Withdraw takes what stands for a mitigation off the lists.
func (p *Packet) Withdraw(id mitigation.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, known := p.orders[id]
	delete(p.orders, id)
	err := p.unsign(id)
	if known {
		err = errors.Join(err, p.lifted(o))
	}
	return err
}

// lifted is lift where there may be no filter.
func (p *Packet) lifted(o order) error {
	if p.filter == nil {
		return nil
	}
	return p.lift(o)
}

func (p *Packet) put(o order) error {
	if o.allow {
		if slices.Contains(p.always, o.prefix) {
			return nil
		}
		return p.filter.Allow(o.prefix, o.until)
	}
	return p.filter.Block(o.prefix, o.until, true)
}

// lift undoes put, unless another order says the same.
func (p *Packet) lift(o order) error {
	if o.allow {
		return p.disallow(o.prefix)
	}
	for _, other := range p.orders {
		if !other.allow && other.prefix == o.prefix {
			return p.filter.Block(other.prefix, other.until, true)
		}
	}
	return p.filter.Unblock(o.prefix)
}

// SetOff lets all packets pass unseen, or filters them again.
func (p *Packet) SetOff(off bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = off
	if off {
		p.detach()
	} else {
		p.attach()
	}
}

func (p *Packet) detach() {
	for name := range p.at {
		if err := p.filter.Detach(name); err != nil {
			p.log.Error("packets may still be filtered; `ip link set dev "+name+" xdp off` ends it", "err", err)
			continue
		}
		delete(p.at, name)
	}
}

// Close detaches the filter and gives back what it holds. Only a crash leaves it
// attached, until its lease is over.
func (p *Packet) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filter == nil {
		return nil
	}
	p.detach()
	p.filter.Close()
	p.filter = nil
	if err := filter.Remove(p.cfg.Pins); err != nil {
		return fmt.Errorf("close the packet filter: %w", err)
	}
	return nil
}

// Stats is what the filter does.
type Stats struct {
	Interfaces map[string]filter.How   // those that are filtered
	Refused    uint64                  // orders and signatures that it could not have
	Hits       map[uint32]filter.Tally // of signatures, by the mitigation's ID
	filter.Counts
}

// Stats tells what the filter does; ok is false where there is none.
func (p *Packet) Stats() (s Stats, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filter == nil {
		return s, false
	}
	counts, err := p.filter.Counts()
	hits, errHits := p.filter.Hits()
	if err := errors.Join(err, errHits); err != nil {
		p.log.Error("count packets", "err", err)
		return s, false
	}
	s = Stats{Interfaces: map[string]filter.How{}, Refused: p.refused, Hits: hits, Counts: counts}
	for name, how := range p.at {
		s.Interfaces[name] = how
	}
	return s, true
}

// Remove ends a filter that a dead Seawall has left pinned.
func Remove(pins string) error { return filter.Remove(pins) }
