package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"seawall/internal/attack"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal([]byte(got), want) {
		t.Errorf("%s (%v) is now:\n%s", path, err, got)
	}
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func calm() *status {
	s := &status{State: "calm", Version: "1.0", Listen: []string{"127.0.0.1:8080"}, Now: noon, Started: noon.Add(-time.Hour)}
	s.Memory.Resident, s.Memory.Ceiling = 40<<20, 256<<20
	s.Window = &traffic.Window{Span: time.Second, Offered: 80, Admitted: 80, Clients: 40}
	s.Window.Felt[traffic.ClearanceNone] = traffic.Felt{Offered: 8, Served: 8, P99: 21 * time.Millisecond}
	s.Window.Felt[traffic.ClearanceProven] = traffic.Felt{Offered: 72, Served: 72, P99: 4300 * time.Microsecond}
	s.Window.Origin = traffic.Origin{Asked: 80, Limit: 9, InFlight: 1, P50: 11 * time.Millisecond, P95: 15 * time.Millisecond, Healthy: 1}
	return s
}

func flooded(t *testing.T) *status {
	s := calm()
	s.State = "attack"
	s.Attack = &attackStatus{Since: noon.Add(-15 * time.Second), Peak: 5195, Normal: 61, Countries: map[string]uint64{"RU": 600, "BR": 390, "DE": 10}}
	s.Window.Offered, s.Window.Refused, s.Window.Clients = 4012, 3932, 2063
	s.Window.Felt[traffic.ClearanceNone] = traffic.Felt{Offered: 3940, Served: 8}
	s.Window.Felt[traffic.ClearanceProven].Served = 70
	s.Window.Origin.Failed, s.Window.Origin.Waiting = 2, 7
	for i, text := range []string{`path == "/a"`, `kind == "page" && clearance == "none" && user_agent == "x\x1b[2J y"`, `path == "/"`, `country == "RU"`, `country == "BR"`, `path == "/b"`, `path == "/c"`, `path == "/d"`} {
		m, err := match.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Doing = append(s.Doing, listed{Mitigation: mitigation.Mitigation{ID: mitigation.ID(i + 1), Match: m, Action: mitigation.Slow, By: mitigation.ByMachine}, Hits: uint64(i * 11111 % 70000)})
	}
	ban := mitigation.Mitigation{ID: 20, Match: match.Client(netip.MustParsePrefix("192.0.2.1/32")), Action: mitigation.Refuse, By: mitigation.ByOperator}
	s.Doing = append(s.Doing, listed{Mitigation: ban, Hits: 500_000})
	ban.ID, ban.By = 21, mitigation.ByMachine
	s.Doing = append(s.Doing, listed{Mitigation: ban})
	s.Active, s.Bans = 2009, 2000
	for i, text := range []string{"A flood: 803 requests a second, where 20 are usual.", "Refuse #3 for 30s:\x1b]0;evil\a path == \"/\"", strings.Repeat("very long ", 30)} {
		s.Records = append(s.Records, struct {
			At   time.Time `json:"at"`
			Step string    `json:"step"`
			Text string    `json:"text"`
		}{noon.Add(time.Duration(i) * time.Second), "detect", text})
	}
	return s
}

// The view in its states, as text.
func TestView(t *testing.T) {
	ended := noon.Add(-90 * time.Second)
	after := calm()
	after.Attacks = []attackStatus{{Ended: &ended}}
	quiet := calm()
	quiet.Window = &traffic.Window{Span: time.Second}
	packets := calm()
	packets.State = "attack"
	packets.Packets = []packetAttack{{What: "answers of DNS servers (UDP port 53)", Since: noon.Add(-34 * time.Second), Rate: 20123, Normal: 1, Doing: "The filter's rungs stop 20100 packets a second."}}
	slow := calm()
	slow.Found = []found{{What: "heads that do not end", Since: noon.Add(-12 * time.Second), Rate: 980, Normal: 1, Unit: "connections at a time", Doing: "Who keeps us waiting makes room first, and is closed when its time is up."}}
	scan := calm()
	scan.Found = []found{{Vector: attack.Scanning, What: "pages that are not there, asked for by one client: /.env, /x\x1b[2J", Doing: "Nobody is refused for it."}}
	off := calm()
	off.State = "off"
	trouble := calm()
	trouble.Troubles = []string{"enforce: apply mitigation #33: #33 without effect: no room\x1b[2J"}
	var all strings.Builder
	for _, c := range []struct {
		name string
		s    *status
	}{{"before the first second", &status{State: "calm", Now: noon, Started: noon}}, {"nobody there", quiet}, {"calm", calm()}, {"after an attack", after}, {"off", off}, {"attack", flooded(t)}, {"attack by packets", packets}, {"a slow attack", slow}, {"something found", scan}, {"something does not work", trouble}} {
		all.WriteString("== " + c.name + "\n" + (&view{width: 100}).draw(c.s))
	}
	golden(t, "view.golden", all.String())
}

// Whatever the width, no line is wider, and nothing of a stranger is obeyed.
func TestViewFits(t *testing.T) {
	for _, color := range []bool{false, true} {
		v := &view{color: color}
		for width := 20; width < 200; width += 7 {
			v.width = width
			for line := range strings.Lines(v.draw(flooded(t))) {
				bare := line
				for _, code := range []string{plain, bold, faint, red, green, yellow} {
					bare = strings.ReplaceAll(bare, "\x1b["+code+"m", "")
				}
				if strings.ContainsRune(bare, '\x1b') || strings.ContainsRune(bare, '\a') {
					t.Fatalf("a control character: %q", line)
				}
				if n := utf8.RuneCountInString(strings.TrimSuffix(bare, "\n")); n > width {
					t.Fatalf("%d wide where %d are: %q", n, width, line)
				}
				if color && strings.Count(line, "\x1b[")-strings.Count(line, "\x1b["+plain+"m") > strings.Count(line, "\x1b["+plain+"m") {
					t.Fatalf("a colour that does not end: %q", line)
				}
			}
		}
	}
}

// The curves fill up over time and keep to a minute.
func TestViewRemembers(t *testing.T) {
	v := &view{width: 200}
	for range 100 {
		v.draw(flooded(t))
	}
	if len(v.in) != 60 || len(v.out) != 60 {
		t.Errorf("%d and %d seconds are remembered", len(v.in), len(v.out))
	}
	if text := v.draw(flooded(t)); !strings.Contains(text, strings.Repeat("█", 60)) || !strings.Contains(text, "highest 3,932/s") {
		t.Errorf("no curve:\n%s", text)
	}
}

// The view reads what the API writes.
func TestStatusReadsItself(t *testing.T) {
	text, err := json.Marshal(flooded(t))
	if err != nil {
		t.Fatal(err)
	}
	var s status
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	a, b := (&view{width: 100}).draw(flooded(t)), (&view{width: 100}).draw(&s)
	if a != b {
		t.Errorf("now:\n%s", b)
	}
}

func TestGroup(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 12400: "12,400", 1234567: "1,234,567"} {
		if got := group(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
