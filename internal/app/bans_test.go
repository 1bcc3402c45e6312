package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/request/listen"
)

// bansWorld plays the packet filter, the door and the connections.
type bansWorld struct {
	mu     sync.Mutex // guards the following
	blocks map[mitigation.ID]mitigation.Mitigation
	off    bool
	fails  bool
	shared netip.Prefix
	people []netip.Prefix // that CloseClients finds
	closed []string
	spared string // the addresses that it may not close
}

func (w *bansWorld) Apply(m mitigation.Mitigation) error {
	defer w.lock()()
	if w.fails {
		return errors.New("busy")
	}
	delete(w.blocks, m.ID)
	if m.Action == mitigation.Refuse && (m.Direct || m.By.Person()) && !m.Shadow {
		w.blocks[m.ID] = m
	}
	return nil
}
func (w *bansWorld) lock() func() { w.mu.Lock(); return w.mu.Unlock }

func (w *bansWorld) Withdraw(id mitigation.ID) error {
	defer w.lock()()
	delete(w.blocks, id)
	return nil
}

func (w *bansWorld) Blocks(id mitigation.ID) bool {
	defer w.lock()()
	_, ok := w.blocks[id]
	return ok && !w.off
}

func (w *bansWorld) LetGo(id mitigation.ID) error { return w.Withdraw(id) }
func (w *bansWorld) Spares(a netip.Addr) bool     { return a == netip.MustParseAddr("198.18.9.1") }
func (w *bansWorld) Allowed(a netip.Addr) bool    { return a == netip.MustParseAddr("198.18.9.2") }
func (w *bansWorld) Shared(p netip.Prefix) bool   { return p == w.shared }

func (w *bansWorld) CloseClients(list []listen.Banned, spare func(netip.Addr) bool) (int, []netip.Prefix) {
	defer w.lock()()
	var said []string
	for _, b := range list {
		said = append(said, fmt.Sprintf("%s %v", b.Prefix, b.Person))
	}
	slices.Sort(said)
	w.closed = append(w.closed, fmt.Sprint(said))
	var spared []netip.Addr
	for i := range 4 {
		if a := netip.AddrFrom4([4]byte{198, 18, 9, byte(i)}); spare(a) {
			spared = append(spared, a)
		}
	}
	w.spared = fmt.Sprint(spared)
	return len(list), w.people
}

func clientBan(id mitigation.ID, prefix string, by mitigation.By, direct bool) mitigation.Mitigation {
	return mitigation.Mitigation{ID: id, Match: match.Client(netip.MustParsePrefix(prefix)), Action: mitigation.Refuse, By: by, Direct: direct}
}

func TestBansCloseConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &bansWorld{blocks: map[mitigation.ID]mitigation.Mitigation{}, shared: netip.MustParsePrefix("198.18.0.4/32")}
		b := &bans{filter: w, door: w, conns: w}
		b.init(slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		apply := func(ms ...mitigation.Mitigation) {
			t.Helper()
			for _, m := range ms {
				if err := b.Apply(m); err != nil && m.ID != 9 {
					t.Fatal(err)
				}
			}
		}
		closes := func(when string, d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			defer w.lock()()
			if !slices.Equal(w.closed, want) {
				t.Errorf("%s: %q", when, w.closed)
			}
			if len(want) > 0 && w.spared != "[198.18.9.1 198.18.9.2]" {
				t.Errorf("%s: spared %s", when, w.spared)
			}
			w.closed = nil
		}
		closes("at first", time.Minute)
		dry := clientBan(20, "198.18.0.20/32", mitigation.ByRule, false)
		dry.Shadow = true
		apply(
			dry, clientBan(21, "198.18.1.0/24", mitigation.ByRule, false),
			clientBan(1, "198.18.0.1/32", mitigation.ByMachine, true),
			clientBan(2, "198.18.0.0/24", mitigation.ByOperator, false),
			clientBan(3, "198.18.0.3/32", mitigation.ByMachine, false), // behind a proxy
			clientBan(4, "198.18.0.4/32", mitigation.ByMachine, true),  // people are there
			mitigation.Mitigation{ID: 5, Match: match.All(), Action: mitigation.Refuse, By: mitigation.ByOperator},
		)
		if w.Blocks(4) {
			t.Error("packets of people are stopped")
		}
		both := "[198.18.0.0/24 true 198.18.0.1/32 false 198.18.1.0/24 true]"
		closes("soon", 50*time.Millisecond, both)
		closes("once more", 2*time.Second, both)
		closes("and no more", time.Hour)

		apply(clientBan(6, "198.18.0.6/32", mitigation.ByMachine, true), clientBan(7, "198.18.0.7/32", mitigation.ByMachine, true))
		if err := b.Withdraw(6); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		w.people = []netip.Prefix{netip.MustParsePrefix("198.18.0.7/32")}
		w.mu.Unlock()
		closes("one withdrawn, people behind the other", 3*time.Second, "[198.18.0.7/32 false]")
		if w.Blocks(7) {
			t.Error("packets of people who were found are stopped")
		}
		w.mu.Lock()
		w.off = true
		w.mu.Unlock()
		apply(clientBan(8, "198.18.0.8/32", mitigation.ByMachine, true))
		closes("off", time.Hour)
		w.mu.Lock()
		w.off = false
		w.mu.Unlock()
		b.resume()
		on := "[198.18.0.0/24 true 198.18.0.1/32 false 198.18.0.8/32 false 198.18.1.0/24 true]"
		closes("on", 3*time.Second, on, on)
		w.mu.Lock()
		w.fails = true
		w.mu.Unlock()
		apply(clientBan(9, "198.18.0.9/32", mitigation.ByMachine, true))
		closes("not taken", time.Hour)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
