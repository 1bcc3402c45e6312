package decide

import (
	"net/netip"
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Moment is one moment told on both clocks.
type Moment struct {
	At   clock.Instant
	Wall time.Time
}

// Change is one thing for enforce to do: Apply, or else Withdraw.
type Change struct {
	Apply    *mitigation.Mitigation
	Withdraw mitigation.ID // valid iff Apply is nil
}

// Note is one sentence for people, with the numbers behind it.
type Note struct {
	Step    string // "decide" or "order"
	Text    string
	Numbers map[string]float64
	Warn    bool // somebody should look at it
}

// Output is what follows from one call.
type Output struct {
	Changes []Change
	Events  []Event
	Notes   []Note
	Compact bool // addresses are to be forgotten: rewrite the journal
}

// kind is where a mitigation comes from.
type kind string

const (
	kindSignature kind = "signature" // mined from requests
	kindPackets   kind = "packets"   // mined from packets
	kindEmergency kind = "emergency" // the fast path's
	kindBan       kind = "ban"       // of a repeat offender, by the machine
	kindOrder     kind = "order"     // of a person or a peer
	kindRule      kind = "rule"      // of the configuration
)

// entry is an active mitigation with what became of it.
type entry struct {
	m     mitigation.Mitigation
	kind  kind
	made  clock.Instant
	until clock.Instant // 0: until withdrawn
	ttl   time.Duration
	harsh clock.Instant // since when it has its present action

	hits     uint64
	cleared  uint64  // of hits, those of visitors with a clearance
	asked    uint64  // of hits, those asked to come back with a clearance
	answered uint64  // of those, who did
	rate     float64 // hits a second in the last window
	peak     float64
	good     uint64 // samples of real visitors that it was compared with
	met      uint64 // of those, hit by it
	loosened bool
	again    bool // it is remembered from an earlier flood
	spread   bool // its end was put off; see spread
}

// Decider is the state of all that is being done. Make it with New.
type Decider struct {
	cfg    Config
	last   mitigation.ID // given out so far
	active map[mitigation.ID]*entry
	byText map[string]mitigation.ID       // of signatures and the emergency
	pinned map[string]mitigation.ID       // of what was the machine's and is a person's now
	bans   map[netip.Prefix]mitigation.ID // of entries about one prefix that refuse
	allows lookup                         // of entries about one prefix that admit

	machineBans int
	orders      int
	rules       int
	ended       endings
	undone      undone
	offenders   offenders
	off         bool
	watch       bool // what the machine decides is only counted
	packet      packetSide

	attack   bool
	attackAt clock.Instant
	letGo    clock.Instant   // when the last of the bans ends that spread has put off
	easing   clock.Instant   // when an attack ended whose bans are still being shortened; 0 none
	levels   map[string]int  // lapses within this attack, by match
	lenient  map[string]bool // matches that were loosened in this attack, or shortly before
	told     map[string]bool // what was said once in this attack

	memory    memory
	forgiveAt clock.Instant   // when lenient is to be forgotten; 0 not yet
	hurting   bool            // visitors with a clearance are not served well
	latest    *traffic.Window // nil: none yet
	slowing   bool            // see Slowing
	asking    asking
	calm      time.Duration // for how long the flood has been held off
	newBans   int           // since the last Step
	noRoom    int           // bans that found no room, since the last Step
	sweepAt   clock.Instant

	out Output
}

// New makes a Decider that has decided nothing yet.
func New(cfg Config) *Decider {
	return &Decider{
		cfg:    cfg,
		active: make(map[mitigation.ID]*entry), byText: make(map[string]mitigation.ID), pinned: make(map[string]mitigation.ID),
		bans: make(map[netip.Prefix]mitigation.ID), allows: newLookup(),
		undone: newUndone(), offenders: newOffenders(), ended: newEndings(),
		levels: make(map[string]int), lenient: make(map[string]bool), told: make(map[string]bool),
		packet: newPacketSide(),
	}
}

// Watch has all that the machine decides be on a dry run. It is called before all
// else, on a new Decider.
func (d *Decider) Watch() { d.watch = true }

// take hands out what has gathered and begins anew.
func (d *Decider) take() Output {
	o := d.out
	d.out = Output{}
	return o
}

// Step decides at the end of a window.
func (d *Decider) Step(in Input) Output {
	d.expire(in.Now)
	d.account(in.Window)
	d.latest = in.Window
	flood := attack.Flood(in.Findings)
	d.forgive(in.Now)
	d.follow(in.Now, flood)
	switch {
	case flood == nil && find(in.Findings, attack.FlashCrowd) != nil:
		d.liftEmergency(in.Now, "the many visitors are an ordinary crowd")
	case flood != nil && d.held(in.Window, in.Usual):
		d.liftEmergency(in.Now, "what the flood has in common is refused, and the rest is served")
	}
	if in.Window != nil {
		d.followAsking(in.Now, in.Window)
	}
	d.loosen(in.Now, in.Window)
	d.spread(in.Now, in.Window)
	if flood != nil && !d.off {
		d.decideOn(&in, flood)
	}
	if d.attack {
		d.refresh(in.Now)
	}
	d.packets(in)
	d.slowing = false
	for _, e := range d.active {
		d.slowing = d.slowing || e.slows()
	}
	d.tellBans()
	d.sweep(in.Now)
	return d.take()
}

// decideOn decides what is done about the floods of requests of a window.
func (d *Decider) decideOn(in *Input, flood *attack.Finding) {
	if in.Window != nil && len(d.memory) > 0 {
		floods := []*attack.Finding{flood}
		for i := range in.Others {
			floods = append(floods, &in.Others[i].Finding)
		}
		d.recall(in.Now, in.Window, floods, in.Judge)
	}
	for i := range in.Signatures {
		d.consider(in.Now, in.Window, flood, &in.Signatures[i])
	}
	for i := range in.Others {
		o := &in.Others[i]
		for k := range o.Signatures {
			d.consider(in.Now, in.Window, &o.Finding, &o.Signatures[k])
		}
	}
}

// Tick only lets end what is over.
func (d *Decider) Tick(now Moment) Output {
	d.expire(now)
	d.ease(now)
	return d.take()
}

// ease shortens the bans of an attack that is over, some at a time.
func (d *Decider) ease(now Moment) {
	if d.easing == 0 {
		return
	}
	end := d.easing.Add(banAfterAttack)
	n := 0
	for _, e := range d.active {
		if e.kind != kindBan || e.made > d.easing || e.until <= end {
			continue
		}
		if n++; n > bansATick {
			return // the rest next time
		}
		d.extend(now, e, end.Sub(now.At))
	}
	d.easing = 0
}

// UnderAttack says whether the door should tell visitors known since before
// from everybody else: an attack runs, or something is still done about one.
func (d *Decider) UnderAttack() bool {
	if d.off {
		return false
	}
	if d.attack {
		return true
	}
	for _, id := range d.byText {
		if d.active[id] != nil {
			return true
		}
	}
	return false
}

// Attack says whether a flood was found and has not ended.
func (d *Decider) Attack() bool { return d.attack }

// Off says whether a person ordered that everything passes.
func (d *Decider) Off() bool { return d.off }

// Refusing lists the matches that the machine refuses now, other than bans, and those
// of them that a person has pinned.
func (d *Decider) Refusing() []*match.Match {
	var out []*match.Match
	for _, id := range append(d.sortedText(), d.sortedPins()...) {
		if e := d.active[id]; e.m.Action == mitigation.Refuse {
			out = append(out, e.m.Match)
		}
	}
	return out
}

func find(fs []attack.Finding, v attack.Vector) *attack.Finding {
	for i := range fs {
		if fs[i].Vector == v {
			return &fs[i]
		}
	}
	return nil
}

// follow keeps track of whether an attack runs.
func (d *Decider) follow(now Moment, flood *attack.Finding) {
	switch {
	case flood != nil && !d.attack:
		d.attack, d.attackAt, d.easing = true, flood.Since, 0
	case flood == nil && d.attack:
		d.attack = false
		clear(d.levels)
		clear(d.told)
		d.forgiveAt = now.At.Add(memoryFor)
		shortened := 0
		d.easing = now.At
		for _, id := range d.ids() {
			e := d.active[id]
			switch e.kind {
			case kindSignature, kindEmergency:
				if e.until > now.At.Add(afterAttack) {
					d.extend(now, e, afterAttack)
					shortened++
				}
			case kindBan:
				if e.until > now.At.Add(banAfterAttack) {
					shortened++ // see ease
				}
			}
		}
		d.note("decide", "The attack is over; what was done about it ends by itself.", map[string]float64{"shortened": float64(shortened)})
	}
}

// account adds up what each mitigation met in the window.
func (d *Decider) account(w *traffic.Window) {
	d.hurting = false
	if w == nil {
		return
	}
	for id, e := range d.active {
		n := w.Hits[uint32(id)]
		if e.m.Match.OnPackets() {
			n = w.Packets.Hits[uint32(id)]
		}
		e.hits += n
		e.cleared += w.Cleared[uint32(id)]
		e.asked += w.Trials[uint32(id)].Asked
		e.answered += w.Trials[uint32(id)].Answered
		e.rate = w.Rate(n)
		e.peak = max(e.peak, e.rate)
	}
	felt := func(c traffic.Clearance) (offered, got uint64) { return w.Felt[c].Offered, w.Felt[c].Served }
	o1, s1 := felt(traffic.ClearanceProven)
	o2, s2 := felt(traffic.ClearanceKnown)
	d.hurting = o1+o2 >= 10 && float64(s1+s2) < served*float64(o1+o2)
}

// expire ends what is over.
func (d *Decider) expire(now Moment) {
	var over []mitigation.ID
	for id, e := range d.active {
		if e.until != 0 && now.At >= e.until {
			over = append(over, id)
		}
	}
	slices.Sort(over)
	bans := 0
	for _, id := range over {
		e := d.active[id]
		if e.kind == kindBan {
			// The door knows when a ban ends, so a late word of it changes nothing.
			if bans++; bans > bansATick {
				continue
			}
		}
		d.remember(now, e)
		if e.kind == kindSignature && d.attack {
			lapse(d.levels, e)
		}
		if e.kind == kindPackets && len(d.packet.floods) > 0 {
			lapse(d.packet.levels, e)
		}
		if e.kind != kindBan {
			d.note("decide", "Ended #"+itoa(id)+": its time is over.", map[string]float64{"id": float64(id), "hits": float64(e.hits)})
		}
		d.end(now, e, "its time was over", "")
	}
}

// lapse counts that what met a flood has ended, so that it lasts longer the next time. A
// flood that changes its words for ever has no more than mostLevels of them counted.
func lapse(levels map[string]int, e *entry) {
	text := e.m.Match.String()
	if _, ok := levels[text]; ok || len(levels) < mostLevels {
		levels[text]++
	}
}

// tellBans puts the bans of a second into one sentence, without addresses.
func (d *Decider) tellBans() {
	if d.newBans > 0 {
		verb := "Banned "
		if d.watch {
			verb = onlyWatched + "have banned "
		}
		d.note("decide", verb+plural(d.newBans, "client")+" that went on after being refused many times.",
			map[string]float64{"bans": float64(d.newBans), "banned_now": float64(d.machineBans)})
	}
	if d.noRoom > 0 && !d.told["no room"] {
		d.told["no room"] = true
		d.out.Notes = append(d.out.Notes, Note{Step: "decide", Warn: true,
			Text:    "The list of bans is full; further offenders are only refused by their budgets.",
			Numbers: map[string]float64{"banned_now": float64(d.machineBans)}})
	}
	d.newBans, d.noRoom = 0, 0
}

// sweep forgets what is due, every few minutes.
func (d *Decider) sweep(now Moment) {
	if now.At < d.sweepAt {
		return
	}
	d.sweepAt = now.At.Add(5 * time.Minute)
	if d.ended.sweep(now.Wall) {
		d.out.Compact = true
	}
	if d.undone.sweep(now.At) {
		d.out.Compact = true
	}
	d.offenders.sweep(now.At)
}

func (d *Decider) note(step, text string, numbers map[string]float64) {
	d.out.Notes = append(d.out.Notes, Note{Step: step, Text: text, Numbers: numbers})
}
