package connflood

import (
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// second is what comes in a second.
type second struct {
	visits int // each with ten requests, two connections, and one that is not used
	closed int // connections closed without a byte
	open   int // connections that are open without a byte at its end
	shaken int // the same after a handshake
	shut   int // connections turned away, since their client has too many
	full   int // turned away for want of a place
}

type maker struct{ at clock.Instant }

func (m *maker) window(s second) *traffic.Window {
	m.at = m.at.Add(time.Second)
	w := &traffic.Window{At: m.at, Span: time.Second, Offered: uint64(10 * s.visits)}
	l := &w.Links
	l.Counted, l.Most, l.Open = true, 8192, s.open
	l.Opened = uint64(3*s.visits + s.closed + s.shut + s.full)
	l.Unused, l.Crowded, l.Full = uint64(s.visits+s.closed), uint64(s.shut), uint64(s.full)
	l.Lagging[traffic.WaitSilent], l.Lagging[traffic.WaitShake] = 3*s.visits+s.open, s.shaken
	l.Handshakes.Unused = uint64(s.shaken)
	l.Did[traffic.LinkOpened] = l.Opened
	l.Networks[traffic.LinkOpened] = []traffic.Heavy{{Key: "203.0.113.0/24", Count: l.Opened}}
	return w
}

// site is a campaign's website on an ordinary evening: ten visits a second.
func site() *traffic.Normal {
	n := &traffic.Normal{Learned: time.Hour, Requests: 100, Peak: 120}
	n.Links = traffic.LinkNormal{
		Learned: time.Hour, Opened: traffic.Rates{Usual: 30, Peak: 40},
		Unused: traffic.Rates{Usual: 10, Peak: 14}, Silent: traffic.Rates{Usual: 30, Peak: 40},
	}
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
	}{
		{"quiet", site(), repeat(5, second{visits: 10}), 0},
		{"closed at once", site(), []second{{visits: 10, closed: 800}}, 1},
		{"closed at once, nothing known", nil, []second{{visits: 10, closed: 800}}, 1},
		{"held", site(), []second{{visits: 10}, {visits: 10, open: 400}}, 2},
		{"held, slowly built up", site(), []second{{visits: 10, open: 90}, {visits: 10, open: 180}, {visits: 10, open: 270}, {visits: 10, open: 360}, {visits: 10, open: 450}}, 5},
		{"more than a client may have", site(), []second{{visits: 10, shut: 500}}, 1},
		{"a crowd", site(), []second{{visits: 100}, {visits: 500}, {visits: 1000}, {visits: 1000}}, 0},
		{"a crowd, nothing known", nil, []second{{visits: 100}, {visits: 500}, {visits: 1000}}, 0},
		{"a flood within a crowd", site(), []second{{visits: 100}, {visits: 100, closed: 2000}}, 2},
		{"a scan", site(), repeat(5, second{visits: 10, closed: 60}), 0},
		{"handshakes for nothing are another's", site(), []second{{visits: 10, shaken: 2000}}, 0},
		{"all places taken by whoever asks", site(), []second{{visits: 10, full: 500}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, m, found := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}, 0
			for i, s := range c.seconds {
				fs := d.Detect(m.window(s), c.normal)
				if len(fs) > 0 && found == 0 {
					found = i + 1
					f := fs[0]
					if f.Vector != attack.ConnectionFlood || f.Confidence <= 0 || f.Confidence > 0.99 || f.Since != m.at.Add(-time.Second) || f.Unit == "" || len(f.Top) != 1 || f.Top[0].Share != 1 {
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

func TestEnds(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	for i := range 20 {
		if len(d.Detect(m.window(second{visits: 10, closed: 800}), site())) != 1 {
			t.Fatalf("second %d: nothing", i)
		}
	}
	calm := 0
	for len(d.Detect(m.window(second{visits: 10}), site())) > 0 {
		if calm++; calm > 20 {
			t.Fatal("it never ends")
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
	if l := (Config{}).Validate(); len(l) != 4 {
		t.Errorf("an empty configuration has the problems %v", l)
	}
}
