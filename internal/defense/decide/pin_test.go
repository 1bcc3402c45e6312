package decide

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/mitigation"
)

// What a person pins stays after the attack, over a restart, and until it is lifted; what
// is an order already, a rule, or not there, cannot be pinned.
func TestPin(t *testing.T) {
	for _, last := range []time.Duration{0, time.Hour} {
		w := newWorld(t)
		w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
		id := w.ids()[0]
		r := w.order(Order{Verb: Pin, ID: id, For: last})
		if m := w.stands[id]; m.By != mitigation.ByOperator || m.Action != mitigation.Refuse || m.Until.IsZero() != (last == 0) || !strings.HasPrefix(m.Note, "Pinned. ") {
			t.Fatalf("%+v", m)
		}
		if len(r.Changed) != 1 || !strings.HasPrefix(r.Text, "Pinned #") {
			t.Errorf("%+v", r)
		}
		if len(w.byText) != 0 || w.orders != 1 {
			t.Errorf("filed under %v, %d orders", w.byText, w.orders)
		}
		for range 300 { // the attack is over
			w.second(nil, nil)
		}
		w = w.restart()
		if w.actions() != "refuse" || w.stands[id].By != mitigation.ByOperator {
			t.Errorf("after five minutes and a restart: %q %+v", w.actions(), w.stands[id])
		}
		if w.UnderAttack() {
			t.Error("a pinned mitigation counts as an attack")
		}
		if last > 0 {
			w.pass(last)
			w.apply(w.Tick(w.now))
		} else {
			w.order(Order{Verb: Lift, ID: id})
		}
		if w.actions() != "" {
			t.Errorf("in the end: %q", w.actions())
		}
	}
}

// A challenge that is pinned while it is tried on a few asks everybody: nobody would end the
// trial.
func TestPinEndsTheTrial(t *testing.T) {
	w := newWorld(t)
	w.second(flood(true, true), []attack.Signature{sig(`path == "/" && clearance == "none"`, 0, 0.2, 1000)}, bot(100)...)
	id := w.ids()[0]
	if m := w.stands[id]; m.Action != mitigation.Challenge || !m.Few {
		t.Fatalf("%+v", m)
	}
	w.order(Order{Verb: Pin, ID: id})
	if m := w.stands[id]; m.Action != mitigation.Challenge || m.Few {
		t.Errorf("pinned: %v, few %v", m.Action, m.Few)
	}
}

func TestPinRefuses(t *testing.T) {
	w := newWorld(t)
	w.order(Order{Verb: Refuse, Match: `path == "/x"`})
	w.Rules(w.now, []Rule{{Name: "r", Match: expr(`path == "/y"`), Action: mitigation.Refuse}}, nil)
	for _, id := range append(w.ids(), 999) {
		_, _, err := w.Decider.Order(w.now, Order{Verb: Pin, ID: id}, nil)
		if err == nil || (id == 999) != errors.Is(err, ErrNotFound) {
			t.Errorf("#%d: %v", id, err)
		}
	}
}

// A ban of the machine's that is pinned is a person's: it keeps out who has a clearance,
// too, and no longer takes one of the machine's places.
func TestPinBan(t *testing.T) {
	w := newWorld(t)
	p := netip.MustParsePrefix("192.0.2.7/32")
	w.apply(w.Offences(w.now, []mitigation.Offence{{Prefix: p, Refused: 40, Direct: true}}))
	id := w.ids()[0]
	w.order(Order{Verb: Pin, ID: id})
	if w.machineBans != 0 || w.orders != 1 || w.bans[p] != id {
		t.Errorf("%d bans by the machine, %d orders, %v", w.machineBans, w.orders, w.bans)
	}
	w.order(Order{Verb: Unban, Prefix: p})
	if len(w.stands) != 0 || len(w.bans) != 0 {
		t.Errorf("%v", w.stands)
	}
}
