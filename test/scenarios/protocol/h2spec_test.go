package protocol

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// deviation is a case of h2spec that we are known not to pass, and why that is
// right.
type deviation struct{ id, why string }

// deviations are all of them. A case is named by its section and what it does, as
// h2spec's report has it.
func deviations() []deviation {
	return []deviation{}
}

// report is what is read of h2spec's JUnit report.
type report struct {
	Suites []struct {
		Package string `xml:"package,attr"`
		Cases   []struct {
			Does    string `xml:"classname,attr"`
			Failure *struct {
				Text string `xml:",chardata"`
			} `xml:"failure"`
			Error *struct {
				Text string `xml:",chardata"`
			} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// TestH2spec has h2spec judge how HTTP/2 is spoken, where it is spoken.
func TestH2spec(t *testing.T) {
	s := newSite(t)
	w := start(t, s.addr, 0, config{"admit": config{"rate": 100000, "burst": 100000}})
	if !speaks(t, w.secure, "h2") {
		t.Log("HTTP/2 is not spoken: there is nothing to judge")
		return
	}
	known := map[string]string{}
	for _, d := range deviations() {
		known[d.id] = d.why
	}
	passed, skipped := 0, 0
	for id, result := range h2spec(t, w.secure.Addr().String(), w.secure.Port()) {
		why, expected := known[id]
		switch {
		case result == "" && expected:
			t.Errorf("%s passes: take it out of deviations", id)
		case result == "":
			passed++
		case result == skippedCase:
			skipped++
		case expected:
			t.Logf("%s: not passed, since %s", id, why)
		default:
			t.Errorf("%s: %s", id, result)
		}
	}
	t.Logf("%d cases passed, %d skipped by h2spec", passed, skipped)
	if passed < 100 {
		t.Errorf("h2spec has judged %d cases only", passed)
	}
}

const skippedCase = "skipped"

// h2spec returns what went wrong in each case; "" nothing.
func h2spec(t *testing.T, address string, port uint16) map[string]string {
	t.Helper()
	tool, file := filepath.Join(work, "h2spec"), filepath.Join(t.TempDir(), "report.xml")
	if out, err := exec.Command("go", "build", "-o", tool, "github.com/summerwind/h2spec/cmd/h2spec").CombinedOutput(); err != nil {
		t.Fatalf("build h2spec: %v\n%s", err, out)
	}
	// It fails where a case does; the report says which.
	out, failed := exec.Command(tool, "--host", address, "--port", decimal(port), "--tls", "--insecure",
		"--timeout", "2", "--path", "/", "--junit-report", file).CombinedOutput()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("h2spec: %v, %v\n%s", failed, err, out)
	}
	var r report
	if err := xml.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	results := map[string]string{}
	for _, suite := range r.Suites {
		for _, c := range suite.Cases {
			id := suite.Package + ": " + c.Does
			switch {
			case c.Failure != nil:
				results[id] = "failed: " + strings.Join(strings.Fields(c.Failure.Text), " ")
			case c.Error != nil:
				results[id] = "error: " + strings.Join(strings.Fields(c.Error.Text), " ")
			case c.Skipped != nil:
				results[id] = skippedCase
			default:
				results[id] = ""
			}
		}
	}
	return results
}
