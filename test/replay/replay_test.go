// Package replay replays logs through the real door and the real loop.
package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seawall/internal/app"
	"seawall/internal/attack"
	"seawall/internal/config"
	"seawall/internal/defense"
	"seawall/internal/kit/clock"
	"seawall/internal/replay"
	"seawall/internal/request/admit"
	"seawall/internal/traffic"
)

const (
	logFolder = "../../../shared/data/logs/"
	browser   = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
)

var morning = time.Date(2019, 11, 12, 9, 0, 0, 0, time.UTC)

// logbook writes a log as a server does.
type logbook struct {
	w   *bufio.Writer
	rng *rand.Rand
}

func (l *logbook) line(at time.Time, client, path, referer, agent string) {
	_, _ = fmt.Fprintf(l.w, "%s - - [%s] \"GET %s HTTP/1.1\" 200 5120 %q %q\n", client, at.Format("02/Jan/2006:15:04:05 -0700"), path, referer, agent)
}

// second is what people read in a second: pages with what belongs to them.
func (l *logbook) second(at time.Time, pages int) {
	for range pages {
		who, page := fmt.Sprintf("84.1.%d.%d", l.rng.IntN(4), l.rng.IntN(60)), fmt.Sprintf("/news/%d", l.rng.IntN(12))
		agent := fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%[1]d.0", 115+l.rng.IntN(14))
		l.line(at, who, page, "-", agent)
		for _, a := range []string{"/style.css", "/app.js", "/logo.png"} {
			l.line(at, who, a, "https://site.example"+page, agent)
		}
	}
}

// flood is one of many sources, each asking little.
func (l *logbook) flood(at time.Time, n int) {
	for range n {
		l.line(at, fmt.Sprintf("5.%d.%d.%d", 1+l.rng.IntN(8), l.rng.IntN(250), 7), "/", "-", browser)
	}
}

// When the flood of logged begins and ends, and the log, in seconds.
const floods, flooded, over = 660, 690, 780

