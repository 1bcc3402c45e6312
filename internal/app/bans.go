package app

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/request/listen"
)

const (
	// closeSoon is how long bans gather, so that one walk through all connections
	// serves many.
	closeSoon = 10 * time.Millisecond
	// closeAgain is when connections are looked for once more: some were waiting
	// to be accepted when their client's packets began to be stopped.
	closeAgain = time.Second
)

// bans hands mitigations to the packet filter and has the open connections of
// those closed whom it then stops. Without the filter they stay open: who was
// banned by mistake is told so by the door. It is an enforce.Applier; Run closes.
type bans struct {
	filter interface {
		Apply(mitigation.Mitigation) error
		Withdraw(mitigation.ID) error
		Blocks(mitigation.ID) bool
		LetGo(mitigation.ID) error
		Spares(netip.Addr) bool
	}
	door interface {
		Shared(netip.Prefix) bool
		Allowed(netip.Addr) bool
	}
	conns interface {
		CloseClients([]listen.Banned, func(netip.Addr) bool) (int, []netip.Prefix)
	}
	log *slog.Logger

	mu    sync.Mutex                      // guards the following
	all   map[mitigation.ID]listen.Banned // that stand; decide bounds them
	waits map[mitigation.ID]waiting       // of those, whose connections are to be closed
	wake  chan struct{}                   // holds one
}

// waiting is when a ban's connections are to be closed.
type waiting struct {
	due   time.Time
	again bool // it is the second time
}

func (b *bans) init(log *slog.Logger) {
	b.log, b.wake = log, make(chan struct{}, 1)
	b.all, b.waits = map[mitigation.ID]listen.Banned{}, map[mitigation.ID]waiting{}
}

// Apply hands on a mitigation. A ban by the machine is the door's alone where
// people have come from the prefix since it was reported.
func (b *bans) Apply(m mitigation.Mitigation) error {
	prefix, one := m.Banned()
	if one && m.Direct && m.By == mitigation.ByMachine && b.door.Shared(prefix) {
		m.Direct = false
	}
	if err := b.filter.Apply(m); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !one || m.Shadow || m.Action != mitigation.Refuse && m.Action != mitigation.Drop {
		b.forget(m.ID)
		return nil
	}
	b.all[m.ID] = listen.Banned{Prefix: prefix, Person: m.By.Person()}
	if b.filter.Blocks(m.ID) {
		b.want(m.ID)
	}
	return nil
}

// want has a ban's connections closed soon. It needs mu.
func (b *bans) want(id mitigation.ID) {
	b.waits[id] = waiting{due: time.Now().Add(closeSoon)}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *bans) forget(id mitigation.ID) {
	delete(b.all, id)
	delete(b.waits, id)
}

// resume is called when packets are filtered again after everything was off:
// whoever is banned may have connected meanwhile.
func (b *bans) resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.all {
		b.want(id)
	}
}

// Withdraw hands on a withdrawal.
func (b *bans) Withdraw(id mitigation.ID) error {
	b.mu.Lock()
	b.forget(id)
	b.mu.Unlock()
	return b.filter.Withdraw(id)
}

// Run closes connections until ctx ends.
func (b *bans) Run(ctx context.Context) error {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.wake:
		case <-next.C:
			b.close()
		}
		if due, some := b.next(); some {
			next.Reset(max(time.Until(due), 0))
		}
	}
}

// next is when the next ban is due.
func (b *bans) next() (first time.Time, some bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.waits {
		if !some || w.due.Before(first) {
			first, some = w.due, true
		}
	}
	return first, some
}

// due takes the bans whose connections are to be closed now.
func (b *bans) due() map[mitigation.ID]listen.Banned {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	list := map[mitigation.ID]listen.Banned{}
	for id, w := range b.waits {
		if now.Before(w.due) {
			continue
		}
		list[id] = b.all[id]
		if w.again {
			delete(b.waits, id)
		} else {
			w.again, w.due = true, now.Add(closeAgain)
			b.waits[id] = w
		}
	}
	return list
}

func (b *bans) close() {
	due := b.due()
	list := make([]listen.Banned, 0, len(due))
	ids := make(map[netip.Prefix]mitigation.ID, len(due))
	for id, banned := range due {
		if !b.filter.Blocks(id) {
			continue // ended since, or everything is off
		}
		list = append(list, banned)
		if !banned.Person {
			ids[banned.Prefix] = id
		}
	}
	if len(list) == 0 {
		return
	}
	_, people := b.conns.CloseClients(list, func(a netip.Addr) bool { return b.door.Allowed(a) || b.filter.Spares(a) })
	for _, prefix := range people {
		if err := b.filter.LetGo(ids[prefix]); err != nil {
			b.log.Error("take a ban off the packet filter's list: people are behind it", "err", err)
		}
	}
}
