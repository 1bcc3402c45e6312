package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Variables of sd_notify(3) and sd_watchdog_enabled(3). A process that this one
// starts in its own place gets them all but VariableWatchdogPID, which is this one's.
const (
	variableSocket      = "NOTIFY_SOCKET"
	variableWatchdog    = "WATCHDOG_USEC"
	VariableWatchdogPID = "WATCHDOG_PID"
)

// Manager is whoever started this process as a service. The zero Manager is nobody.
// It is safe for concurrent use.
type Manager struct {
	address string
	// Watchdog is how often the manager wants to hear of this process at least; 0:
	// it does not ask.
	Watchdog time.Duration
}

// Find looks in the environment for the manager. The variables stay there: the
// process that takes over needs them.
func Find() Manager {
	m := Manager{address: os.Getenv(variableSocket)}
	us, err := strconv.ParseInt(os.Getenv(variableWatchdog), 10, 64)
	pid, theirs := os.LookupEnv(VariableWatchdogPID)
	if err == nil && us > 0 && m.address != "" && (!theirs || pid == strconv.Itoa(os.Getpid())) {
		m.Watchdog = time.Duration(us) * time.Microsecond
	}
	return m
}

// Tell sends lines such as READY=1, all of which the manager takes note of at once.
func (m Manager) Tell(lines ...string) error {
	if m.address == "" {
		return nil
	}
	// The package net writes the first byte of an abstract name as "@", too.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer c.Close()
	// A manager that does not read must not hold this process up.
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	if _, err := c.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

// Reloading are the lines that say that READY=1 will come again; the manager
// compares the moment with that of its request.
func Reloading() []string {
	var now unix.Timespec
	// It cannot fail: the clock exists on every Linux.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return []string{"RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000)}
}