// logged makes a log of 13 minutes, with a flood of so many requests a second for half of
// one.
func logged(t testing.TB, name string, flood int) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	l := &logbook{bufio.NewWriter(f), rand.New(rand.NewPCG(1, 2))}
	for s := range over {
		at := morning.Add(time.Duration(s) * time.Second)
		l.second(at, 3+l.rng.IntN(4))
		if s >= floods && s < flooded {
			l.flood(at, flood)
		}
	}
	if err := l.w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func replayed(t testing.TB, learn string, files ...string) *replay.Report {
	t.Helper()
	r, err := replay.Run(t.Context(), files, app.Replay(config.Default(), app.ReplaySetup{Learn: learn}))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A flood in a log is found within two seconds, stopped, and told apart from people.
func TestReplayFlood(t *testing.T) {
	r := replayed(t, "", logged(t, "access.log", 2000))
	if len(r.Attacks) != 1 {
		t.Fatalf("%d attacks: %+v", len(r.Attacks), r.Attacks)
	}
	a := r.Attacks[0]
	begin, end := morning.Add(floods*time.Second), morning.Add(flooded*time.Second)
	if a.Vector != attack.HTTPFlood || a.Since.Before(begin.Add(-time.Second)) || a.Since.After(begin.Add(time.Second)) ||
		a.Noticed.Sub(begin) > 2*time.Second || a.Mitigated == nil || a.Mitigated.Sub(begin) > 2*time.Second ||
		a.Ended == nil || a.Ended.Before(end) || a.Ended.After(end.Add(30*time.Second)) {
		t.Errorf("%+v", a)
	}
	if share := float64(r.Requests.Refused) / ((flooded - floods) * 2000); share < 0.9 {
		t.Errorf("%.2f of the flood would have been refused", share)
	}
	if r.Hit.RegularsR > 0 || r.Hit.Regulars < 100 {
		t.Errorf("of %d regulars %d would have been refused", r.Hit.Regulars, r.Hit.RegularsR)
	}
	if len(r.Hit.Agents) != 1 || r.Hit.Agents[0].Key != browser || r.Hit.Paths[0].Key != "/" {
		t.Errorf("refused are %+v %+v", r.Hit.Agents, r.Hit.Paths)
	}
	met := false
	for _, d := range r.Done {
		met = met || d.Requests > 10_000 && d.Until != nil
	}
	if !met {
		t.Errorf("no mitigation met the flood and ended: %+v", r.Done)
	}
	var b bytes.Buffer
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	for _, say := range []string{"ATTACKS: 1", "A flood of requests: one page, /\n", "2019-11-12 09:11:00 to 2019-11-12 09:11:", "WHAT WOULD HAVE BEEN DONE", "WHOM IT WOULD HAVE HIT", browser} {
		if !strings.Contains(b.String(), say) {
			t.Errorf("%q is not said in\n%s", say, b.String())
		}
	}
}

// The same log gives the same report, byte for byte, and so do its halves.
func TestReplayIsTheSame(t *testing.T) {
	path := logged(t, "access.log", 2000)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	half := bytes.IndexByte(whole[len(whole)/2:], '\n') + len(whole)/2 + 1
	one, two := filepath.Join(t.TempDir(), "1"), filepath.Join(t.TempDir(), "2")
	if err := os.WriteFile(one, whole[:half], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(two, whole[half:], 0o600); err != nil {
		t.Fatal(err)
	}
	var first string
	for i, files := range [][]string{{path}, {path}, {one, two}} {
		r := replayed(t, "", files...)
		r.Files = nil
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case first == "":
			first = string(b)
		case string(b) != first:
			at := 0
			for at < len(first) && at < len(b) && first[at] == b[at] {
				at++
			}
			t.Fatalf("replay %d differs: %.200s, and was %.200s", i, b[max(0, at-50):], first[max(0, at-50):])
		}
	}
}

// Real logs: the flood that got past a cache is found, and nothing in those that are
// ordinary; a scanner and a guesser of passwords are named, and nobody is refused for
// either.
func TestReplayRealLogs(t *testing.T) {
	for name, c := range map[string]struct {
		attack   string // what it is called; "" none
		findings []string
	}{
		"elastic-apache.log.gz": {}, "nasa-19950701.tsv.gz": {},
		"crowdsec-http_dos_bypass_cache.log.gz": {
			"/ with ever new queries, which no cache has, from few clients",
			[]string{"cache-busting: ever new queries at /, which no cache has"},
		},
		"crowdsec-http-bf-wordpress-bf.log.gz": {"", []string{"password-guessing: passwords tried at /wp-login.php, from one client"}},
		"crowdsec-apache-http-probing.log.gz":  {"", []string{"scanning: pages that are not there, asked for by one client: /src/scripture.php"}},
	} {
		if _, err := os.Stat(logFolder + name); err != nil {
			t.Skipf("needs %s: %v", logFolder+name, err)
		}
		r := replayed(t, "", logFolder+name)
		switch {
		case c.attack == "" && (len(r.Attacks) > 0 || r.Requests.Refused+r.Requests.Slowed > 0):
			t.Errorf("%s: %d attacks; %+v", name, len(r.Attacks), r.Requests)
		case c.attack != "" && (len(r.Attacks) != 1 || r.Attacks[0].Finding.What != c.attack):
			t.Errorf("%s: %+v", name, r.Attacks)
		}
		if len(r.Findings) != len(c.findings) {
			t.Fatalf("%s: found %+v, want %q", name, r.Findings, c.findings)
		}
		var b bytes.Buffer
		if err := r.Text(&b); err != nil {
			t.Fatal(err)
		}
		for i, want := range c.findings {
			f := &r.Findings[i]
			if got := string(f.Vector) + ": " + f.What; !strings.HasPrefix(got, want) {
				t.Errorf("%s: found %s, want %s", name, got, want)
			}
			if say := f.Vector.Title() + ": "; !strings.Contains(b.String(), "FOUND BESIDES") || !strings.Contains(b.String(), say) {
				t.Errorf("%s: %q is not said in\n%s", name, say, b.String())
			}
		}
	}
}

// openLoop is a Seawall's loop that starts on a data folder.
func openLoop(t *testing.T, data string) *defense.Loop {
	t.Helper()
	clk := clock.NewStopped(morning.Add(time.Hour))
	door, err := admit.New(admit.DefaultConfig(), clk, func(netip.Prefix) uint64 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	l, err := defense.New(defense.DefaultConfig(), defense.Deps{Clock: clk, Log: slog.New(slog.DiscardHandler), DataDir: data, Applier: door})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What was learnt from a log is what a Seawall that starts on the folder knows; where one
// runs there, that is said.
func TestReplayLearns(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	path := logged(t, "access.log", 0)
	replayed(t, data, path)
	l := openLoop(t, data)
	n := l.Status().Normal
	if n.Learned < 12*time.Minute || n.Requests < 10 || n.Requests > 25 || n.Peak < n.Requests {
		t.Errorf("a Seawall that starts there knows of %v: %.0f requests a second, at most %.0f", n.Learned, n.Requests, n.Peak)
	}
	_, err := replay.Run(t.Context(), []string{path}, app.Replay(config.Default(), app.ReplaySetup{Learn: data}))
	if err == nil || !strings.Contains(err.Error(), "stop it to have this learnt") {
		t.Errorf("beside a Seawall that runs there: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l = openLoop(t, data); l.Status().Active != 0 {
		t.Error("what was done is left, too")
	}
}

// From four hours of a real log, day and week are filled as well, and a Seawall that
// starts on the folder has them: the hours of the week, and samples for testing
// signatures on, the same from the same log.
func TestReplayLearnsDayAndWeek(t *testing.T) {
	const log = logFolder + "nasa-19950701.tsv.gz"
	if _, err := os.Stat(log); err != nil {
		t.Skipf("needs %s: %v", log, err)
	}
	data, twin := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "twin")
	r := replayed(t, data, log)
	replayed(t, twin, log)
	for _, name := range []string{"baseline", "ordinary"} {
		a, err := os.ReadFile(filepath.Join(data, name))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(twin, name)); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is another one the second time (%v)", name, err)
		}
	}
	l, err := defense.ReadLearnt(data)
	if err != nil {
		t.Fatal(err)
	}
	// The log begins at four o'clock on a Saturday; its last hour is not over.
	known := 0
	for d, day := range l.Hours {
		for h, hour := range day {
			if hour.Weeks == 0 {
				continue
			}
			known++
			// There are a good ten thousand requests in 3 h 40 min, in seconds in which
			// anybody came.
			if d != 5 || h < 4 || h > 6 || hour.Weeks != 1 || hour.Usual < 1 || hour.Usual > 3 || hour.Peak < hour.Usual {
				t.Errorf("day %d, %d o'clock: %+v", d, h, hour)
			}
		}
	}
	if known != 3 || l.Week.Requests.Usual < 1 || l.Day.Requests.Usual < 1 || l.Day.AssetShare < 0.4 || !strings.Contains(l.Week.Instead, "this hour of the week") ||
		l.Day.Learned < 90*time.Minute || l.Week.Learned < 75*time.Minute || !l.Week.Since.Equal(time.Date(1995, 7, 1, 4, 0, 0, 0, time.UTC)) {
		t.Errorf("%d hours are known; day: %+v\nweek: %+v", known, l.Day, l.Week)
	}
	open := func(at time.Time) *traffic.Normal {
		t.Helper()
		clk := clock.NewStopped(at)
		door, err := admit.New(admit.DefaultConfig(), clk, func(netip.Prefix) uint64 { return 0 })
		if err != nil {
			t.Fatal(err)
		}
		o, err := defense.New(defense.DefaultConfig(), defense.Deps{Clock: clk, Log: slog.New(slog.DiscardHandler), DataDir: data, Applier: door})
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		for range 11 { // a window
			clk.Set(clk.Now().Add(100 * time.Millisecond))
			o.Step()
		}
		return o.Status().Normal
	}
	soon := open(r.To.Add(time.Hour))
	if len(soon.OrdinaryDay) < 1500 || len(soon.OrdinaryWeek) < 1500 || !soon.OrdinaryWeek[0].Blind || len(soon.OrdinaryDay) > 2000 {
		t.Errorf("an hour later %d requests of the day are there, %d of the week", len(soon.OrdinaryDay), len(soon.OrdinaryWeek))
	}
	if n := open(r.To.AddDate(0, 0, 3)); len(n.OrdinaryDay) != 0 || len(n.OrdinaryWeek) != len(soon.OrdinaryWeek) {
		t.Errorf("three days later %d of the day are there, %d of the week", len(n.OrdinaryDay), len(n.OrdinaryWeek))
	}
	if n := open(r.To.AddDate(0, 0, 8)); len(n.OrdinaryWeek) != 0 {
		t.Errorf("eight days later %d of the week are there", len(n.OrdinaryWeek))
	}
}

// What docs/replay.md shows is what is printed.
func TestDocumentedReplay(t *testing.T) {
	page, err := os.ReadFile("../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	for mark, path := range map[string]string{"replay": logged(t, "access.log", 2000), "replay packets": capturing(t, "site.pcap", 20_000)} {
		_, rest, _ := strings.Cut(string(page), "<!-- "+mark+" -->\n```\n")
		shown, _, ok := strings.Cut(rest, "```\n")
		text := said(t, replayed(t, "", path))
		printed, _, _ := strings.Cut(strings.ReplaceAll(text, path, filepath.Base(path)), "\n\n"+lastOf(text))
		if !ok || strings.TrimSpace(shown) != strings.TrimSpace(printed) {
			t.Errorf("docs/replay.md shows\n%s\nand printed is\n%s", shown, printed)
		}
	}
}

// lastOf is the last line, which tells how fast it went.
func lastOf(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
