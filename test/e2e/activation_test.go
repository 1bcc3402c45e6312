package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asService is a command by which a process is told that sockets and watchdog are its
// own, as the service manager does: it knows the number before the program begins.
var asService = []string{"sh", "-c", "LISTEN_PID=$$; WATCHDOG_PID=$$; export LISTEN_PID WATCHDOG_PID; exec \"$@\"", "sh"}

// socket listens as the service manager does.
func socket(t *testing.T) (*os.File, string) { return socketBy(t, false) }

func socketBy(t *testing.T, multipath bool) (*os.File, string) {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(multipath) // which Go does by itself
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, l.Addr().String()
}

// manager hears what a service tells.
type manager struct {
	address string
	mu      sync.Mutex
	heard   []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{address: filepath.Join(t.TempDir(), "notify")}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-ended })
	go func() {
		defer close(ended)
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.heard = append(m.heard, string(b[:n]))
			m.mu.Unlock()
		}
	}()
	return m
}

// all is what was heard since it was last asked, but for what the watchdog hears.
func (m *manager) all() (out []string, alive int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.heard {
		if s == "WATCHDOG=1" {
			alive++
		} else {
			out = append(out, s)
		}
	}
	m.heard = nil
	return out, alive
}

func (m *manager) expect(t *testing.T, when string, patterns ...string) {
	t.Helper()
	var got []string
	until(t, 20*time.Second, when, func() bool {
		more, _ := m.all()
		got = append(got, more...)
		return len(got) >= len(patterns)
	})
	for i, s := range got {
		if i >= len(patterns) || !regexp.MustCompile("^"+patterns[i]+"$").MatchString(s) {
			t.Errorf("%s: the manager heard %q, want %q", when, got, patterns)
			return
		}
	}
}

const reloading = `RELOADING=1\nMONOTONIC_USEC=\d+`

// Seawall serves on the sockets that it is given, tells the manager how it is, and
// hands both on.
func TestService(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	web, addr := socket(t)
	steer, admin := socket(t)
	settings := config{"listen": config{"addresses": []string{addr}}, "admin": config{"listen": admin}}
	m := newManager(t)
	w := own(t, settings, o.url)
	w.install(program)
	w.under, w.files = asService, []*os.File{web, steer}
	w.env = []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=web:admin", "NOTIFY_SOCKET=" + m.address, "WATCHDOG_USEC=200000"}
	w.run()
	m.expect(t, "the start", "READY=1")
	if w.addr != addr || w.admin != admin {
		t.Errorf("serves on %s and %s, not on %s and %s", w.addr, w.admin, addr, admin)
	}
	until(t, 5*time.Second, "it lives", func() bool { _, n := m.all(); return n > 0 })
	w.signal(syscall.SIGHUP)
	m.expect(t, "a reload", reloading, "READY=1")
	w.order("upgrade")
	pid := w.serving()
	m.expect(t, "an upgrade", reloading, fmt.Sprintf(`READY=1\nMAINPID=%d`, pid))
	if err := w.wait(20 * time.Second); err != nil {
		t.Errorf("the old process ended with %v", err)
	}
	if more, _ := m.all(); len(more) > 0 {
		t.Errorf("the old process told %q", more)
	}
	until(t, 5*time.Second, "the new one lives", func() bool { _, n := m.all(); return n > 0 })
	if resp, _ := fetch(t, "GET", w.url("/page"), ""); resp.StatusCode != 200 {
		t.Errorf("a visitor was answered %s", resp.Status)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.expect(t, "the end", "STOPPING=1")
}

// A restart loses no request where the service manager keeps the sockets.
func TestRestartWithSockets(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	web, addr := socket(t)
	w := own(t, config{"listen": config{"addresses": []string{addr}}}, o.url)
	w.install(program)
	w.under, w.files, w.env = asService, []*os.File{web}, []string{"LISTEN_FDS=1"}
	w.run()
	l := pullWith(t, w, time.Second)
	for range 2 {
		time.Sleep(500 * time.Millisecond)
		w.signal(syscall.SIGTERM)
		if err := w.wait(20 * time.Second); err != nil {
			t.Errorf("ended with %v", err)
		}
		w.run()
	}
	time.Sleep(500 * time.Millisecond)
	l.stop()
}

// Sockets that nobody asked for are an error that names them.
func TestSocketsThatFitNothing(t *testing.T) {
	web, addr := socket(t)
	other, stray := socket(t)
	multi, multiAddr := socketBy(t, true)
	for name, c := range map[string]struct {
		files []*os.File
		count int
		want  string
		code  int
		addr  string
	}{
		"one too many": {[]*os.File{web, other}, 2, "the service manager passed a TCP socket at " + regexp.QuoteMeta(stray) + ` \(unknown\)`, 2, addr},
		"no sockets":   {nil, 1, `the socket "unknown" that came with the process`, 1, addr},
		"no number":    {nil, -1, "LISTEN_FDS is", 1, addr},
		"MPTCP":        {[]*os.File{multi}, 1, "take SocketProtocol=mptcp out", 1, multiAddr},
	} {
		dir := t.TempDir()
		line := append(append([]string{}, asService...), program, "run", "--origin", "http://127.0.0.1:1",
			"--listen", c.addr, "--admin", "127.0.0.1:0", "--data", filepath.Join(dir, "data"))
		cmd := exec.Command(line[0], line[1:]...)
		cmd.ExtraFiles = c.files
		cmd.Env = append(os.Environ(), "LISTEN_FDS="+strconv.Itoa(c.count))
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.code || !regexp.MustCompile(c.want).MatchString(out.String()) {
			t.Errorf("%s: %v, want exit code %d and %q:\n%s", name, err, c.code, c.want, strings.TrimSpace(out.String()))
		}
	}
}
