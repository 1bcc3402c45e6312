package decide

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

func (w *world) rules(list ...Rule) Output {
	w.t.Helper()
	return w.apply(w.Rules(w.now, list, &traffic.Normal{Ordinary: bot(10)}))
}

func refuse(name, e string) Rule {
	return Rule{Name: name, Match: expr(e), Action: mitigation.Refuse}
}

// A change of the configuration changes what it says anew, and nothing else.
func TestRulesFollowTheConfiguration(t *testing.T) {
	w := newWorld(t)
	w.rules(refuse("a", `path == "/a"`), refuse("b", `path == "/"`))
	if w.actions() != "refuse refuse" || w.stands[1].Expected != 0 || w.stands[2].Expected != 1 {
		t.Fatalf("%+v", w.stands)
	}
	if m := w.stands[1]; m.By != mitigation.ByRule || m.Name != "a" || !m.Until.IsZero() || !strings.Contains(m.Note, "rule") {
		t.Errorf("%+v", m)
	}
	// The same again, in another order.
	if o := w.rules(refuse("b", `path == "/"`), refuse("a", `path == "/a"`)); len(o.Changes)+len(o.Events)+len(o.Notes) != 0 {
		t.Errorf("nothing has changed, and %+v", o)
	}
	w.second(nil, nil, bot(3)...)
	noted := refuse("b", `path == "/"`)
	noted.Note = "why not"
	w.rules(refuse("a", `path == "/a"`), noted)
	if k, _ := w.Find(2); k.Note != "why not" || k.Hits != 30 {
		t.Errorf("another note alone: %+v", k)
	}
	// One changed, one gone, one new, one on a dry run.
	dry := refuse("a", `path == "/a"`)
	dry.DryRun = true
	o := w.rules(dry, Rule{Name: "c", Match: expr(`method == "PUT"`), Action: mitigation.Slow})
	if len(o.Changes) != 4 || len(w.stands) != 2 || !w.stands[3].Shadow || w.stands[4].Action != mitigation.Slow {
		t.Errorf("%+v", w.stands)
	}
	for id, want := range map[mitigation.ID]string{1: "changed in", 2: "taken out of"} {
		if k, known := w.Find(id); !known || k.Active || !strings.Contains(k.Why, want) {
			t.Errorf("#%d: %+v", id, k)
		}
	}
	if w.rules(); len(w.stands) != 0 {
		t.Errorf("%+v", w.stands)
	}
}

// A restart doubles no rule, and brings none back that is no longer in the file.
func TestRulesSurviveARestart(t *testing.T) {
	w := newWorld(t)
	dry := refuse("dry", `client.within("198.51.100.0/24")`)
	dry.DryRun = true
	w.rules(refuse("a", `path == "/a"`), refuse("b", `path == "/b"`), dry)
	for _, compacted := range []bool{false, true} {
		if compacted {
			w.disk = nil
			if err := w.Snapshot(w.now, func(e Event) error {
				b, err := e.Encode()
				w.disk = append(w.disk, b)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		n := w.restart()
		if o := n.rules(refuse("a", `path == "/a"`), refuse("b", `path == "/b"`), dry); len(o.Events) != 0 || dump(t, n.List(0)) != dump(t, w.List(0)) {
			t.Errorf("before\n%s\nafter\n%s", dump(t, w.List(0)), dump(t, n.List(0)))
		}
		n = w.restart()
		if n.rules(refuse("a", `path == "/a"`)); len(n.stands) != 1 || n.stands[1].Name != "a" {
			t.Errorf("%+v", n.stands)
		}
		if n = n.restart(); len(n.stands) != 1 {
			t.Errorf("back from the journal: %+v", n.stands)
		}
	}
}

// Neither time, nor a flood's end, nor an order ends a rule; orders say what does.
func TestOnlyTheConfigurationEndsARule(t *testing.T) {
	w := newWorld(t)
	p := netip.MustParsePrefix("198.51.100.0/24")
	w.rules(refuse("a", `path == "/a"`), refuse("net", `client.within("198.51.100.0/24")`))
	for _, o := range []Order{{Verb: Lift, ID: 1}, {Verb: Unban, Prefix: p}} {
		if _, _, err := w.Decider.Order(w.now, o, nil); !errors.Is(err, ErrRule) || !strings.Contains(err.Error(), "seawall reload") {
			t.Errorf("%s: %v", o.Verb, err)
		}
	}
	if r := w.order(Order{Verb: Undo, Since: time.Hour}); len(r.Changed) != 0 || !strings.Contains(r.Text, "Rules of the configuration stand, a, net among them") {
		t.Errorf("%+v", r)
	}
	w.order(Order{Verb: Allow, Prefix: p})
	w.order(Order{Verb: Ban, Prefix: p})
	w.order(Order{Verb: Off})
	w.second(flood(true, true), nil, bot(3)...)
	w.second(nil, nil)
	w.pass(100 * time.Hour)
	w.second(nil, nil)
	if w.actions() != "refuse refuse refuse" { // the last is the ban
		t.Errorf("%q", w.actions())
	}
	// What a rule bans the machine does not ban as well.
	w.order(Order{Verb: Unban, Prefix: p})
	w.order(Order{Verb: On})
	if w.apply(w.Offences(w.now, []mitigation.Offence{{Prefix: netip.MustParsePrefix("203.0.113.1/32")}})); w.actions() != "refuse refuse refuse" {
		t.Errorf("%q", w.actions())
	}
}

// A rule on a dry run is no ban, and no allow entry.
func TestDryRunIsNoBan(t *testing.T) {
	w := newWorld(t)
	p := netip.MustParsePrefix("198.51.100.7/32")
	for _, a := range []mitigation.Action{mitigation.Admit, mitigation.Refuse} {
		w.rules(Rule{Name: "dry", Match: expr(`client.within("198.51.100.7/32")`), Action: a, DryRun: true})
		w.apply(w.Offences(w.now, []mitigation.Offence{{Prefix: p}}))
		if w.machineBans != 1 {
			t.Errorf("%v: the machine cannot ban whom a rule on a dry run is about", a)
		}
		w.order(Order{Verb: Unban, Prefix: p})
		w.pass(2 * time.Hour)
		w.second(nil, nil)
	}
	if w.rules(); len(w.stands) != 0 {
		t.Errorf("%+v", w.stands)
	}
}

// Hits on packets count for whoever ordered it; hits of visitors are told apart.
func TestRulesCountHits(t *testing.T) {
	w := newWorld(t)
	w.rules(refuse("a", `path == "/a"`), Rule{Name: "p", Match: expr(`packet.length >= 1000`), Action: mitigation.Drop})
	w.pass(time.Second)
	win := &traffic.Window{At: w.now.At, Wall: w.now.Wall, Span: time.Second,
		Hits: map[uint32]uint64{1: 12}, Cleared: map[uint32]uint64{1: 3}, Packets: traffic.Packets{Hits: map[uint32]uint64{2: 70}}}
	w.apply(w.Step(Input{Now: w.now, Window: win}))
	l := w.List(0)
	if l[1].Hits != 12 || l[1].Cleared != 3 || l[0].Hits != 70 || l[1].Kind != "rule" {
		t.Errorf("%+v", l)
	}
}
