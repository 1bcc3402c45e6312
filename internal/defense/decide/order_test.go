package decide

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

func TestOrdersThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		o    Order
		want string
	}{
		{Order{Verb: Ban}, "is missing"},
		{Order{Verb: Ban, Prefix: netip.MustParsePrefix("0.0.0.0/0")}, "too wide"},
		{Order{Verb: Allow, Prefix: netip.MustParsePrefix("2000::/3")}, "too wide"},
		{Order{Verb: Ban, Prefix: netip.MustParsePrefix("198.51.100.1/32"), For: -1}, "negative"},
		{Order{Verb: Refuse, Match: " "}, "is empty: name at least one condition"},
		{Order{Verb: Refuse, Match: "path = 1"}, "the match cannot be used"},
		{Order{Verb: Refuse, Match: "true"}, ""},
		{Order{Verb: Refuse, Match: `client.within("0.0.0.0/1")`}, "too wide"},
		{Order{Verb: Challenge, Match: "true"}, "hits everybody"},
		{Order{Verb: Challenge, Match: "packet.ttl == 52"}, "packets cannot be asked"},
		{Order{Verb: Unban, Prefix: netip.MustParsePrefix("198.51.100.1/32")}, ErrNotFound.Error()},
		{Order{Verb: Lift, ID: 9}, ErrNotFound.Error()},
		{Order{Verb: Undo}, "--since"},
		{Order{Verb: "explode"}, "is no order"},
	} {
		w := newWorld(t)
		_, out, err := w.Decider.Order(w.now, c.o, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
		if len(out.Changes)+len(out.Events)+len(out.Notes) != 0 {
			t.Errorf("%+v changes something: %+v", c.o, out)
		}
	}
}

// There is room at the door for so many expressions of people; who is told so can act.
func TestOrdersBeyondTheDoor(t *testing.T) {
	w := newWorld(t)
	for i := range mostMatches {
		w.order(Order{Verb: Slow, Match: fmt.Sprintf("path == %q", fmt.Sprint("/", i))})
	}
	if _, _, err := w.Decider.Order(w.now, Order{Verb: Challenge, Match: `path == "/x"`}, nil); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	w.order(Order{Verb: Refuse, Match: `client.within("198.51.100.0/24")`}) // prefixes have lists of their own
	w.order(Order{Verb: Lift, ID: 3})
	w.order(Order{Verb: Challenge, Match: `path == "/x"`})
}

func TestPeoplesOrders(t *testing.T) {
	w := newWorld(t)
	p := netip.MustParsePrefix("198.51.100.0/24")
	w.order(Order{Verb: Ban, Prefix: p})
	w.order(Order{Verb: Ban, Prefix: p, For: time.Hour}) // replaces
	if w.actions() != "refuse" {
		t.Fatalf("%q", w.actions())
	}
	// Time, attacks and their ends do not touch a person's order.
	for range 3 {
		w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
		w.second(nil, nil)
		w.pass(time.Minute)
		w.second(nil, nil)
	}
	if w.actions() != "refuse" {
		t.Fatalf("after attacks: %q", w.actions())
	}
	w.apply(w.Offences(w.now, []mitigation.Offence{{Prefix: netip.MustParsePrefix("198.51.100.9/32")}}))
	r := w.order(Order{Verb: Unban, Prefix: p})
	if len(r.Changed) != 2 || w.actions() != "" {
		t.Errorf("unban: %s, left %q", r.Text, w.actions())
	}
	w.apply(w.Offences(w.now, []mitigation.Offence{{Prefix: netip.MustParsePrefix("198.51.100.9/32")}}))
	if w.actions() != "" {
		t.Error("the machine banned again what a person unbanned")
	}
	w.pass(time.Hour)
	w.apply(w.Offences(w.now, []mitigation.Offence{{Prefix: netip.MustParsePrefix("198.51.100.9/32")}}))
	if w.actions() != "refuse" {
		t.Error("an hour later the machine may ban again")
	}
}

func TestOrderTellsWhatItHits(t *testing.T) {
	w := newWorld(t)
	n := &traffic.Normal{Ordinary: bot(10)}
	n.Ordinary[0].Visit.Path = "/x"
	r, out, err := w.Decider.Order(w.now, Order{Verb: Refuse, Match: `path == "/x"`}, n)
	if err != nil {
		t.Fatal(err)
	}
	w.apply(out)
	if r.Changed[0].Expected != 0.1 || !strings.Contains(r.Text, "10.0 %") {
		t.Errorf("%s", r.Text)
	}
}

