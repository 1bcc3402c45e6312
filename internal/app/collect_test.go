package app

import (
	"runtime"
	"testing"

	"seawall/internal/attack"
	"seawall/internal/defense"
)

// garbage makes the compiler allocate on the heap.
var garbage []byte

// The room of the heap is used by what is allocated, and is there again after a collection.
func TestRoom(t *testing.T) {
	runtime.GC()
	r := newRoom()
	if u := r.used(); u > collectFrom {
		t.Errorf("%.2f of the room is used after a collection", u)
	}
	var chunks int
	for ; r.used() <= collectFrom; chunks++ {
		if garbage = make([]byte, 32<<10); chunks > 10_000 {
			t.Fatal("whatever is allocated, the room is not used")
		}
	}
	if chunks == 0 {
		t.Error("the room was used before anything was allocated")
	}
	runtime.GC()
	if u := r.used(); u > collectFrom {
		t.Errorf("%.2f of the room is used after another one", u)
	}
}

// It collects when nothing happens, and never while a flood or a crowd is there.
func TestQuiet(t *testing.T) {
	for _, c := range []struct {
		s    defense.Status
		want bool
	}{
		{defense.Status{State: defense.Calm}, true},
		{defense.Status{State: defense.Off}, true},
		{defense.Status{State: defense.UnderAttack}, false},
		{defense.Status{State: defense.Calm, Crowd: &attack.Finding{}}, false},
		{defense.Status{State: defense.Calm, Findings: make([]defense.Found, 1)}, false},
	} {
		if got := quiet(&c.s); got != c.want {
			t.Errorf("%s: %v", c.s.State, got)
		}
	}
}
