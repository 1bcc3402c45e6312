package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A ban holds in the kernel at every moment while one process takes the packet
// filter over from another; by XDP, and by nftables where the rights for that are
// missing.
func TestFilterHandedOver(t *testing.T) {
	t.Parallel()
	inOwnNetwork(t, func(t *testing.T, _ string) {
		t.Run("xdp", func(t *testing.T) { filterHandedOver(t, "generic") })
		t.Run("nftables", func(t *testing.T) {
			filterHandedOver(t, "nftables", "setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin")
		})
	})
}

func filterHandedOver(t *testing.T, mode string, under ...string) {
	mount := t.TempDir()
	if err := unix.Mount("bpf", mount, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(mount, unix.MNT_DETACH) })
	const bad = "127.0.0.66"
	pins := filepath.Join(mount, "seawall")
	o := newOrigin(t)
	w := own(t, config{"packet": config{"interfaces": []string{"lo"}, "pins": pins, "confirm_within": "0s"}}, o.url)
	w.under = under
	w.install(program)
	w.run()
	t.Cleanup(func() { stopLast(t, w, pins) })
	w.order("ban", bad)
	until(t, 10*time.Second, "the ban", func() bool { return knock(w, bad) == "dropped" })

	// A knock takes 400 ms, so several are under way, one after the other.
	end := make(chan struct{})
	var knocks atomic.Int64
	var running sync.WaitGroup
	for i := range 20 {
		running.Go(func() {
			for wait := time.Duration(i) * 20 * time.Millisecond; ; wait = 0 {
				select {
				case <-end:
					return
				case <-time.After(wait):
				}
				if got := knock(w, bad); got != "dropped" {
					t.Errorf("while the filter is handed over, the banned address is %s", got)
				}
				knocks.Add(1)
			}
		})
	}
	const times = 3
	for range times {
		w.order("upgrade")
		time.Sleep(500 * time.Millisecond)
	}
	close(end)
	running.Wait()
	t.Logf("%d knocks; no control loop for %v", knocks.Load(), w.figures())
	if n := strings.Count(w.log.String(), "interface=lo mode="+mode); n != times+1 {
		t.Errorf("the log says %d times that packets are filtered, not %d times", n, times+1)
	}
	w.order("unban", bad)
	until(t, 10*time.Second, "the end of the ban", func() bool { return knock(w, bad) == "served" })
	w.order("ban", bad)
	until(t, 10*time.Second, "another ban", func() bool { return knock(w, bad) == "dropped" })
	if strings.Contains(w.log.String(), "level=ERROR") {
		t.Error("the log has errors")
	}
}

// stopLast ends the process that serves in the way that takes all it has out of the
// kernel.
func stopLast(t *testing.T, w *wall, pins string) {
	if err := syscall.Kill(w.serving(), syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	until(t, 10*time.Second, "the last process has ended", func() bool { return strings.Contains(w.log.String(), "msg=stopped") })
	time.Sleep(100 * time.Millisecond) // between the word and the deed
	if left, _ := os.ReadDir(pins); len(left) > 0 {
		t.Errorf("left in the kernel: %v", left)
	}
}
