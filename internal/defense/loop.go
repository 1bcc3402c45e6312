package defense

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/baseline"
	"seawall/internal/defense/decide"
	"seawall/internal/defense/detect/cachebust"
	"seawall/internal/defense/detect/carpet"
	"seawall/internal/defense/detect/connflood"
	"seawall/internal/defense/detect/costly"
	"seawall/internal/defense/detect/handshakeflood"
	"seawall/internal/defense/detect/httpflood"
	"seawall/internal/defense/detect/login"
	"seawall/internal/defense/detect/packetflood"
	"seawall/internal/defense/detect/protocolabuse"
	"seawall/internal/defense/detect/pulse"
	"seawall/internal/defense/detect/reflection"
	"seawall/internal/defense/detect/scan"
	"seawall/internal/defense/detect/scrape"
	"seawall/internal/defense/detect/slowattack"
	"seawall/internal/defense/detect/synflood"
	"seawall/internal/defense/enforce"
	"seawall/internal/defense/observe"
	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// How often the loop does what.
const (
	glanceEvery = 100 * time.Millisecond
	windowEvery = time.Second
	saveEvery   = time.Minute
	saveAgain   = 10 * time.Second // where it failed
)

// Detector judges windows. It is fed every window, in order, keeps no clock and
// does no I/O.
type Detector interface {
	Name() string
	Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding
}

// After is a Detector that judges a window by what others found in it as well. It is
// asked once the others have spoken, in order.
type After interface {
	After(w *traffic.Window, n *traffic.Normal, found []attack.Finding) []attack.Finding
}

// Quick is a Detector that can also judge a glance: a Window of a tenth of a
// second in which only At, Span, Offered, Admitted, Refused, ByKind,
// ByClearance and Origin are filled. ByKind and ByClearance count those let in
// that have been answered; those in line count as Offered and Admitted. A
// FlashCrowd says that more is wanted than the origin can serve, by people. The
// Window is valid until Blatant returns.
type Quick interface {
	Blatant(w *traffic.Window, n *traffic.Normal) (attack.Finding, bool)
}

// Stance is told when an attack begins, when more want the site than it can
// serve though it is none, and when either is over.
type Stance interface {
	UnderAttack(since time.Time)
	Crowded(since time.Time)
	Calm()
}

// Deps is what the loop works with.
type Deps struct {
	Clock   *clock.Clock
	Log     *slog.Logger
	DataDir string // "" keeps nothing on disk

	Applier enforce.Applier
	Stance  Stance         // nil: nobody to tell
	SetOff  func(off bool) // nil: nobody to tell

	// Detectors judge each window; nil means all there are.
	Detectors []Detector
	// Origin tells how the line for the origin stands now; nil: unknown.
	Origin func() traffic.Origin
	// Packets counts what the packet filter did since it was last asked; nil:
	// there is no filter. Only the loop's goroutine asks.
	Packets func() traffic.Packets
	// PacketsYet counts, by kind, what came since Packets was last asked; nil as
	// above. It is asked ten times a second, by the same goroutine.
	PacketsYet func() [traffic.PacketKinds]uint64
	// Links counts what became of connections since the start; nil: nobody counts
	// them. Only the loop's goroutine asks.
	Links func() traffic.Links
	// Tell is told each Record; nil: nobody is. Only the loop's goroutine calls it.
	Tell func(Record)
	// Watch has the machine only watch: nothing that it decides acts.
	Watch bool
	// Rules are those of the configuration, at the start; see Loop.Rules.
	Rules []decide.Rule
	// Shadows tells what each mitigation on a dry run would have met since it was last
	// called, and how much of that came with a clearance; nil: nobody counts. Only
	// the loop's goroutine calls it.
	Shadows func(tell func(id mitigation.ID, met, cleared uint64))
	// Trials tells whom each challenge asked since it was last called, and how many of
	// those answered; nil: nobody counts. Only the loop's goroutine calls it.
	Trials func(tell func(id mitigation.ID, asked, answered uint64))
	// Offences are the door's reports; nil: none.
	Offences <-chan mitigation.Offence
}

