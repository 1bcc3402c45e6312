package packet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNothingToConfirm says that no packets are to be filtered, or cannot be.
var ErrNothingToConfirm = errors.New("there is no packet filter to confirm")

// anything is the setup of a confirmation that was given beforehand.
const anything = "*"

// confirmation is what the file of confirmations holds: that a setup was
// confirmed, or, before, until when it is on trial.
type confirmation struct {
	Setup      string   `json:"setup"` // a hash, or anything
	Interfaces []string `json:"interfaces,omitempty"`
	Ports      []uint16 `json:"ports,omitempty"`
	Confirmed  bool     `json:"confirmed"`
	// Until is a moment on the clock since the start of the machine (boot time,
	// ns) named by Boot; valid iff not Confirmed.
	Until int64  `json:"until,omitempty"`
	Boot  string `json:"boot,omitempty"`
}

// Confirm writes a confirmation of whatever setup comes next into a file, for a
// Seawall that does not run, or cannot be spoken to.
func Confirm(path string) error { return confirmation{Setup: anything, Confirmed: true}.write(path) }

func (c confirmation) write(path string) error {
	text, err := json.Marshal(c)
	if err == nil {
		// Others may read it: root may have written it, and Seawall need not be
		// root.
		err = os.WriteFile(path+".new", append(text, '\n'), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("confirm the packet filter: %w", err)
	}
	return nil
}

// readConfirmation reads the file; what is not there or not proper says nothing.
func readConfirmation(path string) (c confirmation) {
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &c) != nil {
		return confirmation{}
	}
	return c
}

// setupOf tells one way of filtering from others: what was confirmed of one says
// nothing of another.
func setupOf(kind string, interfaces []string, ports []uint16) string {
	interfaces, ports = slices.Sorted(slices.Values(interfaces)), slices.Sorted(slices.Values(ports))
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q %d", kind, interfaces, slices.Compact(ports)))
	return hex.EncodeToString(sum[:8])
}

// sinceBoot is the clock that goes on while the machine sleeps, in ns, and the
// name of its start. That name is empty where it cannot be read.
func sinceBoot() (ns int64, boot string) {
	var now unix.Timespec
	// It cannot fail: the clock exists on every Linux.
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return now.Nano(), string(bytes.TrimSpace(id))
}

// trial is how far a setup is that nobody has confirmed yet. While it runs the
// lease ends with it, so that the kernel alone ends it, too.
type trial struct {
	path   string        // of the file
	within time.Duration // to be confirmed within
	setup  confirmation  // what is on trial
	done   bool          // confirmed, or need not be
	owed   bool          // confirmed beforehand: to be written once it acts
	failed bool          // its time was over
	until  time.Time     // its end; zero: it does not run
	before map[connection]bool
}

// OnTrial has filtering end by itself until somebody confirms it, which is written
// into a file. Without it, before Start, nobody has to.
func (p *Packet) OnTrial(path string) { p.trial.path = path }

// prepare finds out whether a setup was confirmed, and goes on with a trial that
// a crash has interrupted. It needs mu, as do all that follow.
func (p *Packet) prepare(kind string) {
	t := &p.trial
	setup := confirmation{Setup: setupOf(kind, p.cfg.Interfaces, p.asked), Interfaces: p.cfg.Interfaces, Ports: p.asked}
	*t = trial{path: t.path, within: t.within, setup: setup, done: t.path == "" || t.within == 0}
	if t.done {
		return
	}
	c := readConfirmation(t.path)
	switch now, boot := sinceBoot(); {
	case c.Confirmed && c.Setup == anything:
		t.done, t.owed = true, true
	case c.Setup != setup.Setup:
	case c.Confirmed:
		t.done = true
	case p.off: // it will begin when packets are filtered
	case c.Boot == boot && boot != "":
		left := min(time.Duration(c.Until-now), t.within)
		if t.failed = left <= 0; t.failed {
			p.log.Error("packets are not filtered: " + unconfirmed)
			return
		}
		t.until = time.Now().Add(left)
		t.before = p.here.sessions(p.ssh)
	}
}

const unconfirmed = "nobody has confirmed that this machine can still be reached. HTTP is defended all the same. `seawall confirm` filters packets, for good"

// mayAttach is asked before interfaces are filtered.
func (p *Packet) mayAttach() bool {
	t := &p.trial
	switch {
	case t.done:
		return true
	case t.failed:
		return false
	case t.until.IsZero():
		t.before = p.here.sessions(p.ssh)
	}
	// Before a packet meets it: should this process die, its time is over all the
	// same.
	if err := p.on().Renew(p.lease()); err != nil {
		p.log.Error("packets are not filtered", "err", err)
		return false
	}
	return true
}

