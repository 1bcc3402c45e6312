package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"seawall/internal/kit/handover"
)

// program is what is under test, built once.
var program string

func TestMain(m *testing.M) {
	if how := os.Getenv(envHeir); how != "" && os.Getenv(handover.Variable) != "" {
		os.Exit(badHeir(how))
	}
	if program = os.Getenv(envProgram); program != "" {
		os.Exit(m.Run())
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "seawall-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "seawall")
		build := exec.Command("go", "build", "-o", program, "seawall/cmd/seawall")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// config is a configuration as YAML would have it.
type config = map[string]any

// wall is a running Seawall.
type wall struct {
	t      testing.TB
	cmd    *exec.Cmd
	file   string
	data   string
	addr   string // host:port it serves on
	secure string // the same for HTTPS; "" where it serves none
	admin  string
	log    *lines
	ended  chan error
	under  []string // the command that runs it, if any
	path   string   // of the program; "" for the one built
	env    []string // more of the environment
	files  []*os.File
}

// lines is a buffer that several goroutines may use.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs Seawall in front of origins, with settings above the usual ones.
// It is killed at the test's end where it still runs.
func start(t testing.TB, settings config, origins ...string) *wall {
	t.Helper()
	return startUnder(t, nil, settings, origins...)
}

// startUnder does so by a command that takes the program's command line.
func startUnder(t testing.TB, under []string, settings config, origins ...string) *wall {
	t.Helper()
	dir := t.TempDir()
	w := &wall{t: t, under: under, file: filepath.Join(dir, "seawall.yaml"), data: filepath.Join(dir, "data")}
	w.write(settings, origins...)
	w.run()
	return w
}

// write puts a configuration into the file.
func (w *wall) write(settings config, origins ...string) {
	w.t.Helper()
	var list []config
	for _, o := range origins {
		list = append(list, config{"url": o})
	}
	cfg := config{
		"data":   w.data,
		"memory": "128MiB",
		"admin":  config{"listen": "127.0.0.1:0"},
		"listen": config{"addresses": []string{"127.0.0.1:0"}},
		"proxy":  config{"origins": list, "health": config{"every": "200ms", "rise": 1, "fall": 2}},
		// All visitors of these tests share one address.
		"admit": config{"rate": 100000, "burst": 100000},
	}
	for key, v := range settings {
		if inner, ok := cfg[key].(config); ok {
			maps.Copy(inner, v.(config))
		} else {
			cfg[key] = v
		}
	}
	text, err := json.MarshalIndent(cfg, "", "  ") // JSON is YAML
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.file, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// run starts the program and waits until it is ready.
func (w *wall) run() {
	w.t.Helper()
	w.log, w.ended = &lines{}, make(chan error, 1)
	path := w.path
	if path == "" {
		path = program
	}
	line := append(slices.Clone(w.under), path, "run", "-c", w.file)
	w.cmd = exec.Command(line[0], line[1:]...)
	w.cmd.Env = append(os.Environ(), w.env...)
	w.cmd.ExtraFiles = w.files
	// Whoever takes over writes to the same pipes, so that their end is not the
	// process's.
	out, toOut, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	errs, toErrs, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	w.cmd.Stdout, w.cmd.Stderr = toOut, toErrs
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	toOut.Close()
	toErrs.Close()
	cmd, ended, log := w.cmd, w.ended, w.log
	ready := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer out.Close()
		r := bufio.NewReader(out)
		line, _ := r.ReadString('\n')
		ready <- line
		_, _ = io.Copy(io.Discard, r)
	})
	reading.Go(func() {
		defer errs.Close()
		_, _ = io.Copy(log, errs)
	})
	go func() { ended <- cmd.Wait() }()
	w.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // as a rule all have ended
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
		}
		reading.Wait()
		if w.t.Failed() && cmd == w.cmd {
			w.t.Logf("Seawall said:\n%s", tail(log.String()))
		}
	})
	said := <-ready
	found := regexp.MustCompile(`^seawall: ready http://(\S+)(?: https://(\S+))? admin http://(\S+)\n$`).FindStringSubmatch(said)
	if found == nil {
		w.t.Fatalf("not ready: %q\n%s", said, w.log)
	}
	w.addr, w.secure, w.admin = found[1], found[2], found[3]
}

func tail(s string) string {
	if i := len(s) - 6000; i > 0 {
		s = s[i:]
	}
	return s
}

// signal sends a signal to the program.
func (w *wall) signal(s syscall.Signal) {
	w.t.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		w.t.Fatal(err)
	}
}

// wait returns how the program ended.
func (w *wall) wait(within time.Duration) error {
	w.t.Helper()
	select {
	case err := <-w.ended:
		w.ended <- err
		return err
	case <-time.After(within):
		w.t.Fatalf("still running after %v", within)
		return nil
	}
}

// kill ends the program as a crash would.
func (w *wall) kill() {
	w.t.Helper()
	w.signal(syscall.SIGKILL)
	_ = w.wait(5 * time.Second) // "signal: killed"
}

// command runs one command against the program and returns its exit code.
func (w *wall) command(args ...string) (out, errs string, code int) {
	w.t.Helper()
	c := exec.Command(program, append(args, "--data", w.data)...)
	var o, e bytes.Buffer
	c.Stdout, c.Stderr = &o, &e
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return o.String(), e.String(), c.ProcessState.ExitCode()
}

// order runs a command that must succeed.
func (w *wall) order(args ...string) string {
	w.t.Helper()
	out, errs, code := w.command(args...)
	if code != 0 {
		w.t.Fatalf("seawall %v ended with %d: %s", args, code, errs)
	}
	return out
}

// refuse has whoever meets an expression refused, as a person's order.
func (w *wall) refuse(match string) {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"action": "refuse", "match": match})
	if err != nil {
		w.t.Fatal(err)
	}
	order, err := http.NewRequest("POST", "http://"+w.admin+"/api/v1/mitigations", bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	order.Header.Set("Seawall-Admin", "1")
	resp, err := http.DefaultClient.Do(order)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		w.t.Fatalf("refuse %s: %s", match, resp.Status)
	}
}

func (w *wall) url(path string) string { return "http://" + w.addr + path }

// api reads an answer of the admin API.
func (w *wall) api(path string, into any) {
	w.t.Helper()
	resp, err := http.Get("http://" + w.admin + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		w.t.Fatalf("%s: %v", path, err)
	}
}

// dial opens a raw connection.
func (w *wall) dial() net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// client is an HTTP client of its own: no connection is shared with others.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// fetch sends one request; fields are "Name: value".
func fetch(t testing.TB, method, url, body string, fields ...string) (*http.Response, string) {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read the answer to %s %s: %v", method, url, err)
	}
	return resp, string(got)
}

// until polls a condition for as long as is patient.
func until(t testing.TB, within time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !cond() {
		if time.Since(began) > within {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}
