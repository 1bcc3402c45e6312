package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
)

// A person captures what is stopped and what passes: the file is encrypted, has
// the headers of what came over the wire and nothing of what it carried, and is
// gone when it is old.
func TestCapture(t *testing.T) {
	t.Parallel()
	inOwnNetwork(t, func(t *testing.T, pins string) {
		tcpdump, err := exec.LookPath("tcpdump")
		if err != nil {
			t.Skip("tcpdump is not installed")
		}
		key, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		o := newOrigin(t)
		w := start(t, config{"packet": config{"interfaces": []string{"lo"}, "pins": pins}}, o.url)
		const bad, secret = "127.0.0.66", "something-that-a-visitor-looks-for"
		w.order("ban", bad)
		until(t, 10*time.Second, bad+" is dropped", func() bool { return knock(w, bad) == "dropped" })

		time.Sleep(2500 * time.Millisecond) // until the packets by which Seawall tries its filter are no news

		// capture runs the command while visitors come.
		capture := func(args ...string) (clear []byte, dump string, result map[string]any) {
			t.Helper()
			done := make(chan struct{})
			coming := make(chan struct{})
			go func() {
				defer close(coming)
				for {
					select {
					case <-done:
						return
					default:
						knock(w, bad)
						if resp, err := http.Get(w.url("/?q=" + secret)); err == nil {
							_, _ = io.Copy(io.Discard, resp.Body)
							resp.Body.Close()
						}
					}
				}
			}()
			out, errs, code := w.command(append([]string{"capture", "--json", "--for", "4s", "--to", key.Recipient().String()}, args...)...)
			close(done)
			<-coming
			if code != 0 || errs != "" || json.Unmarshal([]byte(out), &result) != nil {
				t.Fatalf("seawall capture ended with %d: %s%s", code, out, errs)
			}
			clear, dump = opened(t, tcpdump, fmt.Sprint(result["file"]), key)
			if bytes.Contains(clear, []byte(secret)) || bytes.Contains(clear, []byte("GET ")) {
				t.Error("the capture holds what packets carried")
			}
			return clear, dump, result
		}

		clear, dump, result := capture()
		from := " IP " + bad + "."
		if n := strings.Count(dump, "\n"); n == 0 || n != strings.Count(dump, from) || float64(n) != result["packets"] || !strings.Contains(dump, "Flags [S]") {
			t.Errorf("%v, and tcpdump says\n%s", result, dump)
		}
		if !bytes.Contains(clear, []byte("stopped: blocked; one of 1")) || bytes.Contains(clear, []byte("passed: ")) {
			t.Error("the packets do not say what became of them")
		}
		if result["of"].(float64) < result["packets"].(float64) || result["lost"] != 0.0 || result["encrypted"] != true {
			t.Errorf("%v", result)
		}

		_, dump, result = capture("--passed", "--most", "4KiB")
		if strings.Contains(dump, from) || !strings.Contains(dump, " IP 127.0.0.1.") || result["bytes"].(float64) > 4096 {
			t.Errorf("%v, and tcpdump says\n%s", result, dump)
		}
		if result["ended"] != "4,096 bytes were full" {
			t.Errorf("it ended since %v", result["ended"])
		}

		t.Run("interrupted", func(t *testing.T) { interrupted(t, w, tcpdump, key) })
		t.Run("old", func(t *testing.T) {
			old := filepath.Join(w.data, "captures", "20200101T000000Z.pcapng.age")
			if err := os.WriteFile(old, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			w.signal(syscall.SIGTERM)
			_ = w.wait(10 * time.Second)
			w.run()
			until(t, 5*time.Second, "the old capture is gone", func() bool { _, err := os.Stat(old); return os.IsNotExist(err) })
			if left, _ := filepath.Glob(filepath.Join(w.data, "captures", "*.age")); len(left) != 3 {
				t.Errorf("left are %v", left)
			}
		})
	})
}

// interrupted: one capture at a time, and Ctrl-C ends it with what was got.
func interrupted(t *testing.T, w *wall, tcpdump string, key *age.X25519Identity) {
	var out, errs lines
	cmd := exec.Command(program, "capture", "--passed", "--to", key.Recipient().String(), "--for", "1h", "--data", w.data)
	cmd.Stdout, cmd.Stderr = &out, &errs
	before, _ := filepath.Glob(filepath.Join(w.data, "captures", "*.age"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var file string
	until(t, 10*time.Second, "the capture has begun", func() bool {
		now, _ := filepath.Glob(filepath.Join(w.data, "captures", "*.age"))
		if len(now) > len(before) {
			file = now[len(now)-1]
		}
		return file != ""
	})
	if _, errs, code := w.command("capture", "--plain", "-o", filepath.Join(w.data, "second")); code != 1 || !strings.Contains(errs, "one capture at a time") {
		t.Errorf("a second capture ended with %d: %s", code, errs)
	}
	knock(w, "127.0.0.1")
	time.Sleep(2500 * time.Millisecond) // samples are read once a second
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || errs.String() != "" || !strings.Contains(out.String(), "It ended since it was interrupted.") {
		t.Errorf("%v: %s%s", err, &out, &errs)
	}
	if _, dump := opened(t, tcpdump, file, key); !strings.Contains(dump, " IP 127.0.0.1.") {
		t.Errorf("tcpdump says\n%s", dump)
	}
	// Its place is free again.
	until(t, 5*time.Second, "another capture is possible", func() bool {
		_, _, code := w.command("capture", "--plain", "-o", "-", "--for", "1s")
		return code == 0
	})
}

// opened decrypts a capture, and has tcpdump read it.
func opened(t *testing.T, tcpdump, file string, key age.Identity) (clear []byte, dump string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := age.Decrypt(f, key)
	if err != nil {
		t.Fatal(err)
	}
	if clear, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd := exec.Command(tcpdump, "-nn", "-r", "-")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(clear), &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tcpdump: %v: %s", err, &errs)
	}
	return clear, string(out)
}
