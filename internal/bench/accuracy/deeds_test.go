package accuracy

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"testing"
	"time"

	"seawall/internal/defense"
	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// open is a door that lets everybody in.
type open struct{ rank mitigation.Rank }

func (o open) Greet(*traffic.Visit) mitigation.Verdict  { return mitigation.Verdict{Rank: o.rank} }
func (o open) Decide(*traffic.Visit) mitigation.Verdict { return mitigation.Verdict{Rank: o.rank} }
func (open) TurnedAway(*traffic.Visit)                  {}

var ordinaryLimits = Limits{
	Conns: 8192, PerClient: 2048, PerNetwork: 4096, Head: 10 * time.Second, Idle: time.Minute, Grace: 10 * time.Second,
	MinRate: 1 << 10, Shakes: 50, ShakesAtOnce: 1000, TimesNetwork: 4,
}

// port is a listener on a stage with nobody on it.
func port(t *testing.T, max Limits) *listener {
	t.Helper()
	s, err := newStage(1, func(at time.Time, origin func() traffic.Origin, _ bool) (*World, error) {
		w := &World{Clock: clock.NewStopped(at), Door: open{mitigation.RankNewcomer}, Greeter: open{mitigation.RankNewcomer}, Limits: max}
		cfg := defense.DefaultConfig()
		cfg.Observe.Seed = 1
		var err error
		w.Loop, err = defense.New(cfg, defense.Deps{Clock: w.Clock, Log: slog.New(slog.DiscardHandler), Applier: nowhere{}, Origin: origin})
		return w, err
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	s.books = newBooks()
	s.events = nil // the loop's glances are not wanted
	s.listens()
	return s.port
}

// comer is somebody who connects.
func comer(addr string, p profile) *client {
	return &client{addr: netip.MustParseAddr(addr), profile: p, net: &presence{raids: true, trip: 50 * time.Millisecond}}
}

// flat is what became of connections, by name; what never was is left out.
func (l *listener) flat() map[string]int {
	w := l.s.w.Loop.Observer().CutLinks(l.counts())
	h := &w.Handshakes
	out := map[string]int{
		"opened": int(w.Opened), "closed": int(w.Closed), "unused": int(w.Unused), "crowded": int(w.Crowded), "malformed": int(w.Malformed),
		"begun": int(h.Begun), "made": int(h.Made), "unused handshakes": int(h.Unused),
	}
	for i, n := range w.Slow {
		out["slow "+traffic.Wait(i).String()] = int(n)
	}
	for o, n := range w.Odd {
		out["odd "+traffic.Oddity(o).String()] = int(n)
	}
	for name, e := range map[string]traffic.LinkEvent{"turned": traffic.LinkTurned, "unmade": traffic.LinkUnmade, "unused": traffic.LinkUnused, "slow": traffic.LinkSlow, "odd": traffic.LinkOdd} {
		out["told "+name] = int(w.Did[e])
	}
	for name, n := range out {
		if n == 0 {
			delete(out, name)
		}
	}
	return out
}

// TestDeeds: what is made up of connections is counted and told as listen counts and tells it,
// which is held to the same list.
func TestDeeds(t *testing.T) {
	raw, err := os.ReadFile("../../traffic/testdata/deeds.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]int
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	leave := func(k *link) { k.leaves(time.Second) }
	secured := func(then func(k *link)) func(*link) {
		return func(k *link) { k.l.secured(k, func() { then(k) }) }
	}
	spends := func(each func(k *link)) func(*link) {
		return secured(func(k *link) {
			for range 1000 {
				if !k.over {
					each(k)
				}
			}
		})
	}
	never := pace{bytes: 100, piece: 1, every: func() time.Duration { return time.Hour }}
	list := map[string]func(k *link){
		"a visit":                               secured(func(k *link) { k.asks(ask{path: "/"}); leave(k) }),
		"no byte":                               leave,
		"no byte until its time is up":          func(*link) {},
		"noise in place of a handshake":         func(k *link) { k.l.close(k, byAbuse) },
		"half a handshake":                      func(k *link) { k.greets(func() { leave(k) }) },
		"half a handshake until its time is up": func(k *link) { k.greets(func() {}) },
		"a handshake for nothing":               secured(leave),
		"a handshake held until its time is up": secured(func(*link) {}),
		"a head that does not end":              secured((*link).head),
		"a body that does not come":             secured(func(k *link) { k.asks(ask{method: "POST", path: "/", on: &manner{sends: never}}) }),
		"an answer that nobody takes":           secured(func(k *link) { k.asks(ask{path: "/", on: &manner{takes: never}}) }),
		"a malformed request":                   secured((*link).garbled),
		"requests reset at once":                spends(func(k *link) { k.asks(ask{path: "/"}); k.takesBack(k.streams[0]) }),
		"pings":                                 spends(func(k *link) { k.odd(traffic.OddPings, costPing) }),
		"settings":                              spends(func(k *link) { k.odd(traffic.OddSettings, costSettings) }),
		"a field block without an end":          secured(func(k *link) { k.heads(0) }),
	}
	for name, want := range all {
		t.Run(name, func(t *testing.T) {
			max, program := ordinaryLimits, go1
			if act := list[name]; name == "one more than a client may have" {
				max.PerClient = 1
				l := port(t, max)
				l.accept(comer("84.0.0.1", program))
				l.flat()
				if l.accept(comer("84.0.0.1", program)) != nil {
					t.Error("it is taken")
				}
				if got := l.flat(); !reflect.DeepEqual(got, want) {
					t.Errorf("%v, want %v", got, want)
				}
			} else {
				if want["odd resets"]+want["odd pings"]+want["odd settings"]+want["odd fields"] > 0 {
					program = go2
				}
				l := port(t, max)
				k := l.accept(comer("84.0.0.1", program))
				k.c.net.now = k
				act(k)
				l.s.run(13 * time.Second)
				if got := l.flat(); !reflect.DeepEqual(got, want) {
					t.Errorf("%v, want %v", got, want)
				}
				if len(l.links) > 0 || l.under > 0 || len(l.held) > 0 {
					t.Errorf("%d connections and %d requests are left", len(l.links), l.under)
				}
			}
		})
	}
}

// TestRoom: who has shown nothing makes room first, known visitors do not, and where nobody
// can be ended nobody comes.
func TestRoom(t *testing.T) {
	max := ordinaryLimits
	max.Conns = 64
	l := port(t, max)
	for i := range 64 {
		k := l.accept(comer("84.0.0.1", go1))
		if k.worth = 2; i%2 == 0 {
			k.worth = 0
		}
	}
	l.s.run(time.Second)
	for range 32 {
		if l.accept(comer("84.0.0.2", go1)) == nil {
			t.Fatal("there is no room")
		}
	}
	for _, k := range l.links {
		if k.worth == 0 && k.c.addr == netip.MustParseAddr("84.0.0.1") {
			t.Error("one that has shown nothing is still there")
		}
	}
	if l.count.Evicted != 32 || len(l.links) != 64 {
		t.Errorf("%d made room, %d are there", l.count.Evicted, len(l.links))
	}
	for _, k := range l.links {
		if k.worth == 0 {
			k.phase = inBusy // and nothing is waited for
		}
	}
	if l.accept(comer("84.0.0.3", go1)) != nil || l.count.Full != 1 {
		t.Errorf("one came where there is no room: %+v", l.count)
	}
}

// TestPressedHandshakes: strangers' handshakes wait for their turn, those of whom the door
// knows go before them, and who comes while many wait has a smaller budget.
func TestPressedHandshakes(t *testing.T) {
	l := port(t, ordinaryLimits)
	made := map[string]int{}
	shake := func(addr string) {
		k := l.accept(comer(addr, go1))
		l.hello(k, func() { l.made(k); made[addr]++ })
	}
	for range 600 {
		shake("84.0.0.1")
	}
	// One computes and 512 wait, charged once; 9 more, charged fifty times, are a thousand.
	if h := l.counts().Handshakes; h.Waiting != 521 || h.Turned != 78 {
		t.Fatalf("%+v", h)
	}
	l.door = open{mitigation.RankProven}
	shake("84.9.0.2")
	l.s.run(2 * shakeWork)
	if made["84.9.0.2"] != 1 || l.counts().Handshakes.Waiting < 515 {
		t.Errorf("%v were made, %d wait", made, l.counts().Handshakes.Waiting)
	}
	l.door = open{mitigation.RankNewcomer}
	before := l.count.Handshakes.Turned
	for range 30 {
		shake("84.8.0.2")
	}
	if n := l.count.Handshakes.Turned - before; n != 10 {
		t.Errorf("%d of 30 at once were turned away while many wait", n)
	}
}

// TestRaids: there are as many attacks on connections as are promised, of each kind, no name
// comes twice, and some of all are held out.
func TestRaids(t *testing.T) {
	names, kinds, held, all := map[string]bool{}, map[string]int{}, 0, 0
	add := func(name string) {
		if names[name] {
			t.Errorf("%q comes twice", name)
		}
		names[name] = true
		held += one(heldOut(name))
		all++
	}
	for _, r := range raids() {
		kinds[string(r.vector)]++
		for i, st := range raidStrengths {
			if add(r.name + ", " + st); i > 0 && r.n[i] <= r.n[i-1] {
				t.Errorf("%q is no stronger where it is %s", r.name, st)
			}
		}
	}
	for _, p := range peaces() {
		add(p.name)
	}
	if len(kinds) != 4 || all < 60 || len(peaces()) < 10 {
		t.Errorf("%v, %d without an attack", kinds, len(peaces()))
	}
	if held < all/5 || held > all/2 {
		t.Errorf("%d of %d are held out", held, all)
	}
}
