package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// errTurned says that the door, asked again, turned away who was in line.
var errTurned = errors.New("turned away while waiting in line")

// ReconsiderFunc asks the door again about a visit that was let in and waits in line.
type ReconsiderFunc func(*traffic.Visit, mitigation.Verdict) mitigation.Verdict

// reconsiderer is who waits in line.
type reconsiderer interface {
	// reconsider says whether it may go on waiting, and in which rank. It runs on the
	// goroutine that waits.
	reconsider() (stays bool, rank mitigation.Rank)
}

// AskAgain is what those in line are asked again by; it is to be set before the first
// request.
func (p *Proxy) AskAgain(f ReconsiderFunc) { p.askAgain = f }

// gathering is how long orders gather, so that asking once serves many.
const gathering = time.Millisecond

// Reconsider has newcomers and suspects in line asked again, since there are other
// orders than when they came. Else a flood's first moment, which came before anybody
// knew what it has in common, would be served to its end.
func (p *Proxy) Reconsider() {
	p.orders.Add(1)
	if p.askAgain != nil && p.asking.CompareAndSwap(false, true) {
		time.AfterFunc(gathering, func() {
			p.asking.Store(false)
			p.gate.Reconsider()
		})
	}
}

// Reconsider has newcomers and suspects in line asked again.
func (g *Gate) Reconsider() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := mitigation.RankNewcomer; r < mitigation.Ranks; r++ {
		for w := g.lines[r].oldest; w != nil; w = w.next {
			w.wake()
		}
	}
}

// wait waits until w's fate is decided, patience ends, the client leaves, or who is
// turned away.
func (g *Gate) wait(ctx context.Context, w *waiter, who reconsiderer) error {
	for {
		select {
		case <-w.ready:
		case <-w.timer.C:
			return errFull
		case <-ctx.Done():
			return ctx.Err()
		}
		g.mu.Lock()
		decided := w.fate != waits
		g.mu.Unlock()
		switch {
		case decided:
			return nil
		case who == nil:
			continue
		}
		stays, rank := who.reconsider()
		if !stays {
			return errTurned
		}
		g.move(w, rank, g.clk.Now())
	}
}

// move has w wait in the line of a worse rank.
func (g *Gate) move(w *waiter, rank mitigation.Rank, now clock.Instant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.fate != waits || rank <= w.rank || rank >= mitigation.Ranks {
		return
	}
	g.lines[w.rank].remove(w)
	w.rank = rank
	g.lines[rank].push(w, now)
	w.timer.Reset(patience[rank])
}

// reconsider asks the door. One that panics has changed nothing.
func (x *exchange) reconsider() (stays bool, rank mitigation.Rank) {
	if x.visit == nil || x.p.askAgain == nil {
		return true, x.verdict.Rank
	}
	defer func() {
		if p := recover(); p != nil {
			x.p.quiet.warn("the door failed when it was asked again", fmt.Errorf("panic: %v", p))
			stays, rank = true, x.verdict.Rank
		}
	}()
	d := x.p.askAgain(x.visit, x.verdict)
	x.verdict = d
	return d.LetsIn(), d.Rank
}

// isTurned says whether orders that came while the request was on its way to the line, as
// one is whose form is still being read, turn it away.
func (x *exchange) isTurned() bool {
	if x.orders == x.p.orders.Load() || x.verdict.Rank <= mitigation.RankProven {
		return false
	}
	stays, _ := x.reconsider()
	return !stays
}

// turnAway answers somebody whom the door turned away while they waited, and has the
// verdict taken down as the one that counts.
func (x *exchange) turnAway() {
	for w := http.ResponseWriter(x.w); w != nil; {
		if t, ok := w.(interface{ Judge(mitigation.Verdict) }); ok {
			t.Judge(x.verdict)
			break
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = u.Unwrap()
	}
	if x.p.full != nil {
		x.p.full(x.w, x.method == http.MethodHead, x.fields, x.visit, x.verdict)
		return
	}
	x.fail(http.StatusServiceUnavailable, nil)
}
