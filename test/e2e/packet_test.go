package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// knock says what becomes of a connection from an address of loopback to the
// wall: "served", "refused" by the kernel since nobody listens, or "dropped".
func knock(w *wall, from string) string {
	d := net.Dialer{Timeout: 400 * time.Millisecond, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", w.addr)
	switch {
	case err == nil:
		c.Close()
		return "served"
	case strings.Contains(err.Error(), "refused"):
		return "refused"
	}
	return "dropped"
}

// A person's ban reaches the kernel, survives a kill -9, and ends with `seawall
// off`, with the daemon alive and dead; by XDP, and by nftables where the rights
// for that are missing.
func TestBansInTheKernel(t *testing.T) {
	t.Parallel()
	inOwnNetwork(t, func(t *testing.T, _ string) {
		t.Run("xdp", func(t *testing.T) { bansInTheKernel(t, "generic") })
		t.Run("nftables", func(t *testing.T) {
			bansInTheKernel(t, "nftables", "setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin")
		})
	})
}

func bansInTheKernel(t *testing.T, mode string, under ...string) {
	mount := t.TempDir()
	if err := unix.Mount("bpf", mount, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(mount, unix.MNT_DETACH) })
	pins := filepath.Join(mount, "seawall")
	const bad, good = "127.0.0.66", "127.0.0.1"
	o := newOrigin(t)
	w := startUnder(t, under, config{"packet": config{"interfaces": []string{"lo"}, "pins": pins}}, o.url)
	until(t, 5*time.Second, "the log says mode="+mode, func() bool {
		return strings.Contains(w.log.String(), "interface=lo mode="+mode)
	})
	is := func(when, from, want string) {
		t.Helper()
		until(t, 10*time.Second, when+": "+from+" is "+want, func() bool { return knock(w, from) == want })
	}
	is("at first", bad, "served")
	w.order("ban", bad, "--note", "e2e")
	is("banned", bad, "dropped")
	is("banned", good, "served")
	w.order("allow", "127.0.0.0/24")
	is("allowed", bad, "served")
	w.order("unban", "127.0.0.0/24")
	is("allowed no more", bad, "dropped")
	w.order("off")
	is("off", bad, "served")
	w.order("on")
	is("on", bad, "dropped")

	w.signal(syscall.SIGKILL)
	_ = w.wait(5 * time.Second)
	is("killed", good, "refused") // nobody listens, and packets pass
	is("killed", bad, "dropped")
	w.run()
	is("started again", good, "served")
	is("started again", bad, "dropped")

	w.signal(syscall.SIGKILL)
	_ = w.wait(5 * time.Second)
	is("killed again", bad, "dropped")
	w.order("off")
	is("off with the daemon dead", bad, "refused")
	w.order("on")
	w.run()
	is("on again", bad, "dropped")

	w.signal(syscall.SIGTERM)
	_ = w.wait(10 * time.Second)
	is("stopped", bad, "refused")
	if left, _ := os.ReadDir(pins); len(left) > 0 {
		t.Errorf("left in the kernel: %v", left)
	}
	if out, err := exec.Command("nft", "list", "tables").CombinedOutput(); err != nil || strings.Contains(string(out), "seawall-") {
		t.Errorf("left in the kernel: %s, %v", out, err)
	}

	// A crash, and a start without the filter: nothing of it is left.
	w.run()
	is("once more", bad, "dropped")
	w.signal(syscall.SIGKILL)
	_ = w.wait(5 * time.Second)
	w.write(nil, o.url)
	w.run()
	is("without the filter", bad, "served") // and refused by the door, with a reason
}

// The first time, packets are filtered on trial; `seawall confirm` ends that for
// good, and filters them again where it is over.
func TestFilterOnTrial(t *testing.T) {
	t.Parallel()
	inOwnNetwork(t, onTrial)
}

func onTrial(t *testing.T, pins string) {
	const bad = "127.0.0.66"
	o := newOrigin(t)
	packet := config{"interfaces": []string{"lo"}, "pins": pins, "confirm_within": "4s"}
	w := start(t, config{"packet": packet}, o.url)
	is := func(when, want string) {
		t.Helper()
		until(t, 10*time.Second, when+" it is "+want, func() bool { return knock(w, bad) == want })
	}
	w.order("ban", bad)
	is("on trial", "dropped")
	is("when nobody confirms", "served")
	w.order("confirm")
	is("when somebody does", "dropped")
	// The same ports again: others would be another setup.
	w.write(config{"packet": packet, "listen": config{"addresses": []string{w.addr}}}, o.url)
	w.signal(syscall.SIGTERM)
	_ = w.wait(10 * time.Second)
	w.run()
	is("when it starts again", "dropped")
	time.Sleep(5 * time.Second)
	is("when the time is over", "dropped")
}
