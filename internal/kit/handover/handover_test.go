package handover

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// role makes this test's program the new process (or an old one), and says which.
const role = "HANDOVER_TEST_ROLE"

func TestMain(m *testing.M) {
	switch how := os.Getenv(role); {
	case how == "old":
		os.Exit(oldProcess())
	case how != "" && os.Getenv(Variable) != "":
		os.Exit(newProcess(how))
	}
	os.Exit(m.Run())
}

// newProcess serves its role as a web page on the first socket.
func newProcess(how string) int {
	p, err := Inherit()
	if err != nil || os.Getenv(Variable) != "" {
		return 9
	}
	switch how {
	case "refuses":
		p.Refuse(errors.New(strings.Repeat("x", 2*longest)))
		return 1
	case "ends":
		return 5
	}
	l, err := net.FileListener(p.Sockets[0])
	if err != nil || p.Sockets[0].Name() != "a socket" {
		return 8
	}
	if p.Await(context.Background()) != nil {
		return 7
	}
	p.Serving()
	time.AfterFunc(10*time.Second, func() { os.Exit(0) })
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, how) }))
	return 6
}

// oldProcess starts a new one and dies without a word.
func oldProcess() int {
	f := os.NewFile(3, "a socket")
	os.Setenv(role, "the heir of the dead")
	s, err := begin(f)
	if err != nil || s.Ready(context.Background()) != nil {
		return 9
	}
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	return 8
}

func begin(f *os.File) (*Successor, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return Start(Program{Path: path, Sockets: []*os.File{f}, Without: []string{"PWD"}})
}

func listen(t *testing.T) (*net.TCPListener, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Copy(l.(*net.TCPListener), "a socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); f.Close() })
	return l.(*net.TCPListener), f
}

func page(t *testing.T, l net.Listener) string {
	t.Helper()
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// The new process answers on the socket, whose old listener was not disturbed by
// being copied, and is gone.
func TestHandOver(t *testing.T) {
	t.Setenv(role, "the new process")
	l, f := listen(t)
	s, err := begin(f)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A listener whose socket had become a blocking one would not heed this.
	if err := l.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() { _, err := l.Accept(); accepted <- err }()
	select {
	case err := <-accepted:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("accept: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("copying the socket has made accepting a blocking call")
	}
	if err := s.Go(); err != nil {
		t.Fatal(err)
	}
	if err := s.Serving(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if got := page(t, l); got != "the new process" {
		t.Errorf("served by %q", got)
	}
}

func TestNeverReady(t *testing.T) {
	for how, want := range map[string]string{
		"refuses": "it gives up: xxxx",
		"ends":    "it ended (exit status 5) before it was ready",
	} {
		t.Setenv(role, how)
		_, f := listen(t)
		s, err := begin(f)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Ready(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", how, err)
		}
		if how == "refuses" && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", how, err)
		}
		s.Kill()
	}
	// One that is ready, and does not serve in time.
	t.Setenv(role, "slow")
	_, f := listen(t)
	s, err := begin(f)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Serving(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// Where the old process dies while the new one waits, that one goes on.
func TestOldOneDies(t *testing.T) {
	l, f := listen(t)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), role+"=old")
	cmd.ExtraFiles = []*os.File{f}
	if err := cmd.Run(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the old process: %v", err)
	}
	l.Close()
	if got := page(t, l); got != "the heir of the dead" {
		t.Errorf("served by %q", got)
	}
}

// A variable that was set by hand is told from a hand-over.
func TestInherit(t *testing.T) {
	if p, err := Inherit(); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
	t.Setenv(Variable, "yes")
	if p, err := Inherit(); p != nil || err == nil {
		t.Errorf("%v, %v", p, err)
	}
}
