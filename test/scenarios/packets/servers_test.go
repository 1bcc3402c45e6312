package packets

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Where things listen in the host's namespace.
const (
	adminAddr  = "127.0.0.1:9090"
	originAddr = "127.0.0.1:8081"
)

// build makes the program as users have it. FLOOD_PROGRAM names one that is
// there already, to measure another version.
func build(t testing.TB) (program string) {
	t.Helper()
	if program = os.Getenv("FLOOD_PROGRAM"); program != "" {
		return program
	}
	program = filepath.Join(t.TempDir(), "seawall")
	cmd := exec.Command("go", "build", "-o", program, "seawall/cmd/seawall")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// daemon is a program in the host's namespace. It is stopped at the test's end
// at the latest.
type daemon struct {
	cmd  *exec.Cmd
	log  *log
	stop func() // asks it to end, and waits
}

// log keeps what a program says; several may write.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// run starts one; what it prints goes to out, or to the log.
func run(t testing.TB, space string, out io.Writer, args ...string) *daemon {
	t.Helper()
	d := &daemon{cmd: exec.Command("ip", append([]string{"netns", "exec", space}, args...)...), log: &log{}}
	d.cmd.Stderr = d.log
	if out == nil {
		out = d.log
	}
	d.cmd.Stdout = out
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.stop = sync.OnceFunc(func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(20*time.Second, func() { _ = d.cmd.Process.Kill() })
		defer late.Stop()
		_ = d.cmd.Wait()
	})
	t.Cleanup(d.stop)
	return d
}

// origin runs nginx behind Seawall.
func origin(t testing.TB, space string) {
	t.Helper()
	dir := t.TempDir()
	text := `daemon off; worker_processes 1; pid ` + dir + `/pid; error_log stderr;
events { worker_connections 4096; }
http { access_log off; default_type text/html; server { listen ` + originAddr + ` backlog=4096; location / { return 200 "<!doctype html><title>Site</title>"; } } }
`
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, space, nil, "nginx", "-p", dir, "-c", file)
}

// sshd runs one that knows one key, which it returns once connections are accepted.
func sshd(t testing.TB, space string) (key string) {
	t.Helper()
	dir := t.TempDir()
	key = filepath.Join(dir, "key")
	for _, name := range []string{key, filepath.Join(dir, "host")} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where sshd wants to be
		t.Fatal(err)
	}
	text := fmt.Sprintf("ListenAddress %s:22\nHostKey %s/host\nAuthorizedKeysFile %s.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n", hostAddr, dir, key)
	file := filepath.Join(dir, "sshd_config")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := run(t, space, nil, "/usr/sbin/sshd", "-D", "-e", "-f", file)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("sshd: %s", d.log)
		}
	})
	for end := time.Now().Add(20 * time.Second); !strings.Contains(d.log.String(), "Server listening on "); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("sshd does not listen")
		}
	}
	return key
}

// pinned mounts a file system for the filter's pins. It has to be there before
// the processes of the namespaces.
func pinned(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return filepath.Join(dir, "seawall")
}

// seawall starts it with fresh data, and with the packet filter if pins is
// given.
func seawall(t testing.TB, space, program, pins string) *daemon {
	t.Helper()
	dir := t.TempDir()
	type object = map[string]any
	cfg := object{
		"data":   filepath.Join(dir, "data"),
		"memory": "256MiB",
		"admin":  object{"listen": adminAddr},
		"listen": object{"addresses": []string{fmt.Sprintf(":%d", web)}},
		"proxy":  object{"origins": []object{{"url": "http://" + originAddr}}},
	}
	if pins != "" {
		cfg["packet"] = object{"interfaces": []string{hostLink}, "ports": []int{quic}, "pins": pins, "confirm_within": 0}
	}
	text, err := json.MarshalIndent(cfg, "", "  ") // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "seawall.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, in := io.Pipe()
	w := run(t, space, in, program, "run", "-c", file)
	ready := make(chan bool, 1)
	go func() { // ends with the pipe
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "seawall: ready") {
				ready <- true
			}
		}
	}()
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		t.Fatalf("Seawall is not ready:\n%s", w.log)
	}
	return w
}
