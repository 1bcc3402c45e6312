package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Versions as packages carry them begin with a digit, hold no dash, and are in
// the order of time.
func TestPackageVersions(t *testing.T) {
	before := ""
	for _, c := range []struct{ said, want string }{
		{"0e05fd4", `0\.0\.0~git\d+\.0e05fd4`},
		{"v1.2.3-rc.1", `1\.2\.3~rc\.1`},
		{"v1.2.3-rc.1-7-g0e05fd4", `1\.2\.3~rc\.1\+7\.g0e05fd4`},
		{"v1.2.3", `1\.2\.3`},
		{"v1.2.3-4-g0e05fd4", `1\.2\.3\+4\.g0e05fd4`},
		{"v1.2.3-4-g0e05fd4-dirty", `1\.2\.3\+4\.g0e05fd4\+dirty`},
		{"v1.3.0", `1\.3\.0`},
	} {
		out, err := exec.Command("./version.sh", c.said).Output()
		got := strings.TrimSpace(string(out))
		if err != nil || !regexp.MustCompile("^"+c.want+"$").MatchString(got) {
			t.Errorf("%s becomes %q (%v), want %s", c.said, got, err, c.want)
		}
		if dpkg, err := exec.LookPath("dpkg"); err == nil && before != "" {
			if err := exec.Command(dpkg, "--compare-versions", before, "lt", got).Run(); err != nil {
				t.Errorf("dpkg does not take %s for older than %s", before, got)
			}
		}
		before = got
	}
}

// The units are such as systemd takes.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	for _, name := range []string{"seawall.service", "seawall.socket"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// The program need not be installed here.
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), "/usr/bin/seawall", "/bin/true")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"seawall.service", "seawall.socket"} {
		if out, err := exec.Command(analyze, "verify", filepath.Join(dir, name)).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// NOTICE names every module in the binary, and no other.
func TestNotice(t *testing.T) {
	text, err := os.ReadFile("../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^  (\S+\.\S+/\S+) +[A-Z]`).FindAllStringSubmatch(string(text), -1) {
		named[m[1]] = true
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "seawall/cmd/seawall").Output()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, name := range strings.Fields(string(out)) {
		there[name] = true
		if !named[name] {
			t.Errorf("NOTICE does not name %s", name)
		}
	}
	for name := range named {
		if !there[name] {
			t.Errorf("NOTICE names %s, which is not in the binary", name)
		}
	}
}