func TestUndo(t *testing.T) {
	w := newWorld(t)
	old := w.order(Order{Verb: Ban, Prefix: netip.MustParsePrefix("192.0.2.0/24")}).Changed[0].ID
	gone := w.order(Order{Verb: Slow, Match: `path == "/search"`}).Changed[0].ID
	w.pass(time.Hour)
	w.order(Order{Verb: Lift, ID: gone})
	w.order(Order{Verb: Ban, Prefix: netip.MustParsePrefix("198.51.100.0/24")})
	s := []attack.Signature{sig(shy, 0, 0, 1000)}
	w.second(flood(true, true), s, bot(100)...)
	w.apply(w.Offences(w.now, offences(5)))
	w.apply(w.Emergency(w.now, flood(true, true)[0], w.judge))

	r := w.order(Order{Verb: Undo, Since: 10 * time.Minute})
	if len(r.Changed) != 9 {
		t.Errorf("%s: %d changed, want a ban, a signature, five bans, the emergency and what was lifted", r.Text, len(r.Changed))
	}
	if len(w.stands) != 2 || w.stands[old].Action != mitigation.Refuse || w.stands[gone].Action != mitigation.Slow {
		t.Fatalf("left: %q", w.actions())
	}

	again := func(w *world) {
		w.apply(w.Emergency(w.now, flood(true, true)[0], w.judge))
		w.apply(w.Offences(w.now, offences(5)))
		w.second(flood(true, true), s, bot(100)...)
		// The same flood in other words.
		w.second(flood(true, true), []attack.Signature{sig(`clearance == "none" && standing == "shy" && kind == "page"`, 0, 0, 1000)}, bot(100)...)
		w.second(flood(true, true), []attack.Signature{sig(`path == "/"`, 0, 0, 1000)}, bot(100)...)
	}
	for range 50 {
		again(w)
		w.pass(time.Minute)
	}
	if len(w.stands) != 2 {
		t.Fatalf("repeated within the hour: %q", w.actions())
	}
	n := w.restart()
	again(n)
	if len(n.stands) != 2 {
		t.Fatalf("repeated after a restart: %q", n.actions())
	}
	w.pass(11 * time.Minute)
	again(w)
	if len(w.stands) <= 2 {
		t.Error("an hour later the machine still does nothing")
	}
}

func TestOff(t *testing.T) {
	w := newWorld(t)
	w.order(Order{Verb: Off})
	w.apply(w.Emergency(w.now, flood(true, true)[0], w.judge))
	w.apply(w.Offences(w.now, offences(5)))
	w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	if w.actions() != "" || w.UnderAttack() || !w.Off() {
		t.Fatalf("while off: %q", w.actions())
	}
	w.order(Order{Verb: On})
	w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	if w.actions() != "refuse" {
		t.Errorf("after on: %q", w.actions())
	}
}

func TestAddressesAreForgotten(t *testing.T) {
	w := newWorld(t)
	w.apply(w.Offences(w.now, offences(3)))
	id := w.order(Order{Verb: Ban, Prefix: netip.MustParsePrefix("198.51.100.7/32"), For: time.Minute}).Changed[0].ID
	w.pass(time.Minute)
	w.second(nil, nil)
	if k, ok := w.Find(id); !ok || k.Active || k.Match == nil {
		t.Fatalf("just ended: %+v", k)
	}
	compact := false
	for range 59 {
		w.pass(59 * time.Second)
		compact = w.second(nil, nil).Compact || compact
	}
	if !compact {
		t.Error("the journal is not asked to forget")
	}
	for i := mitigation.ID(1); i <= id; i++ {
		if k, ok := w.Find(i); !ok || k.Match != nil || k.Note == "" {
			t.Errorf("#%d after an hour: %+v", i, k)
		}
	}
	var disk strings.Builder
	if err := w.Snapshot(w.now, func(e Event) error {
		b, err := e.Encode()
		disk.Write(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"203.0.", "198.51.100.7"} {
		if strings.Contains(disk.String(), a) {
			t.Errorf("%s is still on disk", a)
		}
		if strings.Contains(strings.Join(w.notes, "\n"), a) {
			t.Errorf("%s stands in a record", a)
		}
	}
	w.pass(31 * 24 * time.Hour)
	w.second(nil, nil)
	if _, ok := w.Find(id); ok {
		t.Error("still known after a month")
	}
}

func TestErrorsCanBeTold(t *testing.T) {
	w := newWorld(t)
	if _, _, err := w.Decider.Order(w.now, Order{Verb: Lift, ID: 3}, nil); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// What ended by itself within the time that is undone does not come back either, the
// emergency among it.
func TestUndoBarsAnEmergencyThatWasLifted(t *testing.T) {
	w := newWorld(t)
	w.emergency()
	w.second([]attack.Finding{{Vector: attack.FlashCrowd, Rate: 800, Normal: 80}}, nil) // lifts it
	if w.actions() != "" {
		t.Fatalf("%q", w.actions())
	}
	w.order(Order{Verb: Undo, Since: time.Minute})
	for _, pause := range []time.Duration{time.Minute, 57 * time.Minute} {
		w.pass(pause)
		if w.emergency(); w.actions() != "" {
			t.Errorf("%v later: %q", pause, w.actions())
		}
	}
	w.pass(3 * time.Minute)
	if w.emergency(); w.actions() != "slow" {
		t.Errorf("after the hour: %q", w.actions())
	}
}
