package filter

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// The numbers of rungs and reasons are those of the program.
func TestWordsAreThoseOfTheProgram(t *testing.T) {
	set := settings{buckets: [2]uint32{1, 1}}
	spec, err := set.spec()
	if err != nil {
		t.Fatal(err)
	}
	for name, word := range map[string]func(uint64) string{
		"rung":   func(n uint64) string { return "rung_" + Rung(n).String() },
		"reason": func(n uint64) string { return strings.TrimPrefix("stop_"+Reason(n).String(), "stop_pass") },
	} {
		var e *btf.Enum
		if err := spec.Types.TypeByName(name, &e); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, v := range e.Values {
			theirs := strings.TrimPrefix(strings.ToLower(v.Name), "pass")
			if ours := word(v.Value); ours != theirs && v.Name != "RUNGS" && v.Name != "REASONS" {
				t.Errorf("%s %d is %s here and %s there", name, v.Value, ours, theirs)
			}
		}
		last := e.Values[len(e.Values)-1]
		if want := map[string]uint64{"rung": uint64(Rungs), "reason": uint64(Reasons)}[name]; last.Value != want {
			t.Errorf("%d of %s there, %d here", last.Value, name, want)
		}
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) > 0 {
		t.Error(l)
	}
	bad := Config{Entries4: 1, Entries6: 1 << 30}
	if l := bad.Validate(); len(l) != 10 {
		t.Errorf("%v", l)
	}
	var m Mode
	if err := m.UnmarshalText([]byte("dry")); err == nil || !strings.Contains(err.Error(), "dry_run") {
		t.Errorf("%v", err)
	}
	if err := m.UnmarshalText([]byte("enforce")); err != nil || m != Enforce {
		t.Errorf("%v, %v", m, err)
	}
}

// The program asks nothing of the kernel that Linux 6.1 does not have, and calls
// none of the kernel's own functions, which come and go.
func TestNeedsNothingNewerThan61(t *testing.T) {
	set := settings{buckets: [2]uint32{1, 1}}
	spec, err := set.spec()
	if err != nil {
		t.Fatal(err)
	}
	const last = asm.FnUserRingbufDrain // that came with 6.1
	called := map[asm.BuiltinFunc]bool{}
	for _, ins := range spec.Programs[programName].Instructions {
		if ins.IsKfuncCall() {
			t.Errorf("%v calls a function of the kernel's", ins)
		}
		if ins.IsBuiltinCall() {
			called[asm.BuiltinFunc(ins.Constant)] = true
		}
	}
	for f := range called {
		if f > last {
			t.Errorf("%v is newer than Linux 6.1", f)
		}
	}
	if len(called) < 10 || !called[asm.FnTcpGenSyncookie] {
		t.Errorf("only %d helpers are called", len(called))
	}
	for name, m := range spec.Maps {
		if m.Type > ebpf.UserRingbuf {
			t.Errorf("map %s is of a kind newer than Linux 6.1", name)
		}
	}
}
