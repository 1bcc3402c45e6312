package defense

import (
	"errors"
	"fmt"
	"time"

	"seawall/internal/defense/decide"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// patience is how long a question waits for the loop, which answers within
// some tens of milliseconds as a rule.
const patience = 5 * time.Second

// Errors that a caller decides on.
var (
	ErrNotRunning = errors.New("the control loop is not running")
	ErrBusy       = errors.New("the control loop did not answer in time; what was asked for may still happen")
	ErrFailed     = errors.New("the control loop broke on what was asked for, and may have done a part of it; see the log")
)

// ask is a question for the loop's goroutine.
type ask struct {
	do   func(now decide.Moment)
	done chan error // takes one: nil, or ErrFailed
}

// answer carries out a on the loop's goroutine. Where that panics, whoever asked is told.
func (a *ask) answer(now decide.Moment) {
	err := ErrFailed
	defer func() { a.done <- err }()
	a.do(now)
	err = nil
}

// do runs f on the loop's goroutine and waits for it. Where it returns nil, f has returned.
func (l *Loop) do(f func(now decide.Moment)) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	a := ask{do: f, done: make(chan error, 1)}
	select {
	case l.asks <- a:
	case <-l.gone:
		return ErrNotRunning
	case <-timer.C:
		return ErrNotRunning
	}
	select {
	case err := <-a.done:
		return err
	case <-timer.C:
		return ErrBusy
	}
}

// Order carries out what somebody asks for and returns once it stands. Safe
// for concurrent use; it waits for Run to have begun, for five seconds at most.
func (l *Loop) Order(o decide.Order) (decide.Result, error) {
	type answer struct {
		r   decide.Result
		err error
	}
	c := make(chan answer, 1)
	err := l.do(func(now decide.Moment) {
		off := l.decider.Off()
		r, out, err := l.decider.Order(now, o, l.baseline.Normal())
		l.take(now, out)
		l.flush(now)
		if l.decider.Off() != off && l.deps.SetOff != nil {
			l.deps.SetOff(!off)
		}
		l.tellStance(now)
		l.publish(now)
		c <- answer{r, err}
	})
	if err != nil {
		return decide.Result{}, err
	}
	a := <-c
	if a.err == nil {
		// Whoever gave an order may pull the plug once it is answered.
		if err := l.store.sync(); err != nil {
			l.deps.Log.Error("an order stands, and is lost if Seawall ends before the disk works again", "err", err)
		}
	}
	return a.r, a.err
}

// Rules puts the rules of a changed configuration in the place of those that stood,
// and returns once they do, or once that is certain: applying them may take longer than
// the patience of who asks. After an error those from before stand.
func (l *Loop) Rules(rules []decide.Rule) error {
	err := l.do(func(now decide.Moment) {
		l.take(now, l.decider.Rules(now, rules, l.baseline.Normal()))
		l.flush(now)
		l.publish(now)
	})
	if errors.Is(err, ErrBusy) { // the loop has begun, and ends what it has begun
		l.deps.Log.Warn("the rules are decided on, and to apply them takes longer than it should")
		return nil
	}
	if err != nil {
		return fmt.Errorf("put the rules in force: %w", err)
	}
	if err := l.store.sync(); err != nil {
		l.deps.Log.Error("the rules stand, and the journal does not know", "err", err)
	}
	return nil
}

// Known looks a mitigation up, ended ones too, for a month.
func (l *Loop) Known(id mitigation.ID) (decide.Known, bool) {
	type answer struct {
		k  decide.Known
		ok bool
	}
	c := make(chan answer, 1)
	if l.do(func(decide.Moment) { k, ok := l.decider.Find(id); c <- answer{k, ok} }) != nil {
		return decide.Known{}, false
	}
	a := <-c
	return a.k, a.ok
}

// Find is Known, short. Its Match is nil once the address in it was forgotten.
func (l *Loop) Find(id mitigation.ID) (m mitigation.Mitigation, active, known bool) {
	k, ok := l.Known(id)
	return k.Mitigation, k.Active, ok
}

// Learnt sums up what is normal here, for people; nil when the loop does not answer.
func (l *Loop) Learnt() *traffic.Learnt {
	c := make(chan *traffic.Learnt, 1)
	if l.do(func(now decide.Moment) { s := l.baseline.Learnt(now.Wall); c <- &s }) != nil {
		return nil
	}
	return <-c
}

// Mitigations lists everything that is active; nil when the loop does not answer.
func (l *Loop) Mitigations() []decide.Listed {
	c := make(chan []decide.Listed, 1)
	if l.do(func(decide.Moment) { c <- l.decider.List(0) }) != nil {
		return nil
	}
	return <-c
}
