package replay

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/app"
)

// inside runs f on a thread with a network of its own, that has lo alone.
func inside(t *testing.T, f func() error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making a network namespace needs root")
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("make a network namespace: %w", err)
			return
		}
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			done <- fmt.Errorf("set lo up: %w: %s", err, out)
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// watch has tcpdump capture at an interface, and returns what ends it.
func watch(path, at string) (end func() error, err error) {
	cmd := exec.Command("tcpdump", "-i", at, "-w", path, "-U", "-B", "4096", "-Z", "root")
	says, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(says)
	for lines.Scan() && !strings.Contains(lines.Text(), "listening on") {
	}
	return func() error {
		time.Sleep(200 * time.Millisecond) // what the kernel holds for it
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, says)
		return cmd.Wait()
	}, nil
}

// visit asks for a page by a connection of its own.
func visit(address string, n int) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n", n); err != nil {
		return err
	}
	b, err := io.ReadAll(c)
	if err == nil && !bytes.HasPrefix(b, []byte("HTTP/1.1 200")) {
		err = fmt.Errorf("%.40q", b)
	}
	return err
}

// What tcpdump captures of a web server with visitors is no attack, and nobody's packets
// would have been stopped: at lo, as Ethernet, and at all interfaces, cooked.
func TestReplayRealCapture(t *testing.T) {
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("tcpdump is not installed")
	}
	const visits = 120
	dir, port := t.TempDir(), uint16(0)
	page := bytes.Repeat([]byte("a page of a site. "), 500)
	inside(t, func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		port = uint16(l.Addr().(*net.TCPAddr).Port)
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) }), ReadHeaderTimeout: time.Second}
		go func() { _ = s.Serve(l) }()
		defer func() { _ = s.Close() }()
		var ends []func() error
		for name, at := range map[string]string{"lo.pcap": "lo", "any.pcap": "any"} {
			end, err := watch(filepath.Join(dir, name), at)
			if err != nil {
				return err
			}
			ends = append(ends, end)
		}
		for n := range visits {
			if err := visit(l.Addr().String(), n); err != nil {
				return err
			}
			time.Sleep(10 * time.Millisecond)
		}
		for _, end := range ends {
			if err := end(); err != nil {
				return err
			}
		}
		return nil
	})
	for _, name := range []string{"lo.pcap", "any.pcap"} {
		r := played(t, app.ReplaySetup{Ports: []uint16{port}}, nil, filepath.Join(dir, name))
		p := r.Packets
		if len(r.PacketAttacks)+len(r.Attacks)+len(r.Done)+r.Crowds > 0 || p.Stopped > 0 || p.Cut > 0 || p.Other > 0 || r.Files[0].Bad > 0 {
			t.Errorf("%s: %s", name, said(t, r))
		}
		// At least a SYN, an ACK, the request and a FIN came in, and as much went out.
		if p.Passed < 4*visits || p.Own < 3*visits || p.Read != p.Passed+p.Own {
			t.Errorf("%s: %+v", name, p)
		}
		r = played(t, app.ReplaySetup{AnyPort: true, To: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}, nil, filepath.Join(dir, name))
		if r.Packets.Elsewhere+r.Packets.Own != r.Packets.Read {
			t.Errorf("%s, for other addresses: %s", name, said(t, r))
		}
	}
}