// Loop is the control loop. Make it with New, start it with Run.
type Loop struct {
	cfg  Config
	deps Deps
	log  *slog.Logger

	observer  *observe.Observer
	baseline  *baseline.Baseline
	detectors []Detector
	decider   *decide.Decider
	enforcer  *enforce.Enforcer
	store     *store
	records   *records
	ledger    ledger
	days      days
	packets   packetBook
	found     foundBook
	early     earlyLooks

	asks   chan ask
	begun  atomic.Bool
	gone   chan struct{} // closed when Run has returned
	status atomic.Pointer[Status]

	// What follows belongs to the goroutine of Run.
	started  time.Time
	last     decide.Moment
	cutAt    clock.Instant // when the window began
	dueAt    clock.Instant // when it ends
	saveAt   clock.Instant
	sampleAt clock.Instant // when samples are to be saved, too
	window   *traffic.Window
	glanced  traffic.Window // the last glance's; its memory is used again
	inLine   int            // in flight or waiting at the last glance
	behind   int            // of those, in line behind everybody else
	crowd    *attack.Finding
	gathered gathered      // samples of floods of few requests
	stance   bool          // the door was told of an attack
	press    press         // more than the site can serve, and no attack
	pressed  int           // glances in a row that felt it
	before   beforehand    // who goes first
	kept     clock.Instant // before.since as it was saved last
	first    firstCome     // the last of before
	alarmAt  clock.Instant // of the fast path; 0 none
	rushed   clock.Instant // when it last put newcomers at the end of the line; 0 not in this window
	unproven time.Duration // since then without a flood
	crowdFor time.Duration // how long the crowd has been here
	troubles map[string]string
	seen     map[string]bool // signatures recorded in this attack
	asSaid   bool            // the trouble with enforcing was told
	changed  bool            // Status is to be built anew
}

// New makes a loop and takes over what an earlier one left in DataDir. Nothing
// is applied before Run.
func New(cfg Config, deps Deps) (*Loop, error) {
	if deps.Clock == nil || deps.Log == nil || deps.Applier == nil {
		return nil, errors.New("defense needs a clock, a log and an applier")
	}
	if err := cfg.Validate().Err(); err != nil {
		return nil, fmt.Errorf("defense: %w", err)
	}
	l := &Loop{
		cfg: cfg, deps: deps, log: deps.Log,
		observer: observe.New(cfg.Observe, deps.Clock), baseline: baseline.New(cfg.Baseline),
		detectors: deps.Detectors, decider: decide.New(cfg.Decide), enforcer: enforce.New(deps.Applier),
		records: newRecords(deps.Log), asks: make(chan ask), gone: make(chan struct{}),
		troubles: make(map[string]string), seen: make(map[string]bool), window: &traffic.Window{},
	}
	if l.detectors == nil {
		l.detectors = []Detector{
			httpflood.New(cfg.HTTPFlood), cachebust.New(cfg.CacheBust), costly.New(cfg.Costly),
			login.New(cfg.Login), scan.New(cfg.Scan), scrape.New(cfg.Scrape),
			synflood.New(cfg.SynFlood), reflection.New(cfg.Reflection), packetflood.New(cfg.PacketFlood),
			connflood.New(cfg.ConnFlood), handshakeflood.New(cfg.HandshakeFlood),
			slowattack.New(cfg.SlowAttack), protocolabuse.New(cfg.ProtocolAbuse), carpet.New(cfg.Carpet),
			pulse.New(cfg.Pulse),
		}
	}
	if deps.Watch {
		l.decider.Watch()
	}
	if deps.Links != nil {
		l.observer.CutLinks(deps.Links()) // what was before is nobody's window
	}
	now := l.moment()
	l.started, l.last, l.saveAt, l.sampleAt = now.Wall, now, now.At.Add(saveEvery), now.At.Add(samplesEvery)
	l.cutAt, l.dueAt = now.At, onTime(now.At.Add(windowEvery))
	if err := l.open(now); err != nil {
		return nil, err
	}
	l.publish(now)
	return l, nil
}

