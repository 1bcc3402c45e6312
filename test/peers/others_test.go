package peers

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watch tells how busy others kept the machine during a run: what they take, the
// load may miss, and a shield that waits for load costs more each time.
type watch struct {
	began     time.Time
	all, ours time.Duration // processor time until then
}

// tick is the unit of /proc/stat, which is the same on all machines that Go knows.
const tick = 10 * time.Millisecond

// busy is how long the processors have been busy, those that a hypervisor took
// away too.
func busy(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	var user, nice, system, idle, wait, irq, soft, stolen int64
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &soft, &stolen); err != nil {
		return 0, fmt.Errorf("read %q: %w", line, err)
	}
	return time.Duration(user+nice+system+irq+soft+stolen) * tick, nil
}

// newWatch begins to watch; what processes use is ours.
func newWatch(processes []*process) (watch, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return watch{}, err
	}
	w := watch{began: time.Now()}
	if w.all, err = busy(string(text)); err != nil {
		return watch{}, err
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} { // wrk and h2load have ended
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			return watch{}, err
		}
		w.ours += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for _, p := range processes {
		n, err := p.cpu()
		if err != nil {
			return watch{}, err
		}
		w.ours += n
	}
	return w, nil
}

// share is what others used of the machine between two watches, from 0 to 1.
func (w watch) share(until watch) float64 {
	others := (until.all - w.all) - (until.ours - w.ours)
	whole := until.began.Sub(w.began) * time.Duration(runtime.NumCPU())
	return min(1, max(0, others.Seconds()/whole.Seconds()))
}

func TestWatch(t *testing.T) {
	got, err := busy("cpu  100 20 30 4000 500 6 7 8 9 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
	if want := (100 + 20 + 30 + 6 + 7 + 8) * tick; err != nil || got != want {
		t.Errorf("%v, %v, not %v", got, err, want)
	}
	if _, err := busy("cpu 1 2\n"); err == nil {
		t.Error("a short line is read")
	}
	began := time.Now()
	before := watch{began: began, all: time.Second, ours: time.Second}
	after := watch{began: began.Add(time.Second), all: time.Second + time.Duration(runtime.NumCPU())*time.Second/2, ours: time.Second}
	if got := before.share(after); got != 0.5 {
		t.Errorf("%v of the machine, not a half", got)
	}
	if w, err := newWatch(nil); err != nil || w.all <= 0 || w.ours <= 0 {
		t.Errorf("%+v, %v", w, err)
	}
}
