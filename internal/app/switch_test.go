package app

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"seawall/internal/config"
	"seawall/internal/packet/filter"
)

// Off takes a dead Seawall's filter away, though its number may be another
// process's by now, and leaves a living one's to it.
func TestOffRemovesWhatTheDeadLeft(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a BPF file system needs root")
	}
	dir, data := t.TempDir(), t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	pins := dir + "/seawall"
	f, err := filter.New(filter.DefaultConfig(), filter.Guard{TCP: []uint16{443}}, pins)
	if errors.Is(err, filter.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := writeRunning(data, Running{PID: os.Getppid(), Pins: pins}); err != nil {
		t.Fatal(err)
	}
	off := func(when string, stays bool) {
		t.Helper()
		if err := WriteOff(data, true); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if left, _ := os.ReadDir(pins); len(left) > 0 != stays {
			t.Errorf("%s: %d pins are left", when, len(left))
		}
	}
	off("another folder's Seawall uses the pins", true)
	f.Close() // killed
	var p program
	p.cfg.Store(&config.Config{Data: data})
	if err := p.lockData(); err != nil {
		t.Fatal(err)
	}
	off("a Seawall lives whose filter failed to load", true)
	p.lock.Close()
	off("nobody lives", false)
}
