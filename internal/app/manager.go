package app

import (
	"context"
	"time"
)

// tell tells the service manager, if there is one, how this process is. One that has
// handed over says nothing any more: the manager listens to the other one.
func (p *program) tell(lines ...string) {
	if p.retired.Load() {
		return
	}
	if err := p.o.Manager.Tell(lines...); err != nil {
		p.log.Warn("the service manager does not hear of this", "told", lines, "err", err)
	}
}

// watchdog tells the service manager that this process is alive, as often as it
// wants to know, until ctx ends.
func (p *program) watchdog(ctx context.Context) {
	every := p.o.Manager.Watchdog / 2
	if every <= 0 {
		return
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			p.tell("WATCHDOG=1")
		}
	}
}
