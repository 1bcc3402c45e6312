package defense

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// daysLoop is a loop on a clock that is set.
func daysLoop(t *testing.T, dir string, at time.Time, watch bool) (*Loop, *clock.Clock) {
	t.Helper()
	clk := clock.NewStopped(at)
	d := deps(dir)
	d.Clock, d.Watch = clk, watch
	cfg := DefaultConfig()
	cfg.Observe.Seed = 1
	l, err := New(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	return l, clk
}

// seconds lets n seconds pass in which each of the clients is told d, once.
func seconds(l *Loop, clk *clock.Clock, n int, d mitigation.Verdict, clients ...traffic.Visit) {
	for range n * 10 {
		clk.Set(clk.Now().Add(100 * time.Millisecond))
		l.Step()
	}
	for range n {
		for _, v := range clients {
			v.At = clk.Now()
			l.Record(&v, d, traffic.Outcome{Status: 200})
		}
		for range 10 {
			clk.Set(clk.Now().Add(100 * time.Millisecond))
			l.Step()
		}
	}
}

func someClients(n, cleared int) (out []traffic.Visit) {
	for i := range n {
		v := traffic.Visit{Client: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), Method: "GET", Path: "/"}
		if i < cleared {
			v.Clearance = traffic.ClearanceProven
		}
		out = append(out, v)
	}
	return out
}

// A day counts whom watch mode would have stopped, goes on after a restart, and ends
// at midnight. Nothing of it leads to an address.
func TestDays(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	l, clk := daysLoop(t, dir, at, true)
	would := mitigation.Verdict{Would: mitigation.Would{Action: mitigation.Refuse, Reason: mitigation.ReasonClientBudget}}
	seconds(l, clk, 3, would, someClients(10, 2)...)
	seconds(l, clk, 2, mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonRule}, someClients(10, 2)...)
	day := l.days.copy()[0]
	if day.Day != "2026-05-01" || day.Requests != 50 || day.Cleared != 10 || day.Defended != 0 || day.Watched < 9 {
		t.Errorf("%+v", day)
	}
	if w := day.Would; w.Refused != 30 || w.Cleared != 6 || w.Clients != 10 || w.Visitors != 2 || w.Reasons["client-budget"] != 30 {
		t.Errorf("%+v", w)
	}
	if day.Stopped.Refused != 0 {
		t.Errorf("what a rule stops is counted: %+v", day.Stopped)
	}
	l.save(l.moment())
	l.store.wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	// The next process defends.
	l, clk = daysLoop(t, dir, at.Add(time.Hour), false)
	refuse := mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation}
	seconds(l, clk, 1, refuse, someClients(4, 0)...)
	day = l.days.copy()[0]
	if day.Would.Refused != 30 || day.Would.Clients != 10 || day.Stopped.Refused != 4 || day.Stopped.Clients != 4 || day.Defended == 0 {
		t.Errorf("after a restart: %+v", day)
	}
	// The next day begins with nothing.
	clk.Set(clk.Now().Add(12 * time.Hour))
	seconds(l, clk, 1, refuse, someClients(3, 0)...)
	all := l.days.copy()
	if len(all) != 2 || all[1].Day != "2026-05-02" || all[1].Stopped.Refused != 3 || all[1].Stopped.Clients != 3 {
		t.Errorf("the next day: %+v", all)
	}
	if text := string(l.days.encode()); strings.Contains(text, "203.0") || !json.Valid([]byte(text)) {
		t.Errorf("an address in %s", text)
	}
	l.Close()
}

// Of what was met the most is told, and no address; there is an end to it.
func TestDayMatches(t *testing.T) {
	var s Stopped
	for i := range 3 * mostMatches {
		s.met(fmt.Sprintf("path == \"/%d\"", i), 1)
	}
	s.met("bans", 1000)
	for range 5 {
		s.met("path == \"/late\"", 3)
	}
	if len(s.Matches) != mostMatches || s.Matches[0] != (DayMatches{"bans", 1000}) || s.Matches[1].Requests != 15 {
		t.Errorf("%+v", s.Matches)
	}
	for text, want := range map[string]string{
		`client.within("203.0.113.7/32")`:                 "bans",
		`client.within("203.0.113.0/24") && path == "/x"`: "bans",
		`path == "/x"`: `path == "/x"`,
	} {
		if got := whatOf(Rules{{Name: "a", Match: text}}.Parsed()[0].Match); got != want {
			t.Errorf("%s is told as %s", text, got)
		}
	}
	if whatOf(nil) != "bans" {
		t.Error("a forgotten address is told")
	}
}

// Only a month is kept, whatever a file holds.
func TestDaysAreBounded(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	l, _ := daysLoop(t, "", at, true)
	for i := range 2 * mostDays {
		l.today(decide.Moment{Wall: at.Add(time.Duration(i) * 24 * time.Hour)})
	}
	if n := len(l.days.list); n != mostDays {
		t.Errorf("%d days", n)
	}
	l.Close()
}
