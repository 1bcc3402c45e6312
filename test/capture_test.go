package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testCapture: every example of captures works as it stands, in its order, with
// the real age and tcpdump, while odd packets come and are stopped.
func testCapture(t *testing.T, program string) {
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("tcpdump is not installed")
	}
	tools := filepath.Dir(program)
	if out, err := exec.Command("go", "build", "-o", tools+"/", "filippo.io/age/cmd/age", "filippo.io/age/cmd/age-keygen").CombinedOutput(); err != nil {
		t.Fatalf("build age: %v\n%s", err, out)
	}
	s := startLive(t, program, "packet: {interfaces: [lo], pins: "+pins(t)+"}")
	done, coming := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(coming)
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
				sendOdd(t, s.serve)
				get(t.Context(), http.DefaultClient, "http://"+s.serve+"/")
			}
		}
	}()
	defer func() { close(done); <-coming }()

	dir, fences := t.TempDir(), 0
	for _, f := range page(t, "docs/capture.md").fence {
		if f.info != "sh" {
			continue
		}
		fences++
		run := f.text()
		for from, to := range map[string]string{
			"sudo seawall capture": "seawall capture --data " + s.data, "127.0.0.1:9090": s.admin,
			// What a person copies by hand.
			"20260831T120000Z.pcapng.age": s.data + "/captures/*.pcapng.age",
		} {
			run = strings.ReplaceAll(run, from, to)
		}
		// The key that the first example makes is known to all that follow.
		cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", "[ ! -f key.txt ] || KEY=$(age-keygen -y key.txt)\n"+run)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("docs/capture.md:%d: %v\n%s", f.line, err, out)
		}
		_, port, _ := strings.Cut(s.serve, ":")
		seen := strings.Contains(string(out), " > 127.0.0.1."+port+": Flags [")
		if strings.Contains(run, "tcpdump") && !seen {
			t.Errorf("docs/capture.md:%d: tcpdump shows nothing:\n%s", f.line, out)
		}
		if strings.Contains(run, "--to") && !strings.Contains(string(out), " that were stopped") && !strings.Contains(string(out), "They are all that were stopped") {
			t.Errorf("docs/capture.md:%d: it says\n%s", f.line, out)
		}
	}
	if fences != 5 {
		t.Errorf("%d examples", fences)
	}
}
