package test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/kit/freeport"
)

// What the pages say holds of the program as users have it.
func TestDocumentedProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "seawall")
	if out, err := exec.Command("go", "build", "-o", program, "seawall/cmd/seawall").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for name, test := range map[string]func(*testing.T, string){
		"commands": testCommands, "check": testCheck, "api": testAPI, "metrics": testMetrics,
		"normal":  testNormal,
		"capture": testCapture, "nginx": testNginx, "haproxy": testHAProxy,
	} {
		t.Run(name, func(t *testing.T) { test(t, program) })
	}
}

// freeAddress is a loopback address that nobody listens on at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	return freeAddresses(t, 1)[0]
}

// freeAddresses are several, all different.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	list, err := freeport.Loopback(n)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// start runs a program until the test ends.
func start(t *testing.T, name string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		defer late.Stop()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s %s:\n%s", filepath.Base(name), strings.Join(args, " "), &out)
		}
	})
}

// awaitAnswer waits until a web address answers with 200.
func awaitAnswer(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if status, _, _ := get(ctx, http.DefaultClient, url); status == http.StatusOK {
			return
		}
		time.Sleep(20 * time.Millisecond) // between two looks
	}
	t.Fatalf("%s does not answer", url)
}

func get(ctx context.Context, c *http.Client, url string) (int, http.Header, string) {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, nil, ""
	}
	req.Header.Set("Accept", "text/html")
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(body)
}

// live is a Seawall in front of the demo's campaign site.
type live struct{ program, site, serve, admin, data string }

// startLive starts both, with a configuration above which flags put addresses
// and folder.
func startLive(t *testing.T, program, configuration string) live {
	t.Helper()
	return startLiveOn(t, program, configuration, t.TempDir())
}

// startLiveOn is startLive with a data folder.
func startLiveOn(t *testing.T, program, configuration, data string) live {
	t.Helper()
	free := freeAddresses(t, 3)
	s := live{program, free[0], free[1], free[2], data}
	file := filepath.Join(s.data, "seawall.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, s.program, "demo", "--site", "--site-listen", s.site)
	awaitAnswer(t, "http://"+s.site+"/")
	start(t, s.program, "run", "-c", file, "--data", s.data, "--origin", "http://"+s.site, "--listen", s.serve, "--admin", s.admin)
	awaitAnswer(t, "http://"+s.admin+"/readyz")
	return s
}

// command runs `seawall ARGS` against it.
func (s live) command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(s.program, append(args, "--data", s.data)...).CombinedOutput()
	if err != nil {
		t.Fatalf("seawall %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// pins is a folder in which the kernel keeps a packet filter.
func pins(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("filtering packets needs root")
	}
	mount := t.TempDir()
	if err := unix.Mount("bpf", mount, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(mount, unix.MNT_DETACH) })
	return filepath.Join(mount, "seawall")
}

// testMetrics: every series that is documented can be had, and no other.
func testMetrics(t *testing.T, program string) {
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(seawall_\\w+)`").FindAllStringSubmatch(page(t, "docs/metrics.md").prose, -1) {
		documented[m[1]] = true
	}
	s := startLive(t, program, "packet: {interfaces: [lo], malformed: dry_run, pins: "+pins(t)+`}
listen: {tls: {addresses: ["127.0.0.1:0"], acme: {domains: [www.example.test], directory: "https://127.0.0.1:1/", certbot: ""}}}`)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var there, missing []string
	for ctx.Err() == nil {
		// Something of every kind: a visit a second, and nonsense.
		get(ctx, http.DefaultClient, "http://"+s.serve+"/")
		if c, err := net.Dial("tcp", s.serve); err == nil {
			fmt.Fprint(c, "GET / HTTP/1.1\nHost: bare line feeds\n\n")
			io.Copy(io.Discard, c)
			c.Close()
		}
		sendOdd(t, s.serve)
		_, _, text := get(ctx, http.DefaultClient, "http://"+s.admin+"/metrics")
		there, missing = nil, nil
		for _, m := range regexp.MustCompile(`(?m)^# TYPE (seawall_\w+)`).FindAllStringSubmatch(text, -1) {
			there = append(there, m[1])
		}
		for name := range documented {
			if !slices.Contains(there, name) {
				missing = append(missing, name)
			}
		}
		if len(missing) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond) // between two looks
	}
	if len(missing) > 0 {
		t.Errorf("documented, and never there: %v", missing)
	}
	for _, name := range there {
		if !documented[name] {
			t.Errorf("%s is not documented", name)
		}
	}
}

