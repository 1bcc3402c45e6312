package enforce

import (
	"errors"
	"slices"
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
