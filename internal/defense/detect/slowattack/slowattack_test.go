package slowattack

import (
	"slices"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// second is what there is in a second.
type second struct {
	requests         int
	head, body, take int // connections that keep us waiting at its end
	given            int // requests given up for it
	left             int // of requests, those whose clients went away
}

type maker struct{ at clock.Instant }

func (m *maker) window(s second) *traffic.Window {
	m.at = m.at.Add(time.Second)
	w := &traffic.Window{At: m.at, Span: time.Second, Offered: uint64(s.requests)}
	w.Status[0], w.Status[2] = uint64(s.left), uint64(s.requests-s.left)
	w.Links.Counted, w.Links.Most = true, 8192
	w.Links.Lagging = [traffic.Waits]int{traffic.WaitSilent: 1000, traffic.WaitHead: s.head, traffic.WaitBody: s.body, traffic.WaitTake: s.take}
	w.Links.Slow[traffic.WaitTake] = uint64(s.given)
	return w
}

// site is a campaign's website on an ordinary evening.
func site() *traffic.Normal {
	n := &traffic.Normal{Learned: time.Hour, Requests: 100, Peak: 120}
	n.Links = traffic.LinkNormal{Learned: time.Hour, Laggards: traffic.Rates{Usual: 1, Peak: 4}}
	return n
}

func repeat(n int, s second) (out []second) {
	for range n {
		out = append(out, s)
	}
	return out
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name    string
		normal  *traffic.Normal
		seconds []second
		want    int // the second in which it is found; 0 never
		what    string
	}{
		{"quiet", site(), repeat(20, second{requests: 100, body: 3}), 0, ""},
		{"Slowloris", site(), []second{{requests: 100, head: 20}, {requests: 100, head: 300}}, 2, "heads that do not end"},
		{"Slowloris, nothing known", nil, []second{{requests: 100, head: 300}}, 1, "heads that do not end"},
		{"slow POST", site(), []second{{requests: 100, body: 300}}, 1, "bodies that do not come"},
		{"slow read", site(), []second{{requests: 100, take: 300}}, 1, "answers that are not taken"},
		{"two of them", site(), []second{{requests: 100, head: 200, take: 300}}, 1, "heads that do not end and answers that are not taken"},
		{"seen only when given up", site(), []second{{requests: 100, given: 40}}, 1, "answers that are not taken"},
		{"a crowd on bad lines", site(), append(repeat(5, second{requests: 1000, take: 40}), repeat(20, second{requests: 2000, take: 120})...), 0, ""},
		{"forms sent from an overloaded cell", site(), append(repeat(8, second{requests: 250}), repeat(20, second{requests: 250, body: 90})...), 0, ""},
		{"slow heads beside a crowd", site(), append(repeat(5, second{requests: 250}), second{requests: 250, head: 150}), 6, "heads that do not end"},
		{"slow POST beside a crowd, once it is given up", site(), slices.Concat(repeat(8, second{requests: 250}), repeat(8, second{requests: 250, body: 90}), repeat(1, second{requests: 250, body: 90, given: 9})), 17, "bodies that do not come"},
		{"slow POST after another one that was let go", site(), []second{{requests: 1500, left: 1400}, {requests: 100}, {requests: 100, body: 75}}, 3, "bodies that do not come"},
		{"silent ones are another's", site(), []second{{requests: 100}}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, m, found := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}, 0
			for i, s := range c.seconds {
				fs := d.Detect(m.window(s), c.normal)
				if len(fs) > 0 && found == 0 {
					found = i + 1
					f := fs[0]
					if f.Vector != attack.SlowAttack || f.Confidence <= 0 || f.Confidence > 0.99 || f.Since != m.at.Add(-time.Second) || f.What != c.what {
						t.Errorf("finding %+v", f)
					}
				}
			}
			if found != c.want {
				t.Errorf("found in second %d, want %d", found, c.want)
			}
		})
	}
}

// A window that ends early says no more of those that were given up in it.
func TestShortWindow(t *testing.T) {
	m := &maker{at: clock.Instant(time.Hour)}
	w := m.window(second{requests: 100, given: 2})
	w.Span = 300 * time.Millisecond
	if fs := New(DefaultConfig()).Detect(w, site()); len(fs) > 0 {
		t.Errorf("%+v", fs)
	}
}

func TestEnds(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	for i := range 20 {
		if len(d.Detect(m.window(second{requests: 100, head: 300}), site())) != 1 {
			t.Fatalf("second %d: nothing", i)
		}
	}
	calm := 0
	for {
		fs := d.Detect(m.window(second{requests: 100}), site())
		if len(fs) == 0 {
			break
		}
		if calm++; calm > 20 || !strings.Contains(fs[0].What, "heads") {
			t.Fatalf("calm second %d: %+v", calm, fs[0])
		}
	}
	if calm != 9 {
		t.Errorf("ended after %d calm seconds", calm+1)
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Error(l)
	}
	if l := (Config{}).Validate(); len(l) != 3 {
		t.Errorf("an empty configuration has the problems %v", l)
	}
}