// sendOdd sends a TCP segment that no stack sends to an address of loopback.
func sendOdd(t *testing.T, addr string) {
	t.Helper()
	to, err := netip.ParseAddrPort(addr)
	if err != nil || !to.Addr().IsLoopback() {
		t.Fatalf("%s is not on loopback (%v)", addr, err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	segment := make([]byte, 20)
	segment[1] = 99 // from this port
	binary.BigEndian.PutUint16(segment[2:], to.Port())
	segment[12], segment[13] = 0x50, 3 // SYN and FIN
	if err := unix.Sendto(fd, segment, 0, &unix.SockaddrInet4{Addr: to.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
}

// testAPI: every example of the admin API works as it stands, in its order.
func testAPI(t *testing.T, program string) {
	s := startLive(t, program, "{}")
	s.command(t, "ban", "127.0.0.1")
	_, h, _ := get(t.Context(), http.DefaultClient, "http://"+s.serve+"/")
	code := h.Get("Seawall-Ref")
	if code == "" {
		t.Fatal("a banned address is let in")
	}
	if out := s.command(t, "why", code); !strings.Contains(out, "banned") || !strings.Contains(out, "seawall allow 127.0.0.1") {
		t.Errorf("seawall why %s says:\n%s", code, out)
	}
	examples := 0
	for _, f := range page(t, "docs/api.md").fence {
		if f.info != "sh" {
			continue
		}
		for _, line := range strings.Split(strings.ReplaceAll(f.text(), "\\\n", " "), "\n") {
			if line == "" {
				continue
			}
			examples++
			cmd := exec.Command("sh", "-c", strings.ReplaceAll(line, "127.0.0.1:9090", s.admin))
			cmd.Env = append(os.Environ(), "CODE="+code)
			out, err := cmd.CombinedOutput()
			// curl ends with 28 when --max-time is over.
			if timedOut := cmd.ProcessState.ExitCode() == 28 && strings.Contains(line, "--max-time"); err != nil && !timedOut {
				t.Errorf("docs/api.md:%d: %s\n%v: %s", f.line, line, err, out)
			}
		}
	}
	if examples < 15 {
		t.Errorf("only %d examples were found", examples)
	}
}

// testCheck: all that is wrong comes at once: what the reader finds, what the
// rooms find, and what only a look at the machine can tell.
func testCheck(t *testing.T, program string) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	nobody := freeAddress(t)
	file := filepath.Join(t.TempDir(), "seawall.yaml")
	text := fmt.Sprintf(`proxy:
  origins:
    - url: http://%s
  answer_timeout: soon
listen:
  addresses: [%q]
  max_haed: 8192
admit:
  deny: [198.51.100.0/33]
identify:
  country_file: /nowhere/countries.mmdb
data: %s
`, nobody, taken.Addr(), t.TempDir())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "check", "-c", file, "--admin", freeAddress(t))
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d", code)
	}
	for line, want := range map[int]string{
		3: "cannot be reached", 4: "answer_timeout", 6: "is in use", 7: "did you mean max_head?",
		9: "198.51.100.0/33", 11: "countries.mmdb",
	} {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^%s:%d: .*%s`, regexp.QuoteMeta(file), line, regexp.QuoteMeta(want))).Match(out) {
			t.Errorf("nothing about line %d and %q", line, want)
		}
	}
	if n := bytes.Count(out, []byte(file)); n != 6 {
		t.Errorf("%d problems instead of 6", n)
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
