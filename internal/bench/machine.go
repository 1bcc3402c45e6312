package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
)

// mostStolen is the share of the processors that may be missing before it is said.
const mostStolen = 0.01

// ticks is what a machine's processors did up to a moment, in the kernel's ticks, and how
// many threads wanted to run in the minute before it. What cannot be read is 0.
type ticks struct {
	load   float64
	all    uint64
	stolen uint64 // somebody else's at the same hardware had it
}

// machine reads the ticks so far.
func machine() ticks {
	var t ticks
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(text), &t.load)
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t
	}
	// user, nice, system, idle, iowait, irq, softirq, steal: proc_stat(5). Guests' time
	// comes after them, and is in user's already.
	line, _, _ := bytes.Cut(text, []byte("\n"))
	for i, word := range bytes.Fields(line) {
		var n uint64
		if _, err := fmt.Sscan(string(word), &n); err != nil || i > 8 {
			continue // "cpu"
		}
		t.all += n
		if i == 8 {
			t.stolen = n
		}
	}
	return t
}

// disturbed says what of the machine, and not of Seawall, is in the figures between two
// moments.
func (t ticks) disturbed(after ticks) []string {
	var notes []string
	if n := runtime.NumCPU(); t.load > float64(n) {
		notes = append(notes, fmt.Sprintf("the machine was busy before this began: a load of %.1f on %d processors", t.load, n))
	}
	all, stolen := int64(after.all-t.all), int64(after.stolen-t.stolen)
	if float64(stolen) > mostStolen*float64(all) {
		notes = append(notes, fmt.Sprintf("the machine's host gave its processors to somebody else for %.1f %% of the time", 100*float64(stolen)/float64(all)))
	}
	return notes
}
