package handshakeflood

import (
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// second is what comes in a second.
type second struct {
	visits  int // each with ten requests and two handshakes, one of which is for nothing
	half    int // handshakes begun, and not made
	vain    int // handshakes made on connections closed unused
	held    int // connections open and unused after, or in, a handshake at its end
	banned  int // handshakes of clients that are banned
	waiting int // handshakes that wait for us to compute at its end
	retried int // first packets of QUIC told to come again, of which this many do
	lost    int // the same, and none does
}

type maker struct {
	at      clock.Instant
	waiting int
}

func (m *maker) window(s second) *traffic.Window {
	m.at = m.at.Add(time.Second)
	w := &traffic.Window{At: m.at, Span: time.Second, Offered: uint64(10 * s.visits)}
	w.Links.Counted, w.Links.Most = true, 8192
	h := &w.Links.Handshakes
	h.Begun = uint64(2*s.visits + s.half + s.vain + s.banned + s.retried + max(s.waiting-m.waiting, 0))
	h.Made = uint64(2*s.visits + s.vain + s.retried)
	h.Unused, h.Banned, h.Waiting, h.Retried = uint64(s.visits+s.vain), uint64(s.banned), s.waiting, uint64(s.retried+s.lost)
	m.waiting = s.waiting
	w.Links.Lagging[traffic.WaitShake] = 3*s.visits + s.held
	w.Links.Did[traffic.LinkBegun] = h.Begun
	w.Links.Networks[traffic.LinkBegun] = []traffic.Heavy{{Key: "203.0.113.0/24", Count: h.Begun}}
	w.Links.JA4 = []traffic.Heavy{{Key: "t13d1312h2_f57a46bbacb6_f50d94e863eb", Count: h.Begun}}
	return w
}

// site is a campaign's website on an ordinary evening: ten visits a second.
func site() *traffic.Normal {
	n := &traffic.Normal{Learned: time.Hour, Requests: 100, Peak: 120}
	n.Links = traffic.LinkNormal{
		Learned: time.Hour, Begun: traffic.Rates{Usual: 20, Peak: 26}, Unmade: traffic.Rates{Usual: 0, Peak: 1},
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
		{"half-open", site(), []second{{visits: 10, half: 400}}, 1},
		{"half-open, nothing known", nil, []second{{visits: 10, half: 400}}, 1},
		{"for nothing", site(), []second{{visits: 10, vain: 300}}, 1},
		{"held", site(), []second{{visits: 10, held: 60}, {visits: 10, held: 160}, {visits: 10, held: 260}}, 2},
		{"QUIC without a true address", site(), []second{{visits: 10, lost: 3000}}, 1},
		{"QUIC that comes again", site(), []second{{visits: 10, retried: 30}}, 0},
		{"a crowd", site(), []second{{visits: 100}, {visits: 500}, {visits: 1000}}, 0},
		{"a crowd, more than we compute", site(), []second{{visits: 100, waiting: 400}, {visits: 100, waiting: 900}, {visits: 100, waiting: 900}}, 0},
		{"whoever is banned comes again", site(), repeat(3, second{visits: 10, banned: 2000}), 0},
		{"scanners", site(), repeat(5, second{visits: 10, half: 30}), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, m, found := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}, 0
			for i, s := range c.seconds {
				fs := d.Detect(m.window(s), c.normal)
				if len(fs) > 0 && found == 0 {
					found = i + 1
					f := fs[0]
					if f.Vector != attack.HandshakeFlood || f.Confidence <= 0 || f.Confidence > 0.99 || f.Since != m.at.Add(-time.Second) || len(f.Top) != 2 || f.Top[1].Field != traffic.FieldJA4 {
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
		if len(d.Detect(m.window(second{visits: 10, half: 400}), site())) != 1 {
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
