package packet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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

// Packet keeps the filter in step with what is ordered. Without interfaces,
// or where this machine does not bear a filter, it does nothing, and says so.
// It is safe for concurrent use.
type Packet struct {
	cfg Config
	log *slog.Logger

	mu         sync.Mutex     // guards the following
	filter     *filter.Filter // nil: there is none
	off        bool
	at         map[string]filter.How // interfaces that are filtered
	complaints map[string]string     // the last one about each interface
	ports      []uint16              // protected
	cut        mark                  // of Cut
	every      uint32                // one packet in so many is sampled; 0: not said yet
	capture    *Capture              // nil: nobody captures
	signs      map[mitigation.ID]filter.Signature
	book
}

// New makes a Packet that filters nothing before Start.
func New(cfg Config, log *slog.Logger) *Packet {
	return &Packet{
		cfg: cfg, log: log,
		at: map[string]filter.How{}, complaints: map[string]string{},
		signs: map[mitigation.ID]filter.Signature{}, book: newBook(),
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
	p.ports = ports
	guard := filter.Guard{TCP: ports, UDP: p.cfg.guardedUDP(ports), Loopback: p.onLoopback(), MTU: p.smallestMTU()}
	f, err := filter.New(p.cfg.Filter, guard, p.cfg.Pins)
	if err != nil {
		p.log.Error("packets are not filtered; HTTP is defended all the same", "err", err)
		return
	}
	p.filter = f
	// A processor that meets a packet before this is said takes no sample of the
	// next thousand, which take minutes where little comes in.
	if err := f.SampleEvery(1); err != nil {
		p.log.Error("sample packets", "err", err)
	} else {
		p.every = 1
	}
	p.showAll()
	if err := p.setSignatures(); err != nil {
		p.log.Error("packets that signatures describe are not stopped", "err", err)
	}
	p.attach()
}

// smallestMTU is that of the interfaces; 0 if none is there yet.
func (p *Packet) smallestMTU() int {
	least := 0
	for _, name := range p.cfg.Interfaces {
		if at, err := net.InterfaceByName(name); err == nil && (least == 0 || at.MTU < least) {
			least = at.MTU
		}
	}
	return least
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
			if p.complaints[name] != err.Error() {
				p.complaints[name] = err.Error()
				p.log.Error("an interface's packets are not filtered", "err", err)
			}
			continue
		}
		delete(p.complaints, name)
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

// Run renews the lease, without which the kernel lets packets pass, and arms the
// SYN cookies when they are needed, until ctx ends.
func (p *Packet) Run(ctx context.Context) error {
	if len(p.cfg.Interfaces) == 0 {
		return nil
	}
	renew, sweep := time.NewTicker(renewEvery), time.NewTicker(sweepEvery)
	defer renew.Stop()
	defer sweep.Stop()
	var watching sync.WaitGroup
	defer watching.Wait()
	if p.filtering() && p.cfg.Filter.Connections == filter.Enforce {
		watching.Go(func() { p.watchSyns(ctx) })
	}
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

func (p *Packet) filtering() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.filter != nil
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

// SetOff lets all packets pass unseen, or filters them again.
func (p *Packet) SetOff(off bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = off
	if off {
		p.disarm()
		p.detach()
	} else {
		p.attach()
	}
}

// disarm puts back what the cookies changed of the kernel's settings.
func (p *Packet) disarm() {
	if p.filter == nil {
		return
	}
	if err := p.filter.Arm(false); err != nil {
		p.log.Error("end the SYN cookies", "err", err)
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
	p.disarm()
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
	People     int                     // prefixes on its block list that people ban
	Machine    int                     // and those that the machine bans
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
	s = Stats{
		Interfaces: map[string]filter.How{}, People: p.people, Machine: p.machine,
		Refused: p.refused, Hits: hits, Counts: counts,
	}
	for name, how := range p.at {
		s.Interfaces[name] = how
	}
	return s, true
}

// Remove ends a filter that a dead Seawall has left pinned.
func Remove(pins string) error { return filter.Remove(pins) }
