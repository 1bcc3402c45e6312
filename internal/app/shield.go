package app

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"seawall/internal/config"
	"seawall/internal/dashboard"
	"seawall/internal/defense"
	"seawall/internal/defense/decide"
	"seawall/internal/mitigation"
	"seawall/internal/packet"
	"seawall/internal/traffic"
)

// shield is the running program as the admin API sees it.
type shield struct{ *program }

// status is what GET /api/v1/status shows: the loop's own, and what only app
// knows.
type status struct {
	Version string   `json:"version"`
	Listen  []string `json:"listen"`
	Admin   string   `json:"admin"`
	PID     int      `json:"pid"`
	Memory  struct {
		Resident int64 `json:"resident"` // bytes
		Ceiling  int64 `json:"ceiling"`
	} `json:"memory"`
	Connections int `json:"connections"`
	// Upgrade is why the last one came to nothing.
	Upgrade string `json:"upgrade,omitempty"`
	defense.Status
}

func (s shield) Status() any {
	st := status{Version: s.o.Version, Listen: s.where(), Admin: s.admin.Addr().String(), PID: os.Getpid(), Status: s.loop.Status()}
	st.Memory.Resident, st.Memory.Ceiling = resident(), int64(s.cfg.Load().Ceiling())
	st.Connections = s.listen.Stats().Open
	if why := s.failure.Load(); why != nil {
		st.Upgrade = *why
	}
	return st
}

func (s shield) Mitigations() any { return s.loop.Mitigations() }

func (s shield) Normal() any { return s.loop.Learnt() }

func (s shield) Attacks() any {
	st := s.loop.Status()
	return map[string]any{"attack": st.Attack, "attacks": st.Attacks}
}

func (s shield) Clients() any {
	if w := s.loop.Status().Window; w != nil {
		return map[string]any{"at": w.Wall, "clients": w.Clients, "top": w.Top[traffic.FieldClient], "networks": w.Top[traffic.FieldNetwork], "countries": w.Top[traffic.FieldCountry]}
	}
	return map[string]any{}
}

func (s shield) Verdicts() any {
	type row struct {
		Action mitigation.Action `json:"action"`
		Reason mitigation.Reason `json:"reason"`
		Count  uint64            `json:"count"`
	}
	rows := []row{}
	for a, reasons := range s.door.admit.Stats().Decisions {
		for r, n := range reasons {
			if n > 0 {
				rows = append(rows, row{mitigation.Action(a), mitigation.Reason(r), n})
			}
		}
	}
	return rows
}

func (s shield) Why(code string) (dashboard.Why, error) {
	return why(s.box, online(s), time.Local, code)
}

// online answers from the running program's memory.
type online struct{ *program }

func (o online) Find(id mitigation.ID) (mitigation.Mitigation, bool, bool) { return o.loop.Find(id) }
func (o online) Recent(hash uint64) (netip.Prefix, bool)                   { return o.door.admit.Recent(hash) }

func (s shield) Events(ctx context.Context) <-chan any {
	out := make(chan any)
	go func() { // ends with ctx, or with the loop
		defer close(out)
		for r := range s.loop.Subscribe(ctx) {
			select {
			case out <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (s shield) Ready() error {
	switch {
	case s.draining.Load():
		return errors.New("stopping: requests in flight are being finished")
	case s.door.now.Load().rooms.proxy.Origin().Healthy == 0:
		return errors.New("the origin does not answer")
	}
	return nil
}

func (s shield) Ban(o dashboard.PrefixOrder) (mitigation.Mitigation, error) {
	return one(s.order(decide.Order{Verb: decide.Ban, Prefix: o.Prefix, For: o.For, Note: o.Note}))
}

func (s shield) Allow(o dashboard.PrefixOrder) (mitigation.Mitigation, error) {
	return one(s.order(decide.Order{Verb: decide.Allow, Prefix: o.Prefix, For: o.For, Note: o.Note}))
}

func (s shield) Act(o dashboard.MatchOrder) (mitigation.Mitigation, error) {
	verb := map[mitigation.Action]decide.Verb{mitigation.Slow: decide.Slow, mitigation.Challenge: decide.Challenge, mitigation.Refuse: decide.Refuse}
	return one(s.order(decide.Order{Verb: verb[o.Action], Match: o.Match, For: o.For, Note: o.Note}))
}

func (s shield) Unban(p netip.Prefix) ([]mitigation.Mitigation, error) {
	return s.order(decide.Order{Verb: decide.Unban, Prefix: p})
}

func (s shield) Pin(id mitigation.ID, last time.Duration, note string) ([]mitigation.Mitigation, error) {
	return s.order(decide.Order{Verb: decide.Pin, ID: id, For: last, Note: note})
}

func (s shield) Lift(id mitigation.ID) ([]mitigation.Mitigation, error) {
	return s.order(decide.Order{Verb: decide.Lift, ID: id})
}

func (s shield) Undo(since time.Duration) ([]mitigation.Mitigation, error) {
	return s.order(decide.Order{Verb: decide.Undo, Since: since})
}

func (s shield) Try(rules defense.Rules) ([]defense.Trial, error) { return s.loop.Try(rules) }

func (s shield) Letter(days int) (defense.Letter, error) { return s.loop.Letter(days) }

// SetOff turns the door first and writes the switch after it: what matters is
// that everything passes at once.
func (s shield) SetOff(off bool) error {
	s.setOff(off)
	err := WriteOff(s.cfg.Load().Data, off)
	if err == nil {
		s.followed.Store(off)
	}
	return err
}

func (s shield) Confirm() error {
	err := s.packet.Confirm()
	if errors.Is(err, packet.ErrNothingToConfirm) {
		err = dashboard.Kind(dashboard.ErrNotFound, err)
	}
	return err
}

func (s shield) Reload() error {
	err := s.reload()
	var wrong config.Errors
	if errors.As(err, &wrong) {
		err = dashboard.Kind(dashboard.ErrConfiguration, err)
	}
	return err
}

// Upgrade has whoever tends the program hand over. What comes of it after the checks
// is seen from outside only: this process no longer answers then.
func (s shield) Upgrade() (pid int, err error) {
	type answer struct {
		pid int
		err error
	}
	c := make(chan answer, 1)
	select {
	case s.upgrades <- upgrade{func(pid int, err error) { c <- answer{pid, err} }}:
	case <-time.After(time.Second):
		return 0, dashboard.Kind(dashboard.ErrNotNow, errors.New("busy with a reload or another upgrade, or stopping"))
	}
	a := <-c // within checkTime
	if a.err != nil {
		a.err = dashboard.Kind(dashboard.ErrNotNow, a.err)
	}
	return a.pid, a.err
}

// order hands an order to the loop, which answers within seconds.
func (p *program) order(o decide.Order) ([]mitigation.Mitigation, error) {
	r, err := p.loop.Order(o)
	if errors.Is(err, decide.ErrNotFound) {
		err = dashboard.Kind(dashboard.ErrNotFound, err)
	}
	if r.Changed == nil {
		r.Changed = []mitigation.Mitigation{} // a list in JSON, too
	}
	return r.Changed, err
}

func one(list []mitigation.Mitigation, err error) (mitigation.Mitigation, error) {
	if err != nil || len(list) == 0 {
		return mitigation.Mitigation{}, err
	}
	return list[0], nil
}