// lease is for how long the rules may hold without another word.
func (p *Packet) lease() time.Duration {
	switch t := &p.trial; {
	case t.done:
		return leaseTime
	case t.until.IsZero():
		return min(t.within, leaseTime)
	default:
		return min(time.Until(t.until), leaseTime)
	}
}

// begin begins the trial, once an interface is filtered.
func (p *Packet) begin() {
	t := &p.trial
	if t.owed && len(p.at) > 0 {
		p.pass()
	}
	if t.done || !t.until.IsZero() || len(p.at) == 0 {
		return
	}
	t.until = time.Now().Add(t.within)
	c := t.setup
	now, boot := sinceBoot()
	c.Until, c.Boot = now+int64(t.within), boot
	if err := c.write(t.path); err != nil {
		p.log.Error("a crash will make the packet filter's trial begin anew", "err", err)
	}
	p.log.Warn("packets are filtered on trial: unless `seawall confirm` says that this machine can still be reached, or somebody logs in by a new SSH connection, that ends by itself", "within", t.within)
}

// look ends the trial, one way or the other, when it is time.
func (p *Packet) look() {
	now := p.visitors()
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &p.trial
	if t.done || p.on() == nil {
		return
	}
	if c := readConfirmation(t.path); c.Confirmed && (c.Setup == anything || c.Setup == t.setup.Setup) {
		p.pass()
		p.attach()
		return
	}
	if t.until.IsZero() {
		return
	}
	if from, ok := p.reached(now); ok {
		p.log.Info("somebody logged in by a new SSH connection", "from", from)
		p.pass()
		return
	}
	if time.Now().Before(t.until) {
		return
	}
	t.failed, t.until = true, time.Time{}
	p.disarm()
	p.detach()
	p.log.Error("packets are no longer filtered: " + unconfirmed)
}

// visitors are the connections to sshd, while a trial runs. The kernel's table
// takes seconds to read while very many connect, so nobody is held up by it, and
// it is read for a tenth of the time at most. It does not need mu, and belongs to
// the goroutine of Run.
func (p *Packet) visitors() map[connection]bool {
	p.mu.Lock()
	runs, here, ssh := !p.trial.done && !p.trial.until.IsZero(), p.here, p.ssh
	p.mu.Unlock()
	begun := time.Now()
	if !runs || begun.Before(p.rest) {
		return nil
	}
	out := here.sessions(ssh)
	p.rest = time.Now().Add(9 * time.Since(begun))
	return out
}

// reached says from where somebody has come through a filtered interface to sshd
// since the trial began.
func (p *Packet) reached(now map[connection]bool) (from string, ok bool) {
	own := p.addresses()
	for c := range now {
		if !p.trial.before[c] && own[c.local.Addr().WithZone("")] {
			return c.remote.Addr().String(), true
		}
	}
	return "", false
}

// pass takes the setup as confirmed.
func (p *Packet) pass() {
	t := &p.trial
	t.done, t.owed, t.failed, t.until, t.before = true, false, false, time.Time{}, nil
	c := t.setup
	c.Confirmed = true
	if err := c.write(t.path); err != nil {
		p.log.Error("the packet filter will have to be confirmed again after a restart", "err", err)
	}
	if err := p.on().Renew(leaseTime); err != nil {
		p.log.Error("packets will pass unfiltered when the lease is over", "err", err)
	}
	p.log.Info("the packet filter is confirmed")
}

// Confirm says that this machine can be reached with its packets filtered. They
// are filtered again where nobody has said so in time.
func (p *Packet) Confirm() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.cfg.Interfaces) == 0:
		return fmt.Errorf("%w: no interfaces are named in packet.interfaces", ErrNothingToConfirm)
	case p.on() == nil:
		return fmt.Errorf("%w: it cannot be had here, and the log says why", ErrNothingToConfirm)
	}
	if !p.trial.done {
		p.pass()
	}
	p.attach()
	return nil
}

// forget ends a trial that nobody has to wait for any more: packets pass by a
// person's order, and the next begins anew.
func (p *Packet) forget() {
	t := &p.trial
	if t.done || t.setup.Setup == "" {
		return
	}
	t.until, t.failed = time.Time{}, false
	if c := readConfirmation(t.path); c.Setup == t.setup.Setup && !c.Confirmed {
		if err := os.Remove(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.log.Error("forget the packet filter's trial", "err", err)
		}
	}
}
