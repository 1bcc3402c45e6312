package peers

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// places are the processors for the shield that is measured, and for the load
// and the origin. Apart, they do not push each other out; nil where there is one
// processor only, or where nothing is to be pinned.
type places struct{ shield, rest *unix.CPUSet }

// newPlaces gives the shields one processor and this process, and with it what
// it starts, the others.
func newPlaces(t testing.TB, pin bool) places {
	t.Helper()
	var all, first, rest unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	if !pin || all.Count() < 2 {
		return places{}
	}
	for i := range len(all) * strconv.IntSize {
		switch {
		case !all.IsSet(i):
		case first.Count() == 0:
			first.Set(i)
		default:
			rest.Set(i)
		}
	}
	// New threads are where those are that start them.
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range threads {
		id, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.SchedSetaffinity(id, &rest); err != nil && !errors.Is(err, unix.ESRCH) {
			t.Fatal(err)
		}
	}
	return places{&first, &rest}
}

// process is a program that this one started and will end.
type process struct {
	name string
	cmd  *exec.Cmd
	said words
	done chan struct{}
	err  error // valid once done is closed
}

// words is a buffer that several goroutines may use.
type words struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(w.b.String())
}

// start runs a program until the test's end, on the shields' processor where it
// is one.
func start(t testing.TB, at places, shield bool, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{name: filepath.Base(name), cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Both the processor and Pdeathsig follow the thread that starts the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := at.during(shield, p.cmd.Start)
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	t.Cleanup(func() { p.end(5 * time.Second) })
	return p
}

// during runs f on the shields' processor, if one is set aside. The thread must
// be locked.
func (at places) during(shield bool, f func() error) error {
	if !shield || at.shield == nil {
		return f()
	}
	if err := unix.SchedSetaffinity(0, at.shield); err != nil {
		return err
	}
	return errors.Join(f(), unix.SchedSetaffinity(0, at.rest))
}

// end asks the process to stop and makes it stop if it does not within a time.
func (p *process) end(within time.Duration) {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(within):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// listens waits until the process takes connections at all addresses.
func (p *process) listens(t testing.TB, addrs ...string) {
	t.Helper()
	until := time.Now().Add(20 * time.Second)
	for _, addr := range addrs {
		for {
			c, err := net.DialTimeout("tcp", addr, time.Second)
			if err == nil {
				c.Close()
				break
			}
			select {
			case <-p.done:
				t.Fatalf("%s ended: %v: %s", p.name, p.err, p.said.String())
			case <-time.After(20 * time.Millisecond):
			}
			if time.Now().After(until) {
				t.Fatalf("%s does not listen on %s: %s", p.name, addr, p.said.String())
			}
		}
	}
}

// cpu is the processor time that the process has used, of all its threads, those
// that have ended too.
func (p *process) cpu() (time.Duration, error) {
	// A process's clock is named by its id, as clock_getcpuclockid(3) does; 2 is
	// the one of the scheduler, in nanoseconds.
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^p.cmd.Process.Pid)<<3|2, &spent); err != nil {
		return 0, fmt.Errorf("read what %s has used: %w", p.name, err)
	}
	return time.Duration(spent.Nano()), nil
}

// resident is the memory that the process has, in bytes.
func (p *process) resident() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read what %s has: %w", p.name, err)
	}
	var all, pages int64
	if _, err := fmt.Sscan(string(text), &all, &pages); err != nil {
		return 0, fmt.Errorf("read what %s has: %q: %w", p.name, text, err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// The clock of this very process says what the kernel tells about it otherwise.
func TestCPU(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: "this", cmd: &exec.Cmd{Process: self}}
	before, err := p.cpu()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := p.cpu()
	if err != nil {
		t.Fatal(err)
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	told := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if after <= before || (told-after).Abs() > 20*time.Millisecond {
		t.Errorf("%v, then %v; the kernel tells %v", before, after, told)
	}
	if n, err := p.resident(); err != nil || n < 1<<20 {
		t.Errorf("%d bytes are resident, %v", n, err)
	}
}
