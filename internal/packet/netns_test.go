package packet

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the process inside the server's namespace is told.
const (
	envPeer = "SEAWALL_TEST_PEER" // the client's namespace
	envRole = "SEAWALL_TEST_ROLE" // what it plays, where it is no test
)

// The two ends of the wire between the namespaces.
const (
	ownLink, peerLink = "swserver", "swclient"
	ownAddr, peerAddr = "198.18.0.1", "198.18.0.2"
)

// namespaces counts those made by this process.
var namespaces atomic.Int32

// inNamespace makes two network namespaces with a wire between them and runs
// the test again in one of them, as a process of its own; body is what runs
// there. Nothing leaves the machine.
func inNamespace(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(envPeer) != "" {
		body(t)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces needs root")
	}
	n := namespaces.Add(1) // others may run at the same time
	server, client := fmt.Sprintf("sw%d.%ds", os.Getpid(), n), fmt.Sprintf("sw%d.%dc", os.Getpid(), n)
	for _, ns := range []string{server, client} {
		run(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { run(t, "ip", "netns", "del", ns) })
	}
	run(t, "ip", "link", "add", ownLink, "netns", server, "type", "veth", "peer", "name", peerLink, "netns", client)
	for _, end := range [][4]string{{server, ownLink, ownAddr + "/24", "2001:db8::1/64"}, {client, peerLink, peerAddr + "/24", "2001:db8::2/64"}} {
		run(t, "ip", "-n", end[0], "addr", "add", end[2], "dev", end[1])
		run(t, "ip", "-n", end[0], "addr", "add", end[3], "dev", end[1], "nodad")
		run(t, "ip", "-n", end[0], "link", "set", end[1], "up")
		run(t, "ip", "-n", end[0], "link", "set", "lo", "up")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", server, os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), envPeer+"="+client)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in the namespace: %v\n%s", err, out)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// asClient runs f on a thread in the client's namespace.
func asClient(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		fd, err := unix.Open("/var/run/netns/"+os.Getenv(envPeer), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// bpffs mounts a file system for pins; it goes with the process's namespace.
func bpffs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir + "/v1"
}

// greeter answers every connection with a byte, until the test ends.
func greeter(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("x"))
			_ = c.Close()
		}
	}()
}

// reaches says whether the client gets an answer within a time.
func reaches(t *testing.T, addr string, within time.Duration) (ok bool) {
	t.Helper()
	asClient(t, func() {
		c, err := net.DialTimeout("tcp", addr, within)
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(within))
		n, _ := c.Read(make([]byte, 1))
		ok = n == 1
	})
	return ok
}
