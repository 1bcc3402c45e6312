package protocol

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seawall/internal/kit/freeport"
	"seawall/test/scenarios/protocol/storm"
)

// TestSmuggling sends every message that two servers may frame differently through
// Seawall to nginx, which writes down what it reads. All requests that reach it must
// be ones that Seawall wrote, since it marks each; a hidden one would have no mark.
func TestSmuggling(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("needs nginx")
	}
	dir := t.TempDir()
	free, err := freeport.Loopback(1)
	if err != nil {
		t.Fatal(err)
	}
	log, conf := filepath.Join(dir, "log"), filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error;
events {}
http {
  log_format read '[$http_x_forwarded_for] $request_method $request_uri $status';
  access_log %[2]s read;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  keepalive_timeout 60;
  server { listen %[3]s; location / { return 200 "$request_uri"; } }
}`, dir, log, free[0])
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(nginx, "-c", conf, "-e", filepath.Join(dir, "error"))
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", free[0]); err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("nginx does not answer")
		}
	}
	// All of it comes from one address.
	w := start(t, free[0], time.Second, config{"admit": config{"rate": 100000, "burst": 100000}})
	list := storm.Smuggling(host, "/sink", "/hidden")
	for _, one := range list {
		c, err := net.Dial("tcp", w.clear.String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, one.Raw+"\r\n\r\nGET /after HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		c.Close()
		// Whatever was left in a connection to nginx would be the answer to this.
		if got := askFor(t, w, "/honest"); !strings.HasSuffix(got, "/honest") {
			t.Fatalf("after %s, somebody else's request is answered with %q", one.Name, got)
		}
	}
	// nginx writes down a request once it is answered: the last may be on its way.
	read := readLog(t, log)
	for end := time.Now().Add(10 * time.Second); bytes.Count(read, []byte("/honest")) < len(list) && time.Now().Before(end); read = readLog(t, log) {
		time.Sleep(10 * time.Millisecond)
	}
	honest := 0
	for line := range bytes.Lines(read) {
		s := strings.TrimSpace(string(line))
		switch {
		case !strings.HasPrefix(s, "[127.0.0.1] "):
			t.Errorf("nginx read what Seawall did not write: %s", s)
		case strings.Contains(s, " 400"):
			t.Errorf("Seawall sent on what nginx refuses: %s", s)
		case strings.Contains(s, "/honest"):
			honest++
		}
	}
	if honest != len(list) {
		t.Errorf("nginx read %d honest requests of %d", honest, len(list))
	}
}

func readLog(t *testing.T, name string) []byte {
	t.Helper()
	read, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// askFor returns the answer to a request on a connection of its own.
func askFor(t *testing.T, w *wall, path string) string {
	t.Helper()
	c, err := net.Dial("tcp", w.clear.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}
