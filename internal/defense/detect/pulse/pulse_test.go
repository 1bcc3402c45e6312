package pulse

import (
	"math"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// runner feeds seconds of a flood at a rate; 0 is none.
type runner struct {
	d   *Detector
	sec int
}

func (r *runner) second(rate float64, blocked uint64) []attack.Finding {
	r.sec++
	w := &traffic.Window{At: clock.Instant(time.Hour).Add(time.Duration(r.sec) * time.Second), Span: time.Second}
	if blocked > 0 {
		w.Packets = traffic.Packets{Filtered: true, Reasons: map[string]traffic.Counted{"blocked": {Packets: blocked}}}
	}
	var found []attack.Finding
	if rate > 0 {
		found = append(found, attack.Finding{Vector: attack.HTTPFlood, Rate: rate, Normal: 30})
	}
	return r.d.After(w, nil, found)
}

func TestPulses(t *testing.T) {
	for _, c := range []struct {
		name    string
		on, off int
		between float64 // the rate that a flood is said to have in the pauses; 0: it is over
		n       int
		want    bool
	}{
		{"two seconds on, two off, in one flood", 2, 2, 30, 5, true},
		{"five on, a minute off", 5, 60, 0, 4, true},
		{"five on, five minutes off", 5, 300, 0, 4, true},
		{"a flood that came back once", 5, 60, 0, 2, false},
		{"eleven minutes off", 5, 660, 0, 4, false},
		{"a flood that swings", 5, 5, 1200, 5, false},
	} {
		r := &runner{d: New(DefaultConfig())}
		var last []attack.Finding
		for range c.n {
			for range c.on {
				last = r.second(2000, 0)
			}
			for range c.off {
				if fs := r.second(c.between, 0); len(fs) > 0 {
					last = fs
				}
			}
		}
		if got := len(last) == 1 && last[0].Vector == attack.PulseWave; got != c.want {
			t.Errorf("%s: %+v", c.name, last)
			continue
		}
		if !c.want {
			continue
		}
		period, lasts := last[0].Facts[0].Value, last[0].Facts[1].Value
		if math.Abs(period-float64(c.on+c.off)) > 1 || math.Abs(lasts-float64(c.on)) > 1 {
			t.Errorf("%s: every %v s, for %v s", c.name, period, lasts)
		}
	}
}

// One that goes on is none in pulses; what the kernel holds off has not gone; and when
// the next one is overdue, it is over.
func TestNoPulses(t *testing.T) {
	r := &runner{d: New(DefaultConfig())}
	for range 300 {
		if fs := r.second(2000, 0); len(fs) > 0 {
			t.Fatalf("%+v", fs)
		}
	}
	r = &runner{d: New(DefaultConfig())}
	for i := range 40 {
		rate, blocked := 2000.0, uint64(0)
		if i%4 > 1 {
			rate, blocked = 30, 100
		}
		if fs := r.second(rate, blocked); len(fs) > 0 {
			t.Fatalf("%+v", fs)
		}
	}
	r = &runner{d: New(DefaultConfig())}
	for i := range 16 {
		r.second(2000*float64(1-i/2%2), 0)
	}
	for i := range 20 {
		if fs := r.second(0, 0); i == 19 && len(fs) > 0 {
			t.Errorf("%+v", fs)
		}
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Error(l)
	}
	if l := (Config{}).Validate(); len(l) != 1 {
		t.Errorf("an empty configuration has %d problems: %v", len(l), l)
	}
}
