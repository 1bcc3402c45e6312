package e2e

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"seawall/internal/kit/handover"
)

// envHeir makes this test's own program one that Seawall is replaced by, and says
// what is wrong with it.
const envHeir = "SEAWALL_TEST_HEIR"

// badHeir is a new process that fails, and returns its exit code.
func badHeir(how string) int {
	from, err := handover.Inherit()
	if err != nil || from == nil {
		return 9
	}
	if how == "refuses" {
		from.Refuse(errors.New("it is the wrong time of the year"))
		return 1
	}
	if err := from.Await(context.Background()); err != nil {
		return 8
	}
	switch how {
	case "dies":
		return 3
	case "hangs":
		time.Sleep(time.Hour)
	case "serves and dies":
		from.Serving()
		time.Sleep(300 * time.Millisecond)
		return 4
	}
	return 7
}

// A new program that fails is not used, whenever it fails, and nobody notices.
func TestBadHeir(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	noProgram := func(text string) string {
		path := t.TempDir() + "/program"
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		program, said string // what is installed, and what the log says of it
		config        string // what the configuration is made; "" as it is
	}{
		"no program":      {noProgram("\x00nonsense"), "exec format error", ""},
		"ends at once":    {noProgram("#!/bin/sh\nexit 0\n"), "it ended before it was ready", ""},
		"configuration":   {program, "listen.max_head", `{"listen": {"max_head": "large"}, "proxy": {"origins": [{"url": "http://127.0.0.1:1"}]}}`},
		"refuses":         {self, "it is the wrong time of the year", ""},
		"dies":            {self, "it ended (exit status 3) before it was serving", ""},
		"hangs":           {self, "context deadline exceeded", ""},
		"serves and dies": {self, "the new process has died; taking everything back", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			w := own(t, config{"trusted_proxies": []string{"loopback"}}, o.url)
			w.env = []string{envHeir + "=" + name}
			w.install(program)
			w.run()
			w.order("ban", "192.0.2.66")
			stop := load(t, w, "GET")
			good, err := os.ReadFile(w.file)
			if err != nil {
				t.Fatal(err)
			}
			if c.config != "" {
				if err := os.WriteFile(w.file, []byte(c.config), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w.install(c.program)
			_, errs, code := w.command("upgrade")
			if code != 1 {
				t.Errorf("`seawall upgrade` ended with %d: %s", code, errs)
			}
			until(t, 30*time.Second, c.said, func() bool { return strings.Contains(w.log.String(), c.said) })
			if !strings.Contains(errs, "goes on") && !strings.Contains(errs, "has taken everything back") {
				t.Errorf("`seawall upgrade` says %q", errs)
			}

			// All is as it was: the same process has the data folder, bans, and takes
			// orders, and a better program can take over.
			until(t, 10*time.Second, "the old process steers", func() bool {
				resp, err := http.Get("http://" + w.admin + "/readyz")
				if err != nil {
					return false
				}
				resp.Body.Close()
				return resp.StatusCode == 200
			})
			if pid := w.serving(); pid != w.cmd.Process.Pid {
				t.Errorf("process %d has the data folder, not %d", pid, w.cmd.Process.Pid)
			}
			w.order("ban", "192.0.2.67")
			for _, who := range []string{"192.0.2.66", "192.0.2.67"} {
				if resp, _ := fetch(t, "GET", w.url("/"), "", "X-Forwarded-For: "+who); resp.StatusCode != 403 {
					t.Errorf("%s was answered %s", who, resp.Status)
				}
			}
			if err := os.WriteFile(w.file, good, 0o600); err != nil {
				t.Fatal(err)
			}
			w.install(program)
			w.order("upgrade")
			if pid := w.serving(); pid == w.cmd.Process.Pid {
				t.Error("a good program does not take over")
			}
			stop()
			if err := w.wait(20 * time.Second); err != nil {
				t.Errorf("the old process ended with %v", err)
			}
		})
	}
}

// A new process that is killed while the old one still finishes what it has begun is
// made good for by that one, with what the dead had been ordered.
func TestHeirKilled(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := own(t, config{"trusted_proxies": []string{"loopback"}}, o.url)
	w.install(program)
	w.run()
	w.order("ban", "192.0.2.66")
	slow := make(chan error, 1)
	go func() { // keeps the old process busy
		resp, err := client(t).Get(w.url("/slow?d=4s"))
		if err == nil {
			resp.Body.Close()
		}
		slow <- err
	}()
	until(t, 5*time.Second, "the slow request at the origin", func() bool { return o.count("/slow") == 1 })
	w.order("upgrade")
	w.order("unban", "192.0.2.66")
	w.order("ban", "192.0.2.67")
	if err := syscall.Kill(w.serving(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	took := until(t, 10*time.Second, "the old process serves again", func() bool { return w.serving() == w.cmd.Process.Pid })
	t.Logf("served again %v after the new process was killed", took.Round(time.Millisecond))
	for who, want := range map[string]int{"192.0.2.66": 200, "192.0.2.67": 403} {
		if resp, _ := fetch(t, "GET", w.url("/"), "", "X-Forwarded-For: "+who); resp.StatusCode != want {
			t.Errorf("%s was answered %s, want %d", who, resp.Status, want)
		}
	}
	if err := <-slow; err != nil {
		t.Errorf("the slow request: %v", err)
	}
}

// An old process that is killed loses nothing but what it had in flight.
func TestKilledAfterHandingOver(t *testing.T) {
	o := newOrigin(t)
	w := own(t, config{"trusted_proxies": []string{"loopback"}}, o.url)
	w.install(program)
	w.run()
	w.order("ban", "192.0.2.66")
	go func() {
		if resp, err := client(t).Get(w.url("/slow?d=20s")); err == nil {
			resp.Body.Close()
		}
	}()
	until(t, 5*time.Second, "the slow request at the origin", func() bool { return o.count("/slow") == 1 })
	w.order("upgrade")
	w.kill()
	if resp, _ := fetch(t, "GET", w.url("/"), ""); resp.StatusCode != 200 {
		t.Errorf("a visitor was answered %s", resp.Status)
	}
	if resp, _ := fetch(t, "GET", w.url("/"), "", "X-Forwarded-For: 192.0.2.66"); resp.StatusCode != 403 {
		t.Errorf("the banned address was answered %s", resp.Status)
	}
	w.order("ban", "192.0.2.67")
}
