package filter

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// able skips unless this machine bears the filter.
func able(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loading programs needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")
	}
	if err := Probe(); errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

func TestProbeHelpers(t *testing.T) {
	able(t)
	helpers := Helpers()
	if len(helpers) < 3 {
		t.Fatalf("only %d helpers are asked for", len(helpers))
	}
	for _, h := range helpers {
		if h.Name == "" || h.For == "" {
			t.Errorf("%+v does not say what it is", h)
		}
		if h.Err != nil && !errors.Is(h.Err, ErrUnsupported) {
			t.Errorf("%s: %v", h.Name, h.Err)
		}
	}
}

func TestProbeDropCost(t *testing.T) {
	able(t)
	each, err := DropCost(1000, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if each <= 0 || each > 100*time.Microsecond {
		t.Errorf("a dropped packet costs %v", each)
	}
}

// Native mode is tried on a veth, whose driver has it, and leaves nothing behind.
func TestProbeTryNative(t *testing.T) {
	able(t)
	name := fmt.Sprintf("swp%d", os.Getpid()%1_000_000)
	if out, err := exec.Command("ip", "link", "add", name, "type", "veth", "peer", "name", name+"p").CombinedOutput(); err != nil {
		t.Skipf("making interfaces: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", name).Run() })
	for range 2 { // the first left nothing attached
		if err := TryNative(name); err != nil {
			t.Fatal(err)
		}
	}

	// Where a program is attached, it stays.
	f, err := New(DefaultConfig(), Guard{TCP: []uint16{443}}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if how, err := f.Attach(name); err != nil || how != Native {
		t.Fatal(how, err)
	}
	if err := TryNative(name); !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EEXIST) {
		t.Errorf("tried where a program is attached: %v", err)
	}
	info, err := f.links[name].Info()
	if err != nil || info.XDP().Ifindex == 0 {
		t.Fatalf("the filter is gone: %v", err)
	}
	id := uint32(info.Program)
	if got, ours, err := ProgramName(id); err != nil || !ours {
		t.Errorf("program %d is %q, ours %v: %v", id, got, ours, err)
	}
	if err := TryNative("nosuch0"); err == nil {
		t.Error("native mode on an interface that is not there")
	}
}
