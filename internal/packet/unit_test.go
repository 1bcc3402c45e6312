package packet

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"seawall/internal/packet/filter"
)

// With the drop-in of the documentation, the service's user reaches its pins on a
// BPF file system as systemd mounts it, for root alone.
func TestDocumentedUnitReachesItsPins(t *testing.T) {
	if pins := os.Getenv(envRole); pins != "" { // the service
		f, err := filter.New(filter.DefaultConfig(), guard(), pins)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.End(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting a BPF file system needs root")
	}
	load(t, nil) // or skip
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	before := regexp.MustCompile(`(?m)^ExecStartPre=\+(.*)$`).FindAllStringSubmatch(string(text), -1)
	if len(before) == 0 {
		t.Fatal("the documentation has no drop-in")
	}
	room, err := os.MkdirTemp("/var/tmp", "seawall") // t.TempDir's parents are root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(room) })
	dir, exe := room+"/bpf", room+"/test"
	run(t, "install", "-d", "-m", "755", room, dir)
	run(t, "install", "-m", "755", os.Args[0], exe)
	if err := unix.Mount("bpf", dir, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	here := strings.NewReplacer("/sys/fs/bpf", dir, "-o seawall -g seawall", "-o 65534 -g 65534")
	for _, line := range before {
		words := strings.Fields(here.Replace(line[1]))
		run(t, words[0], words[1:]...)
	}
	const caps = "-all,+bpf,+perfmon,+net_admin"
	cmd := exec.Command("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
		"--inh-caps", caps, "--ambient-caps", caps, "--bounding-set", caps,
		exe, "-test.run", "^"+t.Name()+"$", "-test.count=1")
	cmd.Dir = room
	cmd.Env = append(os.Environ(), envRole+"="+dir+"/seawall")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the service's user has no filter: %v\n%s", err, out)
	}
}
