package listen

import (
	"sync"
	"sync/atomic"
)

// The lines in front of the gate, in the order in which they are served.
const (
	gateBegun    = iota // handshakes that have computed before and go on
	gateKnown           // whom the door knows
	gateStranger        // all others
	gateLines
)

const (
	// gateTurns is how many others pass, at most, before a stranger who waits.
	gateTurns = 3
	// gateWaits is how many strangers may wait for each that may compute: some
	// tenths of a second. A thousand people who come at once find room.
	gateWaits = 1024
	// gatePressed is for how long there are said to be too many strangers after
	// half of those who may wait did, in coarse milliseconds.
	gatePressed = 2000
)

// gate bounds how many handshakes compute at a time, so that a flood of them
// leaves processors to those who are being served. Whoever waits for the client
// holds no place: half-open handshakes cost none. Safe for concurrent use.
type gate struct {
	until atomic.Int64 // strangers are too many until then, coarse ms

	mu        sync.Mutex
	free      int // places that nobody holds
	strangers int // who hold one
	atOnce    int // most of them
	waiting   int // strangers who wait
	most      int // most of them
	passed    int // others to whom a place was given that a stranger waited for
	lines     [gateLines]gateLine
}

// gateLine is first in, first out.
type gateLine struct{ first, last *gateTurn }

// gateTurn is somebody who waits; ready is closed when the place is theirs.
type gateTurn struct {
	ready chan struct{}
	next  *gateTurn
}

// newGate makes one with places for so many strangers, and half as many more, one
// at least, which only others take.
func newGate(strangers int) *gate {
	return &gate{free: strangers + max(1, strangers/2), atOnce: strangers, most: strangers * gateWaits}
}

// pressed says whether there are too many strangers.
func (g *gate) pressed(now int64) bool { return now < g.until.Load() }

// enter waits for a place; false when too many strangers wait already. Waits are
// short: who holds a place gives it back before waiting for anybody.
func (g *gate) enter(line int, now int64) bool {
	g.mu.Lock()
	if g.mayPass(line) { // then nobody waits in this line
		g.take(line)
		g.mu.Unlock()
		return true
	}
	if line == gateStranger {
		if g.waiting >= g.most {
			g.until.Store(now + gatePressed)
			g.mu.Unlock()
			return false
		}
		if g.waiting++; g.waiting*2 >= g.most {
			g.until.Store(now + gatePressed)
		}
	}
	t := &gateTurn{ready: make(chan struct{})}
	g.lines[line].push(t)
	g.mu.Unlock()
	<-t.ready
	return true
}

// leave gives back a place that was taken by way of line, to who is next.
func (g *gate) leave(line int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free++
	if line == gateStranger {
		g.strangers--
	}
	switch line = g.next(); {
	case line < 0:
		return
	case line == gateStranger:
		g.waiting--
		g.passed = 0
	case g.lines[gateStranger].first != nil && g.mayPass(gateStranger):
		g.passed++
	}
	g.take(line)
	close(g.lines[line].pop().ready)
}

func (g *gate) take(line int) {
	g.free--
	if line == gateStranger {
		g.strangers++
	}
}

// mayPass says whether there is a place for a line.
func (g *gate) mayPass(line int) bool {
	return g.free > 0 && (line != gateStranger || g.strangers < g.atOnce)
}

// next is the line whose turn it is; -1 nobody's.
func (g *gate) next() int {
	if g.passed >= gateTurns && g.lines[gateStranger].first != nil && g.mayPass(gateStranger) {
		return gateStranger
	}
	for line := range g.lines {
		if g.lines[line].first != nil && g.mayPass(line) {
			return line
		}
	}
	return -1
}

func (l *gateLine) push(t *gateTurn) {
	if l.first == nil {
		l.first = t
	} else {
		l.last.next = t
	}
	l.last = t
}

func (l *gateLine) pop() *gateTurn {
	t := l.first
	l.first = t.next
	return t
}
