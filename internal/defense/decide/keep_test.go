package decide

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/mitigation"
)

func TestBansDoubleAndSpareTheAllowed(t *testing.T) {
	w := newWorld(t)
	p := netip.MustParsePrefix("203.0.113.7/32")
	list := []mitigation.Offence{{Prefix: p, Refused: 100}}
	var lasted []time.Duration
	for range 8 {
		w.apply(w.Offences(w.now, list))
		w.apply(w.Offences(w.now, list)) // goes on while it is banned
		m := w.stands[w.last]
		if q, _ := m.Banned(); q != p || m.Action != mitigation.Refuse {
			t.Fatalf("%s", &m)
		}
		lasted = append(lasted, m.Until.Sub(m.From))
		w.pass(m.Until.Sub(m.From))
		w.apply(w.Tick(w.now))
		if len(w.stands) != 0 {
			t.Fatal("the ban does not end")
		}
	}
	if fmt.Sprint(lasted) != "[1m0s 2m0s 4m0s 8m0s 16m0s 32m0s 1h0m0s 1h0m0s]" {
		t.Errorf("lasted %v", lasted)
	}
	w.order(Order{Verb: Allow, Prefix: netip.MustParsePrefix("203.0.113.0/24")})
	w.apply(w.Offences(w.now, list))
	if w.actions() != "admit" {
		t.Errorf("an allowed client was banned: %q", w.actions())
	}
}

func TestBansAreBounded(t *testing.T) {
	w := newWorld(t)
	w.cfg.Bans = 500
	for range 3 {
		w.apply(w.Offences(w.now, offences(1000)))
		w.second(nil, nil)
	}
	if w.machineBans != 500 {
		t.Errorf("%d bans", w.machineBans)
	}
	w.pass(2 * time.Hour)
	w.second(nil, nil)
	if len(w.offenders.seen) != 0 || len(w.stands) != 0 {
		t.Errorf("%d offenders remembered, %d stand", len(w.offenders.seen), len(w.stands))
	}
}

func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.order(Order{Verb: Ban, Prefix: netip.MustParsePrefix("198.51.100.0/24"), For: time.Hour, Note: "known"})
	w.order(Order{Verb: Allow, Prefix: netip.MustParsePrefix("192.0.2.1/32")})
	w.order(Order{Verb: Slow, Match: `country == "XX" && path.startsWith("/search")`})
	lifted := w.order(Order{Verb: Refuse, Match: `path == "/x"`}).Changed[0].ID
	w.order(Order{Verb: Lift, ID: lifted})
	w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	w.apply(w.Offences(w.now, offences(3)))
	w.emergency()

	w.disk = append(w.disk, []byte("{torn"), []byte(`{"set":{"id":77,"kind":"order","match":"no such thing"}}`))
	n := w.restart()
	if fmt.Sprint(dump(t, n.List(0))) != fmt.Sprint(dump(t, w.List(0))) {
		t.Errorf("before\n%s\nafter\n%s", dump(t, w.List(0)), dump(t, n.List(0)))
	}
	if n.last != 77 {
		t.Errorf("numbers go on from %d", n.last)
	}
	if k, ok := n.Find(lifted); !ok || k.Active || k.Why == "" {
		t.Errorf("the lifted one: %+v", k)
	}

	// The same from a snapshot, and an hour later.
	w.disk = nil
	if err := w.Snapshot(w.now, func(e Event) error {
		b, err := e.Encode()
		w.disk = append(w.disk, b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	n = w.restart()
	if dump(t, n.List(0)) != dump(t, w.List(0)) || n.last != w.last {
		t.Errorf("from a snapshot:\n%s", dump(t, n.List(0)))
	}
	w.pass(time.Hour)
	if n = w.restart(); n.actions() != "admit slow" {
		t.Errorf("an hour later: %q", n.actions())
	}
	if r := n.order(Order{Verb: Ban, Prefix: netip.MustParsePrefix("2001:db8::/48")}); r.Changed[0].ID <= w.last {
		t.Errorf("number %d was used before", r.Changed[0].ID)
	}
}

func dump(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// After a crash the flood may be over: a signature that had grown old must be
// met again soon.
func TestRestoredSignatureEndsSoon(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	}
	w.levels[expr(shy).String()] = 4
	w.active[1].until = w.now.At.Add(8 * time.Minute)
	w.active[1].m.Until = w.now.Wall.Add(8 * time.Minute)
	w.publish(w.active[1])
	w.apply(w.take())
	n := w.restart()
	n.pass(31 * time.Second)
	n.apply(n.Tick(n.now))
	if len(n.stands) != 0 {
		t.Error("still stands")
	}
}

func TestClockStepMovesNoExpiry(t *testing.T) {
	w := newWorld(t)
	w.order(Order{Verb: Ban, Prefix: netip.MustParsePrefix("198.51.100.1/32"), For: time.Minute})
	w.now.Wall = w.now.Wall.Add(24 * time.Hour)
	w.apply(w.Restamp(w.now))
	w.apply(w.Tick(w.now))
	m := w.stands[1]
	if len(w.stands) != 1 || m.Until.Sub(w.now.Wall) != time.Minute {
		t.Errorf("%s until %v", &m, m.Until)
	}
	w.pass(time.Minute)
	w.apply(w.Tick(w.now))
	if len(w.stands) != 0 {
		t.Error("never ends")
	}
}

// A signature's figures outlive a restart, and one of an older version is read as well.
func TestSignaturesFiguresAreKept(t *testing.T) {
	w := newWorld(t)
	s := sig(shy, 0.01, 0, 1000)
	s.Low, s.High, s.CollateralHour, s.CollateralDay, s.CollateralWeek = 0.007, 0.014, 0.001, 0.002, 0.01
	s.OrdinaryDay, s.OrdinaryWeek, s.Known, s.KnownOf, s.Examples = 2000, 1932, 3, 300, []string{"GET / (curl/8.0)"}
	w.second(flood(true, true), []attack.Signature{s}, bot(100)...)
	if w.actions() != "challenge" || !strings.Contains(strings.Join(w.notes, "\n"), "1.00 % of ordinary requests of the last 7 days") {
		t.Errorf("%s: %q", w.actions(), w.notes)
	}
	find := func(disk [][]byte) *attack.Signature {
		t.Helper()
		d := New(DefaultConfig())
		r, _, err := d.Restore(w.now, func(f func([]byte) error) error {
			for _, rec := range disk {
				if err := f(rec); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || r.Active != 1 || r.Bad != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		return d.active[1].m.Signature
	}
	got := find(w.disk)
	got.Match = s.Match
	if !reflect.DeepEqual(*got, s) {
		t.Errorf("restored %+v,\nkept %+v", *got, s)
	}
	old := `{"set":{"id":1,"kind":"signature","action":"slow","from":"` + w.now.Wall.Format(time.RFC3339) + `","until":"` + w.now.Wall.Add(time.Minute).Format(time.RFC3339) +
		`","by":"machine","match":"path == \"/\"","signature":{"match":"path == \"/\"","coverage":0.9,"collateral":0.002,"bound":0.004,"newcomers":0,"flood":500,"ordinary":900}}}`
	if got := find([][]byte{[]byte(old)}); got.Collateral != 0.002 || got.Bound != 0.004 || got.Ordinary != 900 || got.OrdinaryWeek != 0 {
		t.Errorf("%+v", got)
	}
}
