package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the process inside a network of its own is told.
const (
	envProgram = "SEAWALL_E2E_PROGRAM" // that it is built, and where
	envInside  = "SEAWALL_E2E_INSIDE"
)

// inOwnNetwork runs the test again as a process with a loopback interface of its
// own, which nobody else filters; body is what runs there, with a folder for
// pins.
func inOwnNetwork(t *testing.T, body func(t *testing.T, pins string)) {
	t.Helper()
	if os.Getenv(envInside) == "" {
		if os.Geteuid() != 0 {
			t.Skip("a network of its own needs root")
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.count=1")
		cmd.Env = append(os.Environ(), envInside+"=yes", envProgram+"="+program)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("in a network of its own: %v", err)
		}
		return
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip link set lo up: %v: %s", err, out)
	}
	mount := t.TempDir()
	if err := unix.Mount("bpf", mount, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(mount, unix.MNT_DETACH) })
	body(t, filepath.Join(mount, "seawall"))
}

// offend asks from an address until it has been refused so many times, and
// returns the connection and when the last of those requests was sent.
func offend(w *wall, from string, refusals int) (net.Conn, time.Time, error) {
	d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", w.addr)
	if err != nil {
		return nil, time.Time{}, err
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	br := bufio.NewReader(c)
	for {
		sent := time.Now()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); err != nil {
			return c, sent, err
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			return c, sent, err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return c, sent, err
		}
		if resp.StatusCode == http.StatusOK {
			continue
		}
		if refusals--; refusals == 0 {
			return c, sent, nil
		}
	}
}

// A client that goes on after being refused many times is stopped in the kernel
// soon, its open connection is closed, and both end. How soon is printed, and
// asserted only roughly: other things run on the machine.
func TestOffendersReachTheKernel(t *testing.T) {
	t.Parallel()
	const (
		clients  = 40
		refusals = 20 // that make an offence under attack
		atOnce   = 4
	)
	inOwnNetwork(t, func(t *testing.T, pins string) {
		o := newOrigin(t)
		w := start(t, config{
			"packet":       config{"interfaces": []string{"lo"}, "pins": pins},
			"admit":        config{"rate": 1, "burst": 20},
			"under_attack": true,
			"defense":      config{"decide": config{"ban": "15s"}},
		}, o.url)
		type result struct {
			from string
			took time.Duration
			err  error
		}
		results := make(chan result, clients)
		slots := make(chan struct{}, atOnce)
		address := func(i int) string { return fmt.Sprintf("127.1.%d.1", i+1) }
		for i := range clients {
			go func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				r := result{from: address(i)}
				defer func() { results <- r }()
				c, sent, err := offend(w, r.from, refusals)
				if c != nil {
					defer c.Close()
				}
				if err != nil {
					r.err = fmt.Errorf("ask: %w", err)
					return
				}
				for end := time.Now().Add(20 * time.Second); ; {
					begun := time.Now()
					if begun.After(end) {
						r.err = errors.New("its connections are never dropped")
						return
					}
					first := knock(w, r.from)
					if first != "dropped" {
						continue
					}
					// Another one tells a stop from a machine that is busy.
					if second := knock(w, r.from); second == first {
						r.took = begun.Sub(sent)
						break
					}
				}
				if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
					r.err = fmt.Errorf("the open connection did not end by a reset: %w", err)
				}
			}()
		}
		var took []time.Duration
		for range clients {
			r := <-results
			if r.err != nil {
				t.Errorf("%s: %v", r.from, r.err)
				continue
			}
			took = append(took, r.took)
		}
		if len(took) == 0 {
			t.Fatal("nobody was stopped")
		}
		slices.Sort(took)
		at := func(share float64) time.Duration {
			return took[int(share*float64(len(took)-1)+0.5)].Round(time.Millisecond)
		}
		t.Logf("from the refusal that makes an offence to the first connection dropped, %d clients: p50 %v, p95 %v, longest %v", len(took), at(0.5), at(0.95), at(1))
		if p95 := at(0.95); p95 > 5*time.Second {
			t.Errorf("p95 %v", p95)
		}
		if n := w.metrics()["seawall_connections_banned_total"].GetMetric()[0].GetCounter().GetValue(); n < clients {
			t.Errorf("%v connections closed", n)
		}
		last := address(clients - 1)
		until(t, time.Minute, "the ban of "+last+" is over", func() bool { return knock(w, last) == "served" })

		// An allow order wins over a ban by the machine.
		again := address(clients)
		c, _, err := offend(w, again, refusals)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		until(t, 10*time.Second, again+" is dropped", func() bool { return knock(w, again) == "dropped" })
		w.order("allow", again)
		until(t, 10*time.Second, again+" is served", func() bool { return knock(w, again) == "served" })
	})
}
