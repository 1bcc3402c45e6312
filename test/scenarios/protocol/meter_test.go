package protocol

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// meter reads what a process costs.
type meter struct {
	pid  int
	from time.Time
	cpu  time.Duration
	own  time.Duration
}

// measure begins at this moment.
func measure(t testing.TB, pid int) *meter {
	t.Helper()
	// 5 lets the kernel forget the highest resident memory so far (proc(5)).
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	return &meter{pid: pid, from: time.Now(), cpu: processorTime(t, pid), own: ownTime(t)}
}

// read returns the processor time since the beginning, of the process and of the
// attackers and visitors, in cores, and the highest resident memory.
func (m *meter) read(t testing.TB) (cpu, own float64, rss int64) {
	t.Helper()
	took := float64(time.Since(m.from))
	return float64(processorTime(t, m.pid)-m.cpu) / took, float64(ownTime(t)-m.own) / took, highest(t, m.pid)
}

// processorTime is what a process used so far (proc(5), stat: fields 14 and 15, in
// hundredths of a second).
func processorTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name, in brackets, may hold anything.
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func ownTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// highest is the highest resident memory since measure.
func highest(t testing.TB, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("the kernel does not say how much memory the program had")
	return 0
}
