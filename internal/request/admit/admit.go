package admit

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/prefixset"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Admit is the door. Make one with New; it is safe for concurrent use.
type Admit struct {
	clk  *clock.Clock
	cfg  Config // its sizes are those of the tables
	wall wallClock
	seed seeds

	off     atomic.Bool
	acme    atomic.Int64                // Instant: state of the budget of certificate validation
	greeted atomic.Int64                // Instant: state of the budget of tries before a handshake
	turned  atomic.Uint64               // hellos that were over their client's budget
	attack  atomic.Pointer[attackState] // nil in peace

	// Lists of prefixes, see lists.go.
	allow   *prefixset.Set[pass]
	people  *prefixset.Set[ban] // bans by people and by the configuration
	machine *prefixset.Set[ban] // bans by the machine and by peers
	milder  *prefixset.Set[ban] // prefixes that are slowed, queued, ...

	rules  atomic.Pointer[orders] // of the configuration, see orders.go; nil: none
	orders atomic.Pointer[orders] // the other mitigations

	mu   sync.Mutex // Apply and Withdraw take turns
	book book

	clients    table[prefixCell] // /32, /64
	wider      table[prefixCell] // /24, /56, /48
	clearances table[clearanceCell]
	standings  table[standingCell]

	limits atomic.Pointer[limits]

	offences chan mitigation.Offence
	recent   recent
	counts   counters
}

// attackState is what is known of the attack, or of the crowd, that runs.
type attackState struct {
	sec   uint32 // second in which it began
	wall  int64  // the same in Unix nanoseconds
	crowd bool   // it is merely a crowd: nobody's budget is smaller for it
}

// New makes a door. short is the short keyed hash of a client prefix that
// reference codes carry; Recent finds prefixes by it.
func New(cfg Config, clk *clock.Clock, short func(netip.Prefix) uint64) (*Admit, error) {
	if err := cfg.Validate().Err(); err != nil {
		return nil, fmt.Errorf("make the door: %w", err)
	}
	draw := rand.Uint64
	if cfg.Seed != 0 {
		draw = rand.New(rand.NewPCG(cfg.Seed, cfg.Seed)).Uint64
	}
	a := &Admit{
		clk:        clk,
		cfg:        cfg,
		seed:       seeds{draw(), draw(), draw(), draw()},
		allow:      prefixset.New[pass](cfg.Bans),
		people:     prefixset.New[ban](cfg.Bans),
		machine:    prefixset.New[ban](cfg.Bans),
		milder:     prefixset.New[ban](cfg.Bans),
		book:       newBook(),
		clients:    newTable[prefixCell](cfg.Clients),
		wider:      newTable[prefixCell](cfg.Clients / 2),
		clearances: newTable[clearanceCell](cfg.Clients / 2),
		standings:  newTable[standingCell](cfg.Clients),
		offences:   make(chan mitigation.Offence, 1024),
	}
	a.recent.init(cfg.Recent, short)
	a.orders.Store(new(orders))
	if err := a.Reconfigure(cfg); err != nil {
		return nil, fmt.Errorf("make the door: %w", err)
	}
	return a, nil
}

// meeting is one visit's way down the ladder. It lives on the stack of Decide.
type meeting struct {
	v       *traffic.Visit
	verdict mitigation.Verdict
	would   mitigation.Would // the first thing that would have happened, in watch mode
	attack  *attackState     // nil in peace; in a crowd, see hostile
	now     clock.Instant
	sec     uint32 // of now

	keys

	expected bool   // the keys were made out beforehand
	recalled bool   // recall has run
	again    bool   // it is judged again, and was counted before
	cookie   bool   // the visit came with a clearance, not only with a past
	fresh    bool   // with one issued a moment ago, which nobody has brought before
	reserved bool   // may use what strangers behind its prefix may not
	greedy   bool   // its own clearance went over its budget again and again
	browses  bool   // it or those like it fetch assets with their pages, or it keeps its clearance
	behaved  bool   // its standing is good, or would be if it were not thin
	thin     bool   // of those like it pages are wanted, and hardly what they are made of
	noted    bool   // what it asks for is noted at its prefix
	shared   bool   // whoever is behind its prefix, assets are fetched with the pages, and there is no attack
	good     uint64 // the bit of crowd that it speaks for; 0 none
	print    uint8  // the bit of prints that it speaks for; 0 none
	askedBy  uint8  // see standingCell; valid iff answers
	answers  bool   // it comes back with the clearance that it was asked to come with
	forgive  bool   // its prefix has refusals that being let in makes good
	weight   int    // what it is charged, in requests
	warmed   uint32 // means nothing; keeps the loads of warm from being left out
}

// Decide says what happens to a visit, and sets its Standing and maybe a better
// Clearance. It must be called once for each visit: it charges budgets.
func (a *Admit) Decide(v *traffic.Visit) mitigation.Verdict {
	m := meeting{v: v, attack: a.attack.Load(), now: v.At, sec: uint32(v.At / clock.Instant(time.Second))}
	a.decide(&m)
	return m.verdict
}

// decide is the ladder.
func (a *Admit) decide(m *meeting) {
	switch {
	case a.isOff(m),
		a.isACME(m),
		a.isAllowed(m),
		a.isBanned(m),
		a.recall(m), // decides nothing: it finds out who this is
		a.isOverOwnBudget(m),
		a.isMitigated(m),
		a.isOverNeighboursBudget(m),
		a.isRanked(m): // decides always
	}
	a.settle(m)
}

// UnderAttack tells the door that an attack runs since a moment. Who was known
// before it is preferred, and strangers' budgets shrink.
func (a *Admit) UnderAttack(since time.Time) { a.tell(since, false) }

// Crowded tells the door that since a moment more want the site than it can
// serve, and that it is no attack. Who was known before is preferred; nothing
// else changes.
func (a *Admit) Crowded(since time.Time) { a.tell(since, true) }

func (a *Admit) tell(since time.Time, crowd bool) {
	a.attack.Store(&attackState{
		sec:   uint32(max(a.clk.At(since), 0) / clock.Instant(time.Second)),
		wall:  since.UnixNano(),
		crowd: crowd,
	})
}

// hostile says that an attack runs, and not merely a crowd.
func (m *meeting) hostile() bool { return m.attack != nil && !m.attack.crowd }

// Calm tells the door that neither an attack nor a crowd is there.
func (a *Admit) Calm() { a.attack.Store(nil) }

// Offences is where repeat offenders are reported. Nobody has to read it.
func (a *Admit) Offences() <-chan mitigation.Offence { return a.offences }

// wallClock tells the wall time of an Instant at the cost of two loads. It asks
// the real clocks once a second, so a step of the wall clock shows a second
// later.
type wallClock struct {
	asked  atomic.Int64 // Instant
	offset atomic.Int64 // wall time less Instant, nanoseconds
}

func (w *wallClock) nanos(clk *clock.Clock, now clock.Instant) int64 {
	if d := now - clock.Instant(w.asked.Load()); d > clock.Instant(time.Second) || d < -clock.Instant(time.Second) {
		w.offset.Store(clk.Wall(now).UnixNano() - int64(now))
		w.asked.Store(int64(now))
	}
	return int64(now) + w.offset.Load()
}
