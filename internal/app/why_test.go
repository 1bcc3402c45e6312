package app

import (
	"bytes"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/dashboard"
	"seawall/internal/kit/sealed"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/request/refuse"
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

// recalls is a memory for tests.
type recalls struct {
	made   *mitigation.Mitigation
	active bool
	prefix netip.Prefix
}

func (r recalls) Find(mitigation.ID) (mitigation.Mitigation, bool, bool) {
	if r.made == nil {
		return mitigation.Mitigation{}, false, false
	}
	return *r.made, r.active, true
}

func (r recalls) Recent(uint64) (netip.Prefix, bool) { return r.prefix, r.prefix.IsValid() }

// What `seawall why` says, for every reason and everything that may be known.
func TestWhySentences(t *testing.T) {
	box := sealed.New([32]byte{1})
	at := time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC)
	home := netip.MustParsePrefix("198.51.100.7/32")
	// Ten years ahead, so that it is still in force; only its clock time shows.
	until := time.Date(2036, 3, 4, 6, 6, 0, 0, time.UTC)
	page, err := match.Parse(`path == "/" && country == "RU"`)
	if err != nil {
		t.Fatal(err)
	}
	ban := &mitigation.Mitigation{ID: 7, Match: match.Client(home), Action: mitigation.Refuse, From: at.Add(-time.Hour), By: mitigation.ByOperator, Note: "Sent threats."}
	forgotten := *ban
	forgotten.Match = nil
	machine := &mitigation.Mitigation{
		ID: 8, Match: page, Action: mitigation.Refuse, From: at.Add(-time.Minute), Until: until, By: mitigation.ByMachine, Note: "A flood of 9,800 requests a second.",
		Finding: &attack.Finding{Facts: []attack.Fact{
			{Name: "requests offered", Value: 9800, Usual: 80, Unit: "/s"},
			{Name: "share of pages", Value: 0.98, Usual: 0.31, Unit: "share"},
		}},
		Signature: &attack.Signature{Coverage: 0.993, Collateral: 0.0004, Ordinary: 2500},
	}
	tested := *machine
	tested.Signature = &attack.Signature{
		Coverage: 0.993, Collateral: 0.02, CollateralHour: 0.0004, CollateralDay: 0.001, CollateralWeek: 0.02, Ordinary: 2500, OrdinaryDay: 2000, OrdinaryWeek: 1932,
		Known: 3, KnownOf: 412, Examples: []string{"GET / (curl/8.0)", "GET /a"},
	}
	var all strings.Builder
	for _, c := range []struct {
		name string
		ref  refuse.Ref
		mem  recalls
	}{
		{"a ban in force", refuse.Ref{ID: 7, Reason: mitigation.ReasonBan}, recalls{ban, true, home}},
		{"a ban that ended, address forgotten", refuse.Ref{ID: 7, Reason: mitigation.ReasonBan}, recalls{made: &forgotten}},
		{"a ban by the configuration", refuse.Ref{Reason: mitigation.ReasonBan}, recalls{prefix: home}},
		{"over the budget", refuse.Ref{Reason: mitigation.ReasonClientBudget}, recalls{prefix: home}},
		{"over the budget, long ago", refuse.Ref{Reason: mitigation.ReasonClientBudget}, recalls{}},
		{"neighbours", refuse.Ref{Reason: mitigation.ReasonNeighbours}, recalls{prefix: home}},
		{"mitigation in force", refuse.Ref{ID: 8, Reason: mitigation.ReasonMitigation}, recalls{machine, true, home}},
		{"mitigation ended", refuse.Ref{ID: 8, Reason: mitigation.ReasonMitigation}, recalls{machine, false, home}},
		{"mitigation tested on other days", refuse.Ref{ID: 8, Reason: mitigation.ReasonMitigation}, recalls{&tested, true, home}},
		{"mitigation forgotten", refuse.Ref{ID: 9, Reason: mitigation.ReasonMitigation}, recalls{}},
		{"origin full", refuse.Ref{Reason: mitigation.ReasonOriginFull}, recalls{prefix: home}},
	} {
		c.ref.At = at
		w, err := why(box, c.mem, time.UTC, refuse.Encode(box, c.ref))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if w.Reason != c.ref.Reason || !w.At.Equal(at) {
			t.Errorf("%s: %v at %v", c.name, w.Reason, w.At)
		}
		all.WriteString("== " + c.name + "\n")
		for _, s := range w.Sentences {
			if strings.HasPrefix(s, "To take back what the machine did: ") {
				s, _, _ = strings.Cut(s, " --since") // how long ago depends on today
			}
			all.WriteString(s + "\n")
		}
	}
	golden(t, "why.golden", all.String())
}

func TestWhyOfNoCode(t *testing.T) {
	box, other := sealed.New([32]byte{1}), sealed.New([32]byte{2})
	good := refuse.Encode(box, refuse.Ref{Reason: mitigation.ReasonBan, At: time.Now()})
	for name, code := range map[string]string{
		"empty": "", "a word": "hello", "another Seawall's": refuse.Encode(other, refuse.Ref{Reason: mitigation.ReasonBan}),
		"cut": good[:len(good)-1], "longer": good + "A", "control": "\x00\x1b[2J", "very long": strings.Repeat("A", 1<<16),
	} {
		if _, err := why(box, recalls{}, time.UTC, code); !errors.Is(err, dashboard.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := why(box, recalls{}, time.UTC, strings.ToLower(strings.ReplaceAll(good, "-", " "))); err != nil {
		t.Errorf("typed by a person: %v", err)
	}
}

func TestWhyOfflineWithoutFolder(t *testing.T) {
	if _, err := WhyOffline(filepath.Join(t.TempDir(), "none"), "x"); err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("%v", err)
	}
}
