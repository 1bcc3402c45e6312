package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/coder/websocket"
)

// own has a wall run a program that can be replaced.
func own(t *testing.T, settings config, origins ...string) *wall {
	t.Helper()
	dir := t.TempDir()
	settings = maps.Clone(settings)
	maps.Copy(settings, calm())
	w := &wall{t: t, file: filepath.Join(dir, "seawall.yaml"), data: filepath.Join(dir, "data"), path: filepath.Join(dir, "seawall")}
	w.write(settings, origins...)
	return w
}

// calm has what these tests pull taken for no flood.
func calm() config {
	return config{"defense": config{"http_flood": config{"floor": 50_000, "blatant_floor": 50_000}}}
}

// install puts a program where the wall's lies, as a package manager does.
func (w *wall) install(from string) {
	w.t.Helper()
	in, err := os.Open(from)
	if err != nil {
		w.t.Fatal(err)
	}
	defer in.Close()
	// A child that another test starts meanwhile would hold the file open for writing
	// for a moment, and then it cannot be run.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := os.OpenFile(w.path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Close()
	}
	if err == nil {
		err = os.Rename(w.path+".new", w.path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// serving is the number of the process that has the data folder.
func (w *wall) serving() int {
	w.t.Helper()
	var r struct{ PID int }
	text, err := os.ReadFile(filepath.Join(w.data, "running.json"))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return r.PID
}

// figures are what the log says of the hand-overs: how long no control loop ran.
func (w *wall) figures() (all []time.Duration) {
	for _, m := range regexp.MustCompile(`msg="handed over" .* let_go=(\S+) taken=(\S+)`).FindAllStringSubmatch(w.log.String(), -1) {
		a, _ := time.ParseDuration(m[1])
		b, _ := time.ParseDuration(m[2])
		all = append(all, a+b)
	}
	return all
}

// Upgrades under load lose nothing: neither requests on connections old and new, nor
// bodies on their way, nor what was upgraded; bans stand, and the old processes end.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	file, key := certify(t, t.TempDir(), "example.org")
	w := own(t, config{"trusted_proxies": []string{"loopback"}, "listen": config{"tls": config{
		"addresses": []string{"127.0.0.1:0"}, "certificates": []config{{"file": file, "key": key}}, "http3": true,
	}}}, o.url)
	w.install(program)
	w.run()
	w.order("ban", "192.0.2.66", "--for", "1h")
	byHTTP3(t, w)
	banned := func(when string) {
		t.Helper()
		if resp, _ := fetch(t, "GET", w.url("/"), "", "X-Forwarded-For: 192.0.2.66"); resp.StatusCode != 403 {
			t.Errorf("%s: the banned address was answered %s", when, resp.Status)
		}
	}
	banned("before")
	l := pull(t, w)
	tunnel := l.tunnel()
	time.Sleep(500 * time.Millisecond)

	const times = 5
	first, pid := w.wait, w.serving()
	for i := range times {
		w.install(program)
		if i%2 == 0 {
			w.order("upgrade")
		} else if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		until(t, 20*time.Second, "another process serves", func() bool { return w.serving() != pid })
		pid = w.serving()
		byHTTP3(t, w)
		until(t, 5*time.Second, "it says so", func() bool { return len(w.figures()) == i+1 })
		banned(fmt.Sprintf("after %d upgrades", i+1))
		time.Sleep(300 * time.Millisecond)
	}
	if err := tunnel(); err != nil {
		t.Errorf("an upgraded connection: %v", err)
	}
	l.stop()
	if err := first(20 * time.Second); err != nil {
		t.Errorf("the first process ended with %v", err)
	}
	for i, d := range w.figures() {
		t.Logf("upgrade %d: no control loop for %v", i+1, d)
		if d > 2*time.Second {
			t.Errorf("upgrade %d: no control loop for %v", i+1, d)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "the last process has ended", func() bool { return strings.Contains(w.log.String(), "msg=stopped") })
}

// An upgraded connection of the old process is served on, and ends with the drain
// at the latest.
func (l *pullers) tunnel() (end func() error) {
	c, _, err := websocket.Dial(l.t.Context(), "ws://"+l.w.addr+"/ws", nil)
	if err != nil {
		l.t.Fatal(err)
	}
	done, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer c.CloseNow()
		for i := 0; ; i++ {
			text := fmt.Sprint("message ", i)
			err := c.Write(l.t.Context(), websocket.MessageText, []byte(text))
			var got []byte
			if err == nil {
				_, got, err = c.Read(l.t.Context())
			}
			if err == nil && string(got) != text {
				err = fmt.Errorf("%q came back as %q", text, got)
			}
			select {
			case <-done:
				failed <- err
				return
			case <-time.After(20 * time.Millisecond):
			}
			if err != nil {
				failed <- fmt.Errorf("after %d messages: %w", i, err)
				return
			}
		}
	}()
	return func() error { close(done); return <-failed }
}

// A reload under load, and the end under load, lose nothing that had begun.
func TestReloadAndDrainUnderLoad(t *testing.T) {
	o := newOrigin(t)
	w := start(t, calm(), o.url)
	l := pull(t, w)
	for i := range 5 {
		time.Sleep(200 * time.Millisecond)
		settings := calm()
		settings["refuse"] = config{"site": fmt.Sprint("site ", i)}
		w.write(settings, o.url)
		w.signal(syscall.SIGHUP)
		until(t, 5*time.Second, "the reload", func() bool {
			return strings.Count(w.log.String(), "the new configuration is in force") == i+1
		})
	}
	l.ending.Store(true)
	w.signal(syscall.SIGTERM)
	if err := w.wait(20 * time.Second); err != nil {
		t.Errorf("ended with %v", err)
	}
	l.stop()
}

// byHTTP3 asks once by HTTP/3, on a connection of its own. While two processes share
// the port the old one may get a first packet; the client sends it again.
func byHTTP3(t *testing.T, w *wall) {
	t.Helper()
	tr := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "example.org"}}
	defer tr.Close()
	var err error
	for range 10 {
		var resp *http.Response
		if resp, err = (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Get("https://" + w.secure + "/"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 3 {
				t.Errorf("by HTTP/3: %s %s", resp.Proto, resp.Status)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("by HTTP/3: %v", err)
}
