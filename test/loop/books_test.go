package loop

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"seawall/internal/mitigation"
)

// tally is what a group got.
type tally struct {
	offered, served, shed int
	reasons               map[mitigation.Reason]int
	took                  []time.Duration
}

// groups are counted apart, and anew whenever reset is called.
type groups struct {
	mu sync.Mutex
	by map[string]*tally
}

func (g *groups) of(name string) *tally {
	t := g.by[name]
	if t == nil {
		t = &tally{reasons: map[mitigation.Reason]int{}}
		g.by[name] = t
	}
	return t
}

func (g *groups) reset() { g.mu.Lock(); g.by = map[string]*tally{}; g.mu.Unlock() }

func (t *tally) share() float64 { return float64(t.served) / float64(max(t.offered, 1)) }

func (t *tally) quantile(p float64) time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	slices.Sort(t.took)
	return t.took[int(p*float64(len(t.took)-1))]
}

func (t *tally) String() string {
	var why []string
	for r, n := range t.reasons {
		why = append(why, fmt.Sprintf("%s %d", r, n))
	}
	slices.Sort(why)
	return fmt.Sprintf("%.4f of %d (shed %d, %s), p99 %v", t.share(), t.offered, t.shed, strings.Join(why, ", "), t.quantile(0.99).Round(time.Millisecond))
}

func (w *world) attacks() int {
	st := w.loop.Status()
	n := len(st.Attacks)
	if st.Attack != nil {
		n++
	}
	return n
}

// tell prints what happened.
func (w *world) tell(what string) {
	st := w.loop.Status()
	w.books.mu.Lock()
	var names []string
	for n := range w.books.by {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		w.t.Logf("%-12s %-10s %s", what, n, w.books.by[n])
	}
	w.books.mu.Unlock()
	w.t.Logf("%-12s %s, %d attacks, %d active (%d bans), %d records, crowd %v; normal %.0f peak %.0f learned %v", what, st.State, w.attacks(), st.Active, st.Bans, len(st.Records), st.Crowd != nil, st.Normal.Requests, st.Normal.Peak, st.Normal.Learned)
}

func (w *world) dump() {
	for _, r := range w.loop.Status().Records {
		w.t.Logf("%7.2f %-7s %s", r.At.Sub(w.began).Seconds(), r.Step, r.Text)
	}
}

// atLeast says so when a group got less than it should have.
func (w *world) atLeast(group string, least float64) {
	w.books.mu.Lock()
	defer w.books.mu.Unlock()
	t := w.books.by[group]
	if least == 0 {
		return
	}
	if t == nil || t.share() < least {
		w.t.Errorf("%s: %v; want at least %.2f", group, t, least)
	}
}
