package enforce

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
)

type door struct {
	calls []string
	fail  int  // this many calls fail
	panic bool // rather than return an error
}

func (d *door) do(what string) error {
	if d.fail > 0 {
		d.fail--
		if d.panic {
			panic("broken")
		}
		return errors.New("busy")
	}
	d.calls = append(d.calls, what)
	return nil
}

func (d *door) Apply(m mitigation.Mitigation) error { return d.do("apply " + m.String()) }
func (d *door) Withdraw(id mitigation.ID) error     { return d.do("withdraw") }

func some(id mitigation.ID, a mitigation.Action) mitigation.Mitigation {
	return mitigation.Mitigation{ID: id, Match: match.All(), Action: a, By: mitigation.ByMachine}
}

func TestAppliesOnceAndOnlyWhatChanged(t *testing.T) {
	d := &door{}
	e := New(d)
	e.Set(some(1, mitigation.Slow))
	e.Flush(1)
	e.Set(some(1, mitigation.Slow))
	e.Flush(2)
	e.Set(some(1, mitigation.Refuse))
	e.Flush(3)
	e.Drop(1)
	e.Drop(1)
	e.Flush(4)
	e.Drop(1)
	e.Flush(5)
	want := []string{"apply #1 slow true (machine)", "apply #1 refuse true (machine)", "withdraw"}
	if !slices.Equal(d.calls, want) {
		t.Errorf("calls %q, want %q", d.calls, want)
	}
	if c := e.Counts(); c.Applied != 2 || c.Withdrawn != 1 || c.Pending != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestNeverAppliedIsNeverWithdrawn(t *testing.T) {
	d := &door{}
	e := New(d)
	e.Set(some(1, mitigation.Slow))
	e.Drop(1)
	e.Flush(1)
	if len(d.calls) != 0 {
		t.Errorf("calls %q", d.calls)
	}
}

// A failed Apply may still have taken hold, so its withdrawal must be tried.
func TestWithdrawsWhatFailedHalfway(t *testing.T) {
	d := &door{fail: 1}
	e := New(d)
	e.Set(some(1, mitigation.Slow))
	e.Flush(1)
	e.Drop(1)
	e.Flush(1)
	if !slices.Equal(d.calls, []string{"withdraw"}) {
		t.Errorf("calls %q", d.calls)
	}
}

func TestRetriesWithBackOff(t *testing.T) {
	for _, panics := range []bool{false, true} {
		d := &door{fail: 3, panic: panics}
		e := New(d)
		e.Set(some(1, mitigation.Refuse))
		e.Set(some(2, mitigation.Refuse))
		now := clock.Instant(time.Hour)
		if f := e.Flush(now); len(f) != 2 || f[0].Err == nil || f[0].ID != 1 {
			t.Fatalf("failures %+v", f)
		}
		if f := e.Flush(now.Add(50 * time.Millisecond)); f != nil {
			t.Fatalf("tried again too early: %+v", f)
		}
		if f := e.Flush(now.Add(100 * time.Millisecond)); len(f) != 1 || f[0].Tries != 2 {
			t.Fatalf("second attempt: %+v", f)
		}
		if !e.Stands(2) || e.Stands(1) {
			t.Error("the second mitigation must not wait for the first")
		}
		e.Flush(now.Add(300 * time.Millisecond))
		if c := e.Counts(); !e.Stands(1) || c.Failed != 3 || c.Pending != 0 {
			t.Errorf("counts %+v", c)
		}
	}
}

// crammed has room for so many, and leaves out those with the highest numbers.
type crammed struct {
	room int
	ids  []mitigation.ID
}

func (c *crammed) Apply(m mitigation.Mitigation) error {
	if !slices.Contains(c.ids, m.ID) {
		c.ids = append(c.ids, m.ID)
	}
	slices.Sort(c.ids)
	if len(c.ids) > c.room {
		return &mitigation.LeftOut{IDs: slices.Clone(c.ids[c.room:]), Why: "there is no room"}
	}
	return nil
}

func (c *crammed) Withdraw(id mitigation.ID) error {
	c.ids = slices.DeleteFunc(c.ids, func(o mitigation.ID) bool { return o == id })
	return nil
}

// What there is no room for does not stand, whether it came last or had to give way to
// another, and does once there is.
func TestLeftOut(t *testing.T) {
	e := New(&crammed{room: 2})
	now := clock.Instant(time.Hour)
	for _, id := range []mitigation.ID{3, 5} {
		e.Set(some(id, mitigation.Refuse))
	}
	if f := e.Flush(now); f != nil {
		t.Fatalf("%+v", f)
	}
	e.Set(some(7, mitigation.Refuse))
	if f := e.Flush(now); len(f) != 1 || f[0].ID != 7 || !strings.Contains(f[0].Err.Error(), "#7 without effect: there is no room") || e.Stands(7) {
		t.Errorf("one too many: %+v", f)
	}
	e.Drop(7)
	e.Flush(now)
	e.Set(some(1, mitigation.Refuse))
	f := e.Flush(now)
	if len(f) != 1 || f[0].ID != 5 || f[0].Tries != 1 || !e.Stands(1) || !e.Stands(3) || e.Stands(5) {
		t.Errorf("one had to give way: %+v", f)
	}
	if c := e.Counts(); c.Pending != 1 || c.Failed != 2 {
		t.Errorf("%+v", c)
	}
	// As long as there is no room it is tried again, and nobody else is for it.
	for range 5 {
		now = now.Add(retryMost)
		if f := e.Flush(now); len(f) != 1 || f[0].ID != 5 {
			t.Fatalf("%+v", f)
		}
	}
	e.Drop(3)
	if f := e.Flush(now.Add(retryMost)); f != nil || !e.Stands(5) || e.Counts().Pending != 0 {
		t.Errorf("there is room: %+v, %+v", f, e.Counts())
	}
}

func TestAgainAppliesEverything(t *testing.T) {
	d := &door{}
	e := New(d)
	e.Set(some(2, mitigation.Slow))
	e.Set(some(1, mitigation.Slow))
	e.Flush(1)
	e.Again()
	e.Flush(2)
	want := []string{
		"apply #1 slow true (machine)", "apply #2 slow true (machine)",
		"apply #1 slow true (machine)", "apply #2 slow true (machine)",
	}
	if !slices.Equal(d.calls, want) {
		t.Errorf("calls %q", d.calls)
	}
}
