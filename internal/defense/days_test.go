package defense

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
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

func names(days []Day) (out []string) {
	for i := range days {
		out = append(out, days[i].Day)
	}
	return out
}

// The wall clock of a board without a battery stands in the past until somebody tells
// it the time, and may be told wrong: each day is there once, in order, and counts on.
func TestClockSteps(t *testing.T) {
	may := func(day int) decide.Moment {
		return decide.Moment{Wall: time.Date(2026, 5, day, 12, 0, 0, 0, time.UTC)}
	}
	l, _ := daysLoop(t, "", may(2).Wall, false)
	defer l.Close()
	for _, day := range []int{2, 1, 2, 9, 2, 1, 3} {
		l.today(may(day)).Requests++
	}
	want := []string{"2026-05-01", "2026-05-02", "2026-05-03", "2026-05-09"}
	if got := names(l.days.list); !slices.Equal(got, want) {
		t.Fatalf("%v", got)
	}
	for i, n := range []uint64{2, 3, 1, 1} {
		if l.days.list[i].Requests != n {
			t.Errorf("%s: %d requests, not %d", l.days.list[i].Day, l.days.list[i].Requests, n)
		}
	}
	// Today is told of, though later days are there.
	for n, want := range map[int][]string{1: {"2026-05-03"}, 2: {"2026-05-03", "2026-05-09"}, 3: {"2026-05-02", "2026-05-03", "2026-05-09"}, 31: want} {
		if got := names(l.days.last(n)); !slices.Equal(got, want) {
			t.Errorf("the last %d: %v", n, got)
		}
	}
	// A month is there already, and the clock begins in 1970.
	for day := range mostDays {
		l.today(may(day+1)).Requests++
	}
	l.today(decide.Moment{}).Requests += 7
	l.today(decide.Moment{}).Requests += 7
	if all := l.days.last(mostDays); len(all) != mostDays || all[0].Requests != 14 || all[1].Day != "2026-05-02" || all[30].Day != "2026-05-31" {
		t.Errorf("%d days, %d requests in 1970: %v", len(all), all[0].Requests, names(all))
	}
	l.today(may(31)).Requests++
	if last := l.days.list[mostDays-1]; last.Day != "2026-05-31" || last.Requests != 2 || len(l.days.list) != mostDays {
		t.Errorf("%+v", last)
	}
}

// Of a day to which the clock steps back, nobody who was refused is forgotten.
func TestClockStepsDuringRefusals(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	l, clk := daysLoop(t, "", at, false)
	defer l.Close()
	refuse := mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation}
	seconds(l, clk, 1, refuse, someClients(10, 2)...)
	back := decide.Moment{Wall: at.AddDate(-1, 0, 0)}
	w := &traffic.Window{Stopped: traffic.Stopped{Refused: 1}}
	l.countDay(back, w, 1)
	seconds(l, clk, 1, refuse, someClients(4, 0)...)
	days := l.days.list
	if len(days) != 2 || days[0].Stopped.Refused != 1 || days[0].Attacks != 1 || days[1].Stopped.Refused != 14 ||
		days[1].Stopped.Clients < 10 || days[1].Stopped.Clients > 14 || days[1].Stopped.Visitors != 2 {
		t.Errorf("%+v", days)
	}
}

// Who is refused in the first second after a start counts as well.
func TestFirstSecondCounts(t *testing.T) {
	l, clk := daysLoop(t, "", time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), false)
	defer l.Close()
	for _, v := range someClients(5, 1) {
		v.At = clk.Now()
		l.Record(&v, mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation}, traffic.Outcome{Status: 429})
	}
	seconds(l, clk, 2, mitigation.Verdict{})
	if s := l.days.list[0].Stopped; s.Refused != 5 || s.Clients != 5 || s.Visitors != 1 {
		t.Errorf("%+v", s)
	}
}

// What a clock that stepped back has left in a file is put in order, and nothing of it lost.
func TestDaysAreSorted(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 5, 2, 12, 0, 0, 0, time.UTC)
	of := func(day string, n uint64) string {
		return fmt.Sprintf(`{"day":%q,"watched":1,"defended":2,"attacks":3,"requests":%d,"cleared":4,"stopped":{"refused":5,"slowed":6,"cleared":1,"reasons":{"mitigation":5},"clients":7,"visitors":8,"matches":[{"what":"bans","requests":9}]}}`, day, n)
	}
	text := "[" + strings.Join([]string{of("2026-05-02", 1), of("2026-05-01", 10), of("2026-05-02", 100)}, ",") + "]"
	if err := os.WriteFile(filepath.Join(dir, daysName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, _ := daysLoop(t, dir, at, false)
	defer l.Close()
	if got := names(l.days.list); !slices.Equal(got, []string{"2026-05-01", "2026-05-02"}) {
		t.Fatalf("%v", got)
	}
	d := l.today(decide.Moment{Wall: at})
	if d.Requests != 101 || d.Watched != 2 || d.Defended != 4 || d.Attacks != 6 || d.Cleared != 8 {
		t.Errorf("%+v", d)
	}
	if s := d.Stopped; s.Refused != 10 || s.Slowed != 12 || s.Reasons["mitigation"] != 10 || s.Clients != 14 || s.Visitors != 16 || s.before.Clients != 14 ||
		!slices.Equal(s.Matches, []DayMatches{{"bans", 18}}) {
		t.Errorf("%+v", s)
	}
}
