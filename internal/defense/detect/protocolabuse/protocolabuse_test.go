package protocolabuse

import (
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// second is what comes in a second.
type second struct {
	malformed int
	odd       map[traffic.Oddity]uint64 // connections closed
}

type maker struct{ at clock.Instant }

func (m *maker) window(s second) *traffic.Window {
	m.at = m.at.Add(time.Second)
	w := &traffic.Window{At: m.at, Span: time.Second, Offered: 100}
	w.Links.Counted, w.Links.Malformed = true, uint64(s.malformed)
	for o, n := range s.odd {
		w.Links.Odd[o] = n
	}
	return w
}

// site is a campaign's website, which scanners visit as any.
func site() *traffic.Normal {
	n := &traffic.Normal{Learned: time.Hour, Requests: 100, Peak: 120}
	n.Links = traffic.LinkNormal{Learned: time.Hour, Malformed: traffic.Rates{Usual: 0, Peak: 2}}
	return n
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name   string
		normal *traffic.Normal
		second second
		want   string
	}{
		{"quiet", site(), second{}, ""},
		{"a scanner", site(), second{malformed: 40, odd: map[traffic.Oddity]uint64{traffic.OddBroken: 5}}, ""},
		{"a browser that went too far", site(), second{odd: map[traffic.Oddity]uint64{traffic.OddResets: 2}}, ""},
		{"rapid reset", site(), second{odd: map[traffic.Oddity]uint64{traffic.OddResets: 18}}, "requests taken back at once (rapid reset)"},
		{"rapid reset, nothing known", nil, second{odd: map[traffic.Oddity]uint64{traffic.OddResets: 18}}, "requests taken back at once (rapid reset)"},
		{"CONTINUATION", site(), second{odd: map[traffic.Oddity]uint64{traffic.OddFields: 40}}, "field blocks that do not end"},
		{"smuggling", site(), second{malformed: 400}, "malformed requests"},
		{"no protocol", site(), second{odd: map[traffic.Oddity]uint64{traffic.OddBroken: 400}}, "bytes that are not the protocol"},
		{"two of them", site(), second{malformed: 150, odd: map[traffic.Oddity]uint64{traffic.OddPings: 20, traffic.OddSettings: 1}}, "floods of pings and malformed requests"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
			got := ""
			if fs := d.Detect(m.window(c.second), c.normal); len(fs) > 0 {
				f := fs[0]
				if got = f.What; f.Vector != attack.ProtocolAbuse || f.Confidence <= 0 || f.Confidence > 0.99 || f.Since != m.at.Add(-time.Second) {
					t.Errorf("finding %+v", f)
				}
			}
			if got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	for i := range 20 {
		if len(d.Detect(m.window(second{malformed: 400}), site())) != 1 {
			t.Fatalf("second %d: nothing", i)
		}
	}
	calm := 0
	for {
		fs := d.Detect(m.window(second{}), site())
		if len(fs) == 0 {
			break
		}
		if calm++; calm > 20 || !strings.Contains(fs[0].What, "malformed") {
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
