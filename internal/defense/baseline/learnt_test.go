package baseline

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"seawall/internal/traffic"
)

// TestDayZeroIsTold: what is used while nothing is known.
func TestDayZeroIsTold(t *testing.T) {
	cfg := DefaultConfig()
	cfg.OriginCapacity = 500
	l := New(cfg).Learnt(newSite().wall)
	for name, s := range map[string]traffic.Span{"hour": l.Hour, "day": l.Day, "week": l.Week} {
		if s.Instead == "" || s.Learned != 0 || !s.Since.IsZero() || s.Requests != (traffic.Rates{}) {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if !strings.Contains(l.Hour.Instead, "150 requests a second") || l.Frozen || l.Now.Requests != 150 {
		t.Errorf("%+v", l.Hour)
	}
}

// days learns whole days, two minutes of every five, busier by day; a window each twenty
// seconds stands for as many.
func days(b *Baseline, s *site, d time.Duration) {
	s.step = 20 * time.Second
	for end := s.wall.Add(d); s.wall.Before(end); {
		if s.wall.Minute()%5 >= 2 {
			s.at, s.wall = s.at.Add(s.step), s.wall.Add(s.step)
			continue
		}
		per := 2.0 // a second
		if h := s.wall.Hour(); h >= 10 && h < 19 {
			per = 8
		}
		if s.wall.Weekday() == time.Sunday {
			per *= 2
		}
		w := s.second(int(per*s.step.Seconds()), 0)
		w.Origin.P50, w.Origin.P95 = 8*time.Millisecond, 30*time.Millisecond
		b.Learn(w, false)
	}
}

// TestLearntSpans lives eight days and compares what is told with what there was.
func TestLearntSpans(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Samples, cfg.Floor = 100, 1
	b, s := New(cfg), newSite() // Monday, nine o'clock
	from := s.wall
	days(b, s, 90*time.Minute)
	early := b.Learnt(s.wall)
	if early.Day.Instead != "" || early.Week.Instead == "" || early.Hour.Instead != "" {
		t.Errorf("after 90 minutes: %q, %q, %q", early.Hour.Instead, early.Day.Instead, early.Week.Instead)
	}
	days(b, s, 8*24*time.Hour-90*time.Minute)
	check := func(name string, l traffic.Learnt) {
		t.Helper()
		within := func(what string, got, want, by float64) {
			t.Helper()
			near(t, name+": "+what, got, want, by)
		}
		// It is Tuesday, nine o'clock: the day behind was 15 hours quiet, nine busy.
		within("a day's median", l.Day.Requests.Usual, 2, 0.2)
		within("a day's peak", l.Day.Requests.Peak, 8, 0.3)
		within("a day's learnt hours", l.Day.Learned.Hours(), 24*2.0/5, 0.2)
		within("since", s.wall.Sub(l.Day.Since).Hours(), 24, 0.2)
		within("a week's median", l.Week.Requests.Usual, 2, 0.2)
		within("a week's peak", l.Week.Requests.Peak, 16, 0.5)
		within("a week's learnt hours", l.Week.Learned.Hours(), 168*2.0/5, 0.5)
		within("the week since", l.Week.Since.Sub(from).Hours(), 0, 1)
		for what, sp := range map[string]traffic.Span{"day": l.Day, "week": l.Week} {
			within(what+"'s assets", sp.AssetShare, 0.75, 0.03)
			within(what+"'s clearances", sp.ClearanceShare, 0.97, 0.02)
			within(what+"'s p50", sp.OriginP50.Seconds(), 0.008, 0.0002)
			within(what+"'s p95", sp.OriginP95.Seconds(), 0.030, 0.0002)
			within(what+"'s busiest client", sp.PerClient, 4.0/20, 0.01)
			within(what+"'s clients", sp.Clients, 40.0/20, 0.05)
			if sp.Samples < 1000 || sp.Instead != "" || sp.Capacity < 7 {
				t.Errorf("%s: %s: %+v", name, what, sp)
			}
		}
		for _, c := range []struct {
			day, hour int
			want      float64
		}{{0, 12, 8}, {0, 3, 2}, {6, 12, 16}, {6, 23, 4}, {2, 18, 8}, {2, 19, 2}} {
			h := l.Hours[c.day][c.hour]
			within("an hour of the week", h.Usual, c.want, 0.2)
			within("its peak", h.Peak, c.want, 0.3)
			if h.Weeks < 1 || h.Weeks > 2 {
				t.Errorf("%s: day %d, %d o'clock: %d weeks", name, c.day, c.hour, h.Weeks)
			}
		}
		if l.Hours[0][12].Weeks != 2 || l.Hours[1][12].Weeks != 1 {
			t.Errorf("%s: %d and %d weeks", name, l.Hours[0][12].Weeks, l.Hours[1][12].Weeks)
		}
	}
	l := b.Learnt(s.wall)
	check("learnt", l)

	// After a restart the same is told.
	data, err := b.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	c := New(cfg)
	if err := c.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	if err := c.UnmarshalSamples(b.MarshalSamples()); err != nil {
		t.Fatal(err)
	}
	check("loaded", c.Learnt(s.wall))

	// During an attack it says so, and the hour of the week goes on with the clock.
	for range 3 {
		s.at, s.wall = s.at.Add(time.Hour), s.wall.Add(time.Hour)
		c.Learn(s.second(80, 0), true)
	}
	if l := c.Learnt(s.wall); !l.Frozen || l.Now.Requests < 7.5 || s.wall.Hour() != 12 {
		t.Errorf("in an attack at noon %.1f requests a second are usual (%v)", l.Now.Requests, l.Frozen)
	}

	// It is JSON, and comes back as it was.
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var again traffic.Learnt
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if again.Hours != l.Hours || !reflect.DeepEqual(again.Week, l.Week) || !strings.Contains(string(text), `{"weeks":2,"usual":`) {
		t.Errorf("%s", text)
	}
}

// TestOlderRowsAreRead: of a version that knew less of a minute and of an hour.
func TestOlderRowsAreRead(t *testing.T) {
	body := `{"at":"2019-11-11T09:00:00Z","learned_s":7000,"day":[[26226540,10,800,80]],"week":[[3,1,80,90]]}`
	b := New(DefaultConfig())
	if err := b.UnmarshalBinary(append(fmt.Appendf(nil, head, checksum([]byte(body))), body...)); err != nil {
		t.Fatal(err)
	}
	l := b.Learnt(newSite().wall)
	if l.Week.Requests.Usual != 80 || l.Day.Requests.Usual != 80 || l.Day.Clients != 0 || l.Hours[3][3].Weeks != 1 {
		t.Errorf("%+v %+v", l.Day, l.Week)
	}
}
