package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/defense/decide"
	"seawall/internal/packet"
)

// PackagedData is the data folder that the packages use.
const PackagedData = "/var/lib/seawall"

// Names of the files in the data folder that the commands read, too.
const (
	offFile       = "off"
	confirmedFile = "packet-confirmed"
	runningFile   = "running.json"
	keyFile       = "keys"
	lockFile      = "lock"
)

// WriteOff sets the off switch in a data folder, with no daemon needed: a
// running one looks at it several times a second, a new one at its start.
func WriteOff(data string, off bool) error {
	path := filepath.Join(data, offFile)
	if !off {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("switch on: %w", err)
		}
		return nil
	}
	text := fmt.Sprintf("switched off at %s; `seawall on` defends again\n", time.Now().UTC().Format(time.RFC3339))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("switch off: %w", err)
	}
	return removeFilter(data)
}

// WriteConfirmed confirms the packet filter in a data folder, with no daemon
// needed: a running one looks at it while it waits for that, a new one before it
// attaches the filter.
func WriteConfirmed(data string) error {
	return packet.Confirm(filepath.Join(data, confirmedFile))
}

// removeFilter takes away the packet filter that a dead Seawall has left; a
// living one takes its own.
func removeFilter(data string) error {
	r, err := ReadRunning(data)
	if err != nil || r.Pins == "" || locked(data) {
		return nil
	}
	if err := r.removeFilter(); err != nil {
		return fmt.Errorf("switch off: %w; root may do it", err)
	}
	return nil
}

// removeFilter takes away what it has in the kernel.
func (r Running) removeFilter() error {
	err := packet.Remove(r.Pins)
	if r.Table != "" {
		err = errors.Join(err, packet.RemoveTable(r.Pins))
	}
	return err
}

// readOff says whether the switch is off. Where it cannot be read it counts as
// on: an attacker who can hide files has other ways.
func readOff(data string) bool {
	_, err := os.Stat(filepath.Join(data, offFile))
	return err == nil
}

// Running tells commands where the running Seawall of a data folder listens.
type Running struct {
	PID   int      `json:"pid"`
	Admin string   `json:"admin"`
	Serve []string `json:"listen"`
	Pins  string   `json:"pins,omitempty"`  // of the packet filter, iff there is to be one
	Table string   `json:"table,omitempty"` // in nftables, iff that stands in for it
}

// ReadRunning reads what the last Seawall that used a data folder wrote.
func ReadRunning(data string) (Running, error) {
	var r Running
	text, err := os.ReadFile(filepath.Join(data, runningFile))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// running is ReadRunning, empty unless a Seawall uses the data folder now.
func running(data string) Running {
	r, err := ReadRunning(data)
	if err != nil || !locked(data) {
		return Running{}
	}
	return r
}

// locked says whether a living Seawall holds the lock of a data folder. What it
// wrote of its process would not tell: the number may be another's by now, and
// in a container it is the same each time. A lock that cannot be read counts as
// held, since its owner may heed the switch.
func locked(data string) bool {
	f, err := os.Open(filepath.Join(data, lockFile))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}

// has says whether it listens on the port of an address.
func (r Running) has(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(append(slices.Clone(r.Serve), r.Admin), func(a string) bool {
		_, p, err := net.SplitHostPort(a)
		return err == nil && p == port
	})
}

func writeRunning(data string, r Running) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := filepath.Join(data, runningFile+".new")
	if err := os.WriteFile(tmp, text, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(data, runningFile))
}

// setOff lets everything through, or defends again.
func (p *program) setOff(off bool) {
	p.off.Store(off)
	p.turnOff(off)
	verb := decide.On
	if off {
		verb = decide.Off
	}
	// The loop may be the part that broke; the door has been turned already.
	if _, err := p.loop.Order(decide.Order{Verb: verb}); err != nil {
		p.log.Error("tell the control loop of the switch", "err", err)
	}
}

// watch follows the switch in the data folder.
func (p *program) watch(ctx context.Context) error {
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	if p.followed.Load() {
		p.setOff(true) // the loop knows nothing of it yet
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if off := readOff(p.cfg.Load().Data); p.followed.Swap(off) != off {
				p.setOff(off)
			}
		}
	}
}
