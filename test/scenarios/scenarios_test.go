package scenarios

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
)

// report is what `seawall bench --json` prints.
type report struct {
	Results []struct {
		Name string `json:"name"`
		Bars []struct {
			Name     string `json:"name"`
			Asked    string `json:"asked"`
			Measured string `json:"measured"`
			Passed   bool   `json:"passed"`
			Timed    bool   `json:"timed"`
		} `json:"bars"`
		Notes []string `json:"notes"`
	} `json:"results"`
}

// tries is how often a scenario may be measured: something else may run on the
// same processors at the same time.
const tries = 2

// TestScenarios runs the floods and the crowd, in shortened form, against the
// program as it is built for users.
func TestScenarios(t *testing.T) {
	program := filepath.Join(t.TempDir(), "seawall")
	if out, err := exec.Command("go", "build", "-o", program, "seawall/cmd/seawall").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, name := range []string{"heavy", "wide", "pages", "crowd"} {
		t.Run(name, func(t *testing.T) {
			for try := 1; ; try++ {
				missed := measure(t, program, name)
				if len(missed) == 0 {
					return
				}
				if try == tries {
					t.Errorf("missed %d times: %v", tries, missed)
					return
				}
			}
		})
	}
}

// measure runs one scenario and returns the bars that it missed.
func measure(t *testing.T, program, name string) []string {
	t.Helper()
	cmd := exec.Command(program, "bench", name, "--short", "--json")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	// A missed bar makes bench fail, but it reports all the same.
	failed := cmd.Run()
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("bench %s: %v, %v\n%s", name, failed, err, said.String())
	}
	if len(r.Results) != 1 || r.Results[0].Name != name {
		t.Fatalf("bench %s reports %s", name, out.String())
	}
	var missed []string
	for _, b := range r.Results[0].Bars {
		t.Logf("%s: asked %s, measured %s", b.Name, b.Asked, b.Measured)
		if !b.Passed && !b.Timed { // `make bench` judges waiting times
			missed = append(missed, b.Name+" "+b.Measured)
		}
	}
	for _, n := range r.Results[0].Notes {
		t.Log(n)
	}
	return missed
}
