package packet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/packet/fallback"
	"seawall/internal/packet/filter"
)

// How often Run does what.
const (
	renewEvery = 10 * time.Second
	sweepEvery = time.Minute
	lookEvery  = 500 * time.Millisecond // while a trial runs
	leaseTime  = filter.LeaseTime
)

// Packet keeps the filter in step with what is ordered. Without interfaces,
// or where this machine does not bear a filter, it does nothing, and says so.
// It is safe for concurrent use.
type Packet struct {
	cfg Config
	log *slog.Logger

	mu         sync.Mutex      // guards the following
	filter     *filter.Filter  // nil: there is none
	plain      *fallback.Lists // stands in for it; nil: nothing does
	started    bool
	turned     int // interfaces that were there at the last attach, and could not be filtered
	off        bool
	at         map[string]filter.How // interfaces that are filtered
	complaints map[string]string     // the last one about each interface
	asked      []uint16              // to be protected
	ports      []uint16              // those of them that are
	ssh        map[uint16]bool       // ports that never are
	here       machine
	trial      trial
	cut        mark     // of Cut
	every      uint32   // one packet in so many is sampled; 0: not said yet
	capture    *Capture // nil: nobody captures
	signs      map[mitigation.ID]filter.Signature
	left       map[mitigation.ID]bool // of signs, those for which the filter has no room
	book

	rest time.Time // Run's own: until when the kernel's table is not read again
}

// New makes a Packet that filters nothing before Start.
func New(cfg Config, log *slog.Logger) *Packet {
	return &Packet{
		cfg: cfg, log: log,
		at: map[string]filter.How{}, complaints: map[string]string{},
		signs: map[mitigation.ID]filter.Signature{}, book: newBook(),
		here:  machine{proc: os.DirFS("/proc"), root: os.DirFS("/")},
		trial: trial{within: cfg.ConfirmWithin},
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
	p.started = true
	p.asked = append(slices.Clone(ports), p.cfg.Ports...)
	ports = p.spareSSH()
	p.prepare("xdp")
	p.allowSessions()
	guard := filter.Guard{TCP: ports, UDP: p.cfg.GuardedUDP(ports), Loopback: p.onLoopback(), MTU: p.smallestMTU()}
	f, err := filter.New(p.cfg.Filter, guard, p.cfg.Pins)
	if errors.Is(err, filter.ErrUnsupported) {
		p.standIn(err)
		return
	}
	if err != nil {
		p.log.Error("packets are not filtered; HTTP is defended all the same", "err", err)
		p.removeLeft()
		return
	}
	p.filter = f
	p.removeTable() // one that had no XDP has left it
	p.keepAttached()
	p.unsure = true
	p.showAll()
	if err := p.setSignatures(); err != nil {
		p.log.Error("packets that signatures describe are not stopped", "err", err)
	}
	p.sampleEvery(firstEvery)
	p.attach()
	if p.turned > 0 && len(p.at) == 0 {
		if err := f.End(); err != nil {
			p.log.Error("an unused packet filter is left", "err", err)
		}
		p.filter, p.unsure = nil, false
		p.standIn(errors.New("no interface takes an XDP program; a restart tries again"))
	}
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
	if p.on() == nil || p.off || !p.mayAttach() {
		return
	}
	p.turned = 0
	for _, name := range p.cfg.Interfaces {
		how, err := p.on().Attach(name)
		if err != nil {
			if _, e := net.InterfaceByName(name); e == nil {
				p.turned++
			}
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
	p.begin()
}

// Run renews the lease, without which the kernel lets packets pass, and arms the
// SYN cookies when they are needed, until ctx ends.
func (p *Packet) Run(ctx context.Context) error {
	if len(p.cfg.Interfaces) == 0 {
		return nil
	}
	renew, sweep, look := time.NewTicker(renewEvery), time.NewTicker(sweepEvery), time.NewTicker(lookEvery)
	defer look.Stop()
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
		case <-look.C:
			p.look()
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
	if p.on() == nil {
		return
	}
	if p.filter != nil {
		if err := p.filter.Adapt(); err != nil {
			p.log.Error("have the packet filter know what has changed of this machine", "err", err)
		}
	}
	if err := p.on().Renew(p.lease()); err != nil {
		p.log.Error("packets will pass unfiltered when the lease is over", "err", err)
	}
	p.attach()
	p.reconcile()
	p.retry()
}

func (p *Packet) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on() == nil {
		return
	}
	if _, err := p.on().Sweep(); err != nil {
		p.log.Error("sweep the packet filter's lists", "err", err)
	}
}

// SetOff lets all packets pass unseen, or filters them again.
func (p *Packet) SetOff(off bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = off
	switch {
	case !off:
		p.attach()
	case p.on() == nil:
		p.removeLeft()
	default:
		p.disarm()
		p.detach()
		p.forget()
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
		if err := p.on().Detach(name); err != nil {
			p.log.Error("packets are still filtered", "err", err)
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
	if p.on() == nil {
		if p.started {
			p.removeLeft()
		}
		return nil
	}
	p.disarm()
	p.detach()
	p.forget()
	var err error
	if p.filter != nil {
		err = p.filter.End()
	} else {
		p.plain.Close()
	}
	p.filter, p.plain = nil, nil
	if err != nil {
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
	if p.on() == nil {
		return s, false
	}
	counts, err := p.on().Counts()
	var hits map[uint32]filter.Tally
	var errHits error
	if p.filter != nil {
		hits, errHits = p.filter.Hits()
	}
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