// open takes over what is on disk.
func (l *Loop) open(now decide.Moment) error {
	var err error
	if l.store, err = openStore(l.deps.DataDir); err != nil {
		return err
	}
	if t := l.store.trouble; t != "" {
		l.trouble(now, "journal", t)
	}
	if err := l.store.loadBaseline(l.baseline); err != nil {
		l.record(now, "baseline", "What was learnt about normal traffic cannot be read; learning begins anew.", nil, true)
		l.log.Warn("baseline not read", "err", err)
	}
	if err := l.store.loadSamples(l.baseline); err != nil {
		l.record(now, "baseline", "The samples of ordinary traffic cannot be read; they are gathered anew.", nil, true)
		l.log.Warn("samples not read", "err", err)
	}
	if err := l.days.load(l.deps.DataDir); err != nil {
		l.record(now, "baseline", "What the letter tells of earlier days cannot be read; it begins anew.", nil, true)
		l.log.Warn("days not read", "err", err)
	}
	l.resume(now)
	r, out, err := l.decider.Restore(now, l.store.each)
	if err != nil {
		l.trouble(now, "journal", err.Error())
		l.take(now, l.decider.Rules(now, l.deps.Rules, l.baseline.Normal()))
		return nil
	}
	if r.Active+r.Expired+r.Bad > 0 {
		l.record(now, "decide", fmt.Sprintf("Took over %d mitigations from before the restart; %d had ended meanwhile.", r.Active, r.Expired),
			map[string]float64{"active": float64(r.Active), "expired": float64(r.Expired), "unreadable": float64(r.Bad)}, r.Bad > 0)
	}
	l.take(now, out)
	l.take(now, l.decider.Rules(now, l.deps.Rules, l.baseline.Normal()))
	return nil
}

// Observer is where visits are recorded: hand it to listen as its Watcher.
func (l *Loop) Observer() *observe.Observer { return l.observer }

// Record counts a visit that has got its answer; see observe.
func (l *Loop) Record(v *traffic.Visit, d mitigation.Verdict, o traffic.Outcome) {
	l.observer.Record(v, d, o)
}

// Run works until ctx ends. It can be called once. What is active stays
// applied, and on disk.
func (l *Loop) Run(ctx context.Context) error {
	if !l.begun.CompareAndSwap(false, true) {
		return errors.New("the control loop runs already, or has ended")
	}
	defer close(l.gone)
	l.guard(func() {
		now := l.moment()
		l.flush(now)
		l.tellStance(now)
		l.publish(now)
	})
	tick := time.NewTicker(glanceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return l.finish()
		case <-tick.C:
			l.guard(l.tick)
		case a := <-l.asks:
			l.guard(func() { a.answer(l.moment()) })
		}
	}
}

// Step is a tenth of a second's work, for who sets the clock himself and calls this each
// time that it has gone on by as much, in place of Run.
func (l *Loop) Step() { l.guard(l.tick) }

// Still says that nothing runs, stands or is expected: no attack, no crowd, no
// mitigation but rules. Whatever time passes without a visit then changes nothing.
func (l *Loop) Still() bool {
	return l.decider.Idle() && !l.decider.UnderAttack() && l.crowd == nil && l.ledger.current == nil &&
		len(l.found.current) == 0 && len(l.packets.current) == 0 && !l.press.told && l.alarmAt == 0
}

// Close releases the files of a loop whose Run was never called.
func (l *Loop) Close() error {
	if !l.begun.CompareAndSwap(false, true) {
		return nil
	}
	defer close(l.gone)
	return l.store.close()
}

// save keeps what was learnt for the next process.
func (l *Loop) save(now decide.Moment) {
	l.store.days = l.days.encode()
	samples := now.At >= l.sampleAt
	err := l.store.saveLater(l.baseline, l.firstCome(now), samples)
	if err != nil {
		l.saveAt = now.At.Add(saveAgain)
		l.trouble(now, "baseline", err.Error())
		return
	}
	l.saveAt = now.At.Add(saveEvery)
	if samples {
		l.sampleAt = now.At.Add(samplesEvery)
	}
	if _, was := l.troubles["baseline"]; was {
		delete(l.troubles, "baseline")
		l.changed = true
	}
}

func (l *Loop) finish() error {
	l.store.days = l.days.encode()
	err := l.store.saveNow(l.baseline, l.firstCome(l.moment()))
	l.store.wait()
	l.records.close()
	return errors.Join(err, l.store.close())
}

// guard keeps a broken part from ending the loop: traffic passes meanwhile.
func (l *Loop) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			l.trouble(l.moment(), "panic", fmt.Sprint(r))
		}
	}()
	f()
}

// moment reads both clocks.
func (l *Loop) moment() decide.Moment {
	at := l.deps.Clock.Now()
	return decide.Moment{At: at, Wall: l.deps.Clock.Wall(at)}
}

func (l *Loop) origin() traffic.Origin {
	if l.deps.Origin == nil {
		return traffic.Origin{}
	}
	return l.deps.Origin()
}
