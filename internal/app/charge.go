package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/defense"
	"seawall/internal/kit/journal"
	"seawall/internal/packet"
	"seawall/internal/traffic"
)

// handPatience is how long a process that takes over waits for what the other one,
// or a command that has just looked, still holds.
const handPatience = 2 * time.Second

// lockData keeps two Seawalls from writing the same journal.
func (p *program) lockData() error {
	data := p.cfg.Load().Data
	if err := os.MkdirAll(data, 0o750); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(data, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("%w %s: stop it, or name another folder with --data", errInUse, data)
	}
	p.lock = f
	return nil
}

var errInUse = errors.New("another Seawall already uses the data folder")

// patiently tries again for a moment what somebody else has in use.
func patiently(do func() error) error {
	end := time.Now().Add(handPatience)
	for {
		err := do()
		if !errors.Is(err, errInUse) && !errors.Is(err, journal.ErrInUse) || time.Now().After(end) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// takeCharge makes what there can be one of on a data folder: the control loop with
// its journal, and the packet filter with its pins. It needs the folder's lock.
func (p *program) takeCharge() error {
	cfg := p.cfg.Load()
	p.packet = packet.New(cfg.Packet, p.log)
	p.packet.OnTrial(filepath.Join(cfg.Data, confirmedFile))
	p.packet.Always(append(alwaysAllowed(cfg), p.operator...))
	p.door.filter.Store(p.packet)
	p.bans = &bans{filter: p.packet, door: p.door.admit, conns: p.listen}
	p.bans.init(p.log)
	return patiently(func() (err error) {
		p.loop, err = defense.New(cfg.Defense, defense.Deps{
			Clock: p.clk, Log: p.log, DataDir: cfg.Data,
			Applier: appliers{p.door.admit, inLine{p.door}, p.bans}, Stance: stance{p.door.admit, cfg.UnderAttack},
			Detectors:  detectors(cfg),
			Origin:     func() traffic.Origin { return p.door.now.Load().rooms.proxy.Origin() },
			Packets:    func() traffic.Packets { return p.packet.Cut(p.clk.Now()) },
			PacketsYet: p.packet.Yet,
			Links:      p.listen.Links,
			Offences:   p.door.admit.Offences(),
			Watch:      cfg.Watch(),
			Rules:      cfg.Rules.Parsed(),
			Shadows:    p.door.admit.Shadows,
			Trials:     p.door.admit.Trials,
			SetOff:     p.turnOff,
		})
		if err == nil {
			p.watcher.now.Store(p.loop.Observer())
		}
		return err
	})
}

// act begins to defend. When it returns, all that the journal holds is in force.
func (p *program) act() error {
	p.removeStray()
	if readOff(p.cfg.Load().Data) {
		p.off.Store(true)
		p.followed.Store(true)
		p.turnOff(true)
		p.log.Warn("switched off: everything passes; `seawall on` defends again")
	}
	p.crew = &crew{failed: make(chan error, 7)} // one for each part
	p.crew.enlist(part{"control loop", p.loop.Run})
	// The loop answers once it has applied what stands: then the filter begins with
	// it, and takes nothing off that an earlier one has on its lists.
	p.loop.Mitigations()
	p.packet.Start(p.ports())
	if err := p.sayRunning(); err != nil {
		return err
	}
	p.crew.enlist(part{"switch", p.watch}, part{"packet filter", p.packet.Run}, part{"bans", p.bans.Run}, part{"captures", p.keepCaptures}, part{"collector", p.collect})
	p.crew.enlist(part{"admin address", p.admin.Serve})
	return nil
}

// resign gives up what takeCharge has taken, once nobody works on it any more.
func (p *program) resign() {
	if p.loop != nil {
		if err := p.loop.Close(); err != nil {
			p.log.Error("close the journal", "err", err)
		}
	}
	if p.lock != nil {
		p.lock.Close()
	}
	p.lock = nil
}

// crew are the parts that work on what takeCharge has made, in watches that end one
// after the other: whoever gives orders first, and last the loop that carries them
// out.
type crew struct {
	failed  chan error
	watches []*watch // the last to end first
}

type part struct {
	name string
	run  func(context.Context) error
}

// watch are parts that end together.
type watch struct {
	stop    context.CancelFunc
	running sync.WaitGroup
}

// enlist starts parts, which end before those that were started earlier.
func (c *crew) enlist(parts ...part) {
	ctx, stop := context.WithCancel(context.Background())
	w := &watch{stop: stop}
	for _, one := range parts {
		w.running.Go(func() {
			if err := one.run(ctx); err != nil && ctx.Err() == nil {
				c.failed <- fmt.Errorf("%s: %w", one.name, err)
			}
		})
	}
	c.watches = append(c.watches, w)
}

// stopOrders returns when nobody gives orders any more.
func (c *crew) stopOrders() {
	if n := len(c.watches); n > 0 {
		c.watches[n-1].end()
	}
}

// stop returns when all have ended. It may be called again.
func (c *crew) stop() {
	for _, w := range slices.Backward(c.watches) {
		w.end()
	}
}

func (w *watch) end() {
	w.stop()
	w.running.Wait()
}
