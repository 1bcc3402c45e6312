package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"seawall/internal/config"
	"seawall/internal/defense/decide"
	"seawall/internal/kit/handover"
	"seawall/internal/kit/problem"
	"seawall/internal/kit/systemd"
)

// How long the new process may take to check itself, and to take over what it was
// given.
const (
	checkTime = 20 * time.Second
	takeTime  = 15 * time.Second
)

// upgrade is a person's order. answer is called once: when the new process has
// checked itself, or with why there will be none.
type upgrade struct{ answer func(pid int, err error) }

// handOver has the program that now lies at this one's path take over. It returns
// the new process once that serves. Where it does not come to that, this process
// goes on as before, and both results are nil. An error says that it cannot.
//
// This process accepts connections all the time: both do for a moment.
func (p *program) handOver(ctx context.Context, answer func(pid int, err error)) (*handover.Successor, error) {
	p.log.Info("starting the program anew, to take over", "program", p.o.Program.Path)
	p.tell(systemd.Reloading()...)
	p.failure.Store(nil)
	begun := time.Now()
	heir, err := p.rear(ctx)
	if err != nil {
		err = fmt.Errorf("the new process does not take over, and this one goes on: %w", err)
		answer(0, err)
		p.stay(err)
		return nil, nil
	}
	answer(heir.PID(), nil)
	checked := time.Now()
	p.letGo()
	gone := time.Now()
	if err = heir.Go(); err == nil {
		// Whatever ctx says: somebody has to have all this.
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeTime)
		err = heir.Serving(patience)
		cancel()
	}
	if err != nil {
		heir.Kill()
		p.log.Error("the new process failed while it took over; taking everything back", "err", err)
		if e := p.takeBack(); e != nil {
			return nil, fmt.Errorf("take everything back from a new process that failed (%w): %w", err, e)
		}
		p.stay(fmt.Errorf("the new process failed while it took over, and this one has taken everything back: %w", err))
		return nil, nil
	}
	p.log.Info("handed over", "pid", heir.PID(),
		"checked", checked.Sub(begun).Round(time.Millisecond), "let_go", gone.Sub(checked).Round(time.Millisecond),
		"taken", time.Since(gone).Round(time.Millisecond))
	p.tell("READY=1", fmt.Sprintf("MAINPID=%d", heir.PID()))
	heir.Release()
	return heir, nil
}

// stay says why nothing has changed.
func (p *program) stay(why error) {
	text := why.Error()
	p.failure.Store(&text)
	p.log.Error("no upgrade", "err", why)
	p.dropCopies()
	p.tell("READY=1")
}

// rear starts the new process and waits until it is ready to take over.
func (p *program) rear(ctx context.Context) (*handover.Successor, error) {
	switch {
	case p.o.Program.Path == "":
		return nil, errors.New("this program cannot start itself anew")
	case os.Getpid() == 1:
		return nil, errors.New("this is the first process of a container, which ends with it: start a new container instead")
	}
	copies, err := p.listen.Copies(forVisitors)
	if err != nil {
		return nil, err
	}
	p.copies = copies
	one, err := p.admin.Copy(forOperators + p.cfg.Load().Admin.Listen)
	if err != nil {
		return nil, err
	}
	p.copies = append(p.copies, one)
	program := p.o.Program
	program.Sockets = p.copies
	program.Without = []string{systemd.VariableWatchdogPID}
	heir, err := handover.Start(program)
	if err != nil {
		return nil, err
	}
	patience, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if err := heir.Ready(patience); err != nil {
		heir.Kill()
		return nil, err
	}
	return heir, nil
}

// letGo gives up what there can be only one of, orders first. Requests are decided
// as before, and nobody watches them until the new process does.
func (p *program) letGo() {
	p.crew.stopOrders()
	p.stood = nil
	for _, m := range p.loop.Mitigations() {
		p.stood = append(p.stood, m.ID)
	}
	p.crew.stop()
	p.packet.Leave()
	p.resign()
}

// unpack makes the copies of the sockets what Listen finds.
func (p *program) unpack() (err error) {
	if p.copies != nil {
		p.sockets, err = socketsOf(p.copies, false)
		p.copies = nil
	}
	return err
}

