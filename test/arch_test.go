// Package test holds what no single room can check of itself: the floors of the
// house (this file and its neighbours) and scenarios that need several rooms.
package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// module is what import paths begin with.
const module = "seawall/"

// floors is the house of the design, by folder. A room imports lower floors
// only; the folders below a room are its sub-rooms and live on its floor.
var floors = map[string]int{
	"cmd/seawall": 10,

	"internal/app": 9,

	"internal/config": 8,

	"internal/dashboard": 7,
	"internal/notify":    7,
	"internal/replay":    7,
	"internal/doctor":    7,
	"internal/bench":     7,
	"internal/demo":      7,

	"internal/packet":   6,
	"internal/request":  6,
	"internal/defense":  6,
	"internal/incident": 6,
	"internal/fleet":    6,
	"internal/upstream": 6,

	"internal/mitigation": 5,
	"internal/attack":     4,
	"internal/match":      3,
	"internal/traffic":    2,
	"internal/kit":        1,
}

const (
	kit       = "internal/kit"
	app       = "internal/app"
	cmd       = "cmd/seawall"
	detectors = "internal/defense/detect"
)

// outside are the folders that are no part of the program: build tools, and
// tests of the whole house. They import what they need; nobody imports them.
var outside = []string{"tools", "deploy", "test"}

// kitShared are the kit packages that other kit packages may import.
var kitShared = []string{"internal/kit/clock", "internal/kit/problem"}

// detectorSees are the folders that detectors may import.
var detectorSees = []string{"internal/traffic", "internal/attack", "internal/match", kit}

// detectorHas names what detectors may not have: the outside, and the time.
var detectorHas = []string{"os", "net", "net/http", "syscall", "database/sql", "log"}

// cmdLowest is the lowest floor that cmd/seawall uses, the words apart.
const cmdLowest = 7

// words are the rooms that hold words, which cmd may use as well.
var words = []string{"internal/traffic", "internal/match", "internal/attack", "internal/mitigation"}

// owners says which folder may import a heavy dependency.
var owners = map[string]string{
	"github.com/cilium/ebpf":           "internal/packet/filter",
	"github.com/google/nftables":       "internal/packet/fallback",
	"github.com/mdlayher":              "internal/packet/fallback",
	"github.com/nats-io":               "internal/fleet",
	"github.com/corazawaf":             "internal/request/waf",
	"github.com/caddyserver/certmagic": "internal/request/listen/acme",
	"github.com/mholt/acmez":           "internal/request/listen/acme",
	"github.com/miekg/dns":             "internal/request/listen/acme",
	"go.uber.org/zap":                  "internal/request/listen/acme",
	"github.com/letsencrypt/pebble":    "internal/request/listen/acme/catest",
	"github.com/quic-go":               "internal/request/listen",
	"modernc.org/sqlite":               "internal/incident",
	"cel.dev/cel-go":                   "internal/match",
	"github.com/google/cel-go":         "internal/match",
}

// longest is how many lines a file may have.
const longest = 500

// TestHouse holds the repository to the rules.
func TestHouse(t *testing.T) {
	house := os.DirFS("..")
	problems, err := check(house)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// TestRulesCanFail runs the rules over small made-up houses. The lines before
// the first file of each are the problems that must be found, and no others.
func TestRulesCanFail(t *testing.T) {
	houses, err := filepath.Glob("testdata/arch/*.txtar")
	if err != nil || len(houses) == 0 {
		t.Fatalf("no made-up houses: %v", err)
	}
	for _, name := range houses {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			house, err := txtar.FS(archive)
			if err != nil {
				t.Fatal(err)
			}
			got, err := check(house)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.FieldsFunc(string(archive.Comment), func(r rune) bool { return r == '\n' })
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
			}
		})
	}
}

func TestLongFile(t *testing.T) {
	for lines, want := range map[int]int{longest: 0, longest + 1: 1} {
		file := "// Package clock tells time.\npackage clock\n" + strings.Repeat("\n", lines-2)
		house, err := txtar.FS(&txtar.Archive{Files: []txtar.File{{Name: "internal/kit/clock/doc.go", Data: []byte(file)}}})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := check(house); err != nil || len(got) != want {
			t.Errorf("a file of %d lines: %v, %v", lines, got, err)
		}
	}
}

func TestBrokenFile(t *testing.T) {
	house, err := txtar.FS(txtar.Parse([]byte("-- internal/app/doc.go --\npackage app {\n")))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := check(house); err == nil {
		t.Errorf("a file that is no Go gave no error, and %q", got)
	}
}

// check returns what is wrong with a house, sorted, each with its place.
func check(house fs.FS) ([]string, error) {
	packages, err := load(house)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, p := range packages {
		problems = append(problems, p.checkImports()...)
		problems = append(problems, p.checkSource()...)
	}
	slices.Sort(problems)
	return slices.Compact(problems), nil
}
