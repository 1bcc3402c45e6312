package systemd

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestTell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	for name, address := range map[string]string{"path": path, "abstract": "@seawall-test-" + strconv.Itoa(os.Getpid())} {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		t.Setenv(variableSocket, address)
		if err := Find().Tell(append(Reloading(), "STATUS=x")...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b := make([]byte, 1000)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := c.Read(b)
		if err != nil || !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[1-9]\d*\nSTATUS=x$`).Match(b[:n]) {
			t.Errorf("%s: heard %q, %v", name, b[:n], err)
		}
	}
	t.Setenv(variableSocket, path+"-not")
	if Find().Tell("READY=1") == nil {
		t.Error("nobody was there, and no error")
	}
	if err := (Manager{}).Tell("READY=1"); err != nil {
		t.Errorf("without a manager: %v", err)
	}
}

func TestWatchdog(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		us, pid string
		want    time.Duration
	}{
		{"2000000", own, 2 * time.Second},
		{"2000000", "", 0}, // set, and of nobody
		{"2000000", "1", 0},
		{"0", own, 0},
		{"x", own, 0},
	} {
		t.Setenv(variableSocket, "/nowhere")
		t.Setenv(variableWatchdog, c.us)
		t.Setenv(VariableWatchdogPID, c.pid)
		if got := Find().Watchdog; got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	t.Setenv(variableWatchdog, "5")
	os.Unsetenv(VariableWatchdogPID) // Setenv above puts it back
	if got := Find().Watchdog; got != 5*time.Microsecond {
		t.Errorf("for whoever: %v", got)
	}
}

// What is meant for another process, and what is no number, gives no sockets; both
// are taken out of the environment. That sockets arrive is tested with the program.
func TestSockets(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		pid, count string
		fails      bool
	}{{"", "", false}, {"1", "3", false}, {own, "0", false}, {own, "", true}, {own, "-1", true}, {own, "1000000", true}} {
		t.Setenv("LISTEN_PID", c.pid)
		t.Setenv("LISTEN_FDS", c.count)
		files, err := Sockets()
		if len(files) > 0 || (err != nil) != c.fails {
			t.Errorf("%+v: %v, %v", c, files, err)
		}
		for _, e := range os.Environ() {
			if strings.HasPrefix(e, "LISTEN_") {
				t.Errorf("%+v: %s is left", c, e)
			}
		}
	}
}