// dropCopies closes the copies, which nobody needs any more.
func (p *program) dropCopies() {
	for _, f := range p.copies {
		f.Close()
	}
	p.copies = nil
}

// takeBack is takeCharge in the place of a new process that has ended.
func (p *program) takeBack() error {
	if err := p.unpack(); err != nil {
		return err
	}
	defer p.sockets.close()
	if err := patiently(p.lockData); err != nil {
		return err
	}
	if err := p.takeCharge(); err != nil {
		return err
	}
	if err := p.admin.Listen(p.cfg.Load().Admin.Listen); err != nil {
		return err
	}
	if err := p.act(); err != nil {
		return err
	}
	// The door still has what the other one has ended.
	stands := p.loop.Mitigations()
	for _, id := range p.stood {
		if !slices.ContainsFunc(stands, func(m decide.Listed) bool { return m.ID == id }) {
			if err := p.door.admit.Withdraw(id); err != nil {
				p.log.Error("end a mitigation", "id", id, "err", err)
			}
		}
	}
	return nil
}

// retire finishes what is in flight here while another process serves, and looks for
// quietTime at least whether that one lives. It returns true when it has died
// meanwhile and this one serves again.
func (p *program) retire(ctx context.Context, heir *handover.Successor) (back bool, err error) {
	p.retired.Store(true)
	p.draining.Store(true)
	p.door.last.Store(true)
	p.log.Info("another process serves; finishing what is in flight here", "pid", heir.PID(), "connections", p.listen.Stats().Open)
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	leaving, hurry := context.WithCancel(patience)
	left := make(chan struct{})
	go func() { // ends before retire does
		defer close(left)
		_ = p.listen.Retire(leaving, quietTime) // Drain says what is left
	}()
	defer func() { hurry(); <-left }()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	finished, trial := left, time.After(quietTime)
	for gone := heir.Gone(); finished != nil || trial != nil; {
		select {
		case <-finished:
			finished = nil
		case <-trial:
			trial = nil
		case <-look.C:
			p.door.admit.SetOff(readOff(p.cfg.Load().Data))
		case <-gone:
			if gone = nil; heir.Ended() == nil {
				continue // somebody has stopped it, or it has handed over as well
			}
			p.log.Error("the new process has died; taking everything back", "err", heir.Ended())
			hurry()
			<-left
			why := heir.Ended()
			if err = p.serveAgain(); err == nil {
				p.stay(fmt.Errorf("the new process died soon after it had taken over, and this one has taken everything back: %w", why))
				return true, nil
			}
			err = fmt.Errorf("take everything back from a new process that has died: %w", err)
			finished, trial = nil, nil
		case <-ctx.Done():
			finished, trial = nil, nil
		}
	}
	hurry()
	<-left
	p.drain(patience)
	p.log.Info("stopped: another process serves", "pid", heir.PID())
	return false, err
}

// serveAgain is takeBack for a process that does not accept any more.
func (p *program) serveAgain() error {
	p.door.last.Store(false)
	p.draining.Store(false)
	p.retired.Store(false)
	<-p.serving // it ended when the listeners were left
	if err := p.unpack(); err != nil {
		return err
	}
	if err := p.listen.Listen(); err != nil {
		return err
	}
	if err := p.takeBack(); err != nil {
		return err
	}
	p.accept()
	p.tell(fmt.Sprintf("MAINPID=%d", os.Getpid()))
	return nil
}

// takeOver makes a program in the place of another one, which goes on until this one
// has shown that it can.
func takeOver(ctx context.Context, cfg *config.Config, o Options) (p *program, err error) {
	p = newProgram(cfg, o)
	defer func() {
		if err != nil {
			p.close()
			p = nil
		}
	}()
	if err := p.furnish(); err != nil {
		return nil, err
	}
	var l problem.List
	if tryData(&l, cfg.Data); len(l) > 0 {
		return nil, cfg.Locate(l)
	}
	if err := p.bind(); err != nil {
		return nil, err
	}
	if err := o.From.Await(ctx); err != nil {
		return nil, err
	}
	if err := patiently(p.lockData); err != nil {
		return nil, err
	}
	return p, p.takeCharge()
}
