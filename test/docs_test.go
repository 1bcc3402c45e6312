package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall/internal/config"
	"seawall/internal/defense"
	"seawall/internal/request/proxy"
)

// document is one page of documentation.
type document struct {
	name  string // from the root of the house
	text  string
	prose string // text without its fences
	fence []fence
}

// fence is a block between two lines of three backquotes.
type fence struct {
	info  string // what stands behind the first
	line  int    // of the first
	lines []string
}

func (f fence) text() string { return strings.Join(f.lines, "\n") + "\n" }

// documents reads README.md, all of docs, and the other pages at the root.
func documents(t *testing.T) []document {
	t.Helper()
	names, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"../docs/*.md", "../docs/decisions/*.md", "../docs/detectors/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, more...)
	}
	var out []document
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, parseDocument(strings.TrimPrefix(name, "../"), string(text)))
	}
	return out
}

func parseDocument(name, text string) document {
	d := document{name: name, text: text}
	var open *fence
	for i, line := range strings.Split(text, "\n") {
		mark, is := strings.CutPrefix(line, "```")
		switch {
		case is && open == nil:
			open = &fence{info: mark, line: i + 1}
		case is:
			d.fence = append(d.fence, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		default:
			d.prose += line + "\n"
		}
	}
	return d
}

func page(t *testing.T, name string) document {
	t.Helper()
	for _, d := range documents(t) {
		if d.name == name {
			return d
		}
	}
	t.Fatalf("there is no %s", name)
	return document{}
}

// Every example of a configuration is one.
func TestDocumentedConfigurations(t *testing.T) {
	examples := 0
	try := func(name, text string) {
		file := filepath.Join(t.TempDir(), "seawall.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// The folder of the packages need not be here.
		if _, err := config.Compose(file, config.Flags{Data: t.TempDir()}); err != nil {
			t.Errorf("%s:\n%v", name, err)
		}
		examples++
	}
	for _, d := range documents(t) {
		for _, f := range d.fence {
			if f.info == "yaml" {
				try(fmt.Sprintf("%s:%d", d.name, f.line), f.text())
			}
		}
	}
	if examples < 6 {
		t.Errorf("only %d examples were found", examples)
	}
	text, err := os.ReadFile("../deploy/seawall.yaml")
	if err != nil {
		t.Fatal(err)
	}
	try("deploy/seawall.yaml", string(text))
}

// Every setting is documented with its default, and no other.
func TestDocumentedSettings(t *testing.T) {
	_, tables, _ := strings.Cut(page(t, "docs/configuration.md").prose, "## All settings")
	row := regexp.MustCompile("(?m)^\\| `([^`]+)`(?: \\*\\*R\\*\\*)? \\|([^|]*)\\| ([^|]+) \\|$")
	documented := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(tables, -1) {
		if _, twice := documented[m[1]]; twice {
			t.Errorf("%s is documented twice", m[1])
		}
		documented[m[1]] = strings.TrimSpace(m[2])
	}
	settings := map[string]reflect.Value{}
	settingsOf("", reflect.ValueOf(*config.Default()), settings)
	for key, value := range settings {
		cell, ok := documented[key]
		switch {
		case !ok:
			t.Errorf("%s is not documented", key)
		case !saysDefault(cell, value):
			t.Errorf("%s is documented with the default %s; it is %v", key, cell, value)
		}
		delete(documented, key)
	}
	for key := range documented {
		t.Errorf("%s is documented, and no setting", key)
	}
}

// settingsOf lists the settings of a struct by their keys.
func settingsOf(under string, v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, opt, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		key := strings.TrimPrefix(under+"."+name, ".")
		switch {
		case !f.IsExported() || name == "-":
		case opt == "inline":
			settingsOf(under, v.Field(i), into)
		case f.Type.Kind() == reflect.Struct:
			settingsOf(key, v.Field(i), into)
		default:
			into[key] = v.Field(i)
			if f.Type.Kind() == reflect.Slice && f.Type.Elem() == reflect.TypeFor[proxy.Origin]() {
				settingsOf(key+"[]", reflect.ValueOf(proxy.Origin{Weight: 1}), into)
			}
			if f.Type == reflect.TypeFor[defense.Rules]() {
				delete(into, key) // the list itself says nothing
				settingsOf(key+"[]", reflect.ValueOf(defense.Rule{}), into)
			}
		}
	}
}

// saysDefault says whether a table's cell names a default. What is empty may be
// described in any words.
func saysDefault(cell string, v reflect.Value) bool {
	code := strings.Trim(cell, "`")
	switch x := v.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(code)
		return err == nil && d == x
	case []string:
		return len(x) == 0 || code == fmt.Sprintf("[%q]", x[0])
	case config.Size:
		return x == 0
	}
	if v.IsZero() && (v.Kind() == reflect.String || v.Kind() == reflect.Slice) {
		return true
	}
	return cell == fmt.Sprintf("`%v`", v.Interface())
}

// testCommands: every command that is shown exists, with its flags.
func testCommands(t *testing.T, program string) {
	help := func(args ...string) string {
		out, err := exec.Command(program, append(args, "--help")...).Output()
		if err != nil {
			t.Fatalf("seawall %v --help: %v", args, err)
		}
		return string(out)
	}
	commands := map[string]string{} // to their help
	named := regexp.MustCompile(`(?m)^  ([a-z]+) +[A-Z]`)
	for _, m := range named.FindAllStringSubmatch(help(), -1) {
		commands[m[1]] = help(m[1])
		_, inner, _ := strings.Cut(commands[m[1]], "Available Commands:")
		for _, in := range named.FindAllStringSubmatch(inner, -1) {
			commands[m[1]+" "+in[1]] = help(m[1], in[1])
		}
	}
	if len(commands) < 10 {
		t.Fatalf("only %d commands were found", len(commands))
	}
	shown := map[string]bool{}
	for _, d := range documents(t) {
		for _, line := range commandLines(d) {
			words := strings.Fields(line)
			if len(words) == 1 {
				continue // the program itself
			}
			text, ok := commands[words[1]]
			if !ok {
				if words[1] != "help" && words[1] != "COMMAND" {
					t.Errorf("%s: `%s`: there is no such command", d.name, line)
				}
				continue
			}
			shown[words[1]] = true
			if len(words) > 2 && commands[words[1]+" "+words[2]] != "" {
				text = commands[words[1]+" "+words[2]]
			}
			for _, w := range words[2:] {
				flag, _, _ := strings.Cut(w, "=")
				if strings.HasPrefix(flag, "-") && !regexp.MustCompile(`(?m)^ .*\B`+regexp.QuoteMeta(flag)+`\b`).MatchString(text) {
					t.Errorf("%s: `%s`: %s takes no %s", d.name, line, words[1], flag)
				}
			}
		}
	}
	for _, c := range []string{"run", "check", "status", "normal", "why", "ban", "unban", "allow", "mitigations", "undo", "off", "on", "confirm", "reload", "upgrade", "demo", "bench", "replay", "doctor", "capture", "letter", "pin"} {
		if !shown[c] {
			t.Errorf("no page shows `seawall %s`", c)
		}
	}
}

// commandLines finds command lines in fences and between backquotes.
func commandLines(d document) []string {
	var lines []string
	for _, f := range d.fence {
		if f.info == "" || f.info == "sh" {
			lines = append(lines, f.lines...)
		}
	}
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(d.prose, -1) {
		lines = append(lines, m[1])
	}
	start := regexp.MustCompile(`^(?:sudo )?(?:\./)?(?:bin/)?seawall( .*)?$`)
	var out []string
	for _, line := range lines {
		line, _, _ = strings.Cut(line, " #")
		for _, part := range regexp.MustCompile(`; |&& `).Split(line, -1) {
			if m := start.FindStringSubmatch(strings.TrimSpace(part)); m != nil {
				out = append(out, "seawall"+m[1])
			}
		}
	}
	return out
}

// Every target of make that is shown exists.
func TestDocumentedTargets(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range documents(t) {
		for _, m := range regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)").FindAllStringSubmatch(d.text, -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
				t.Errorf("%s: there is no `make %s`", d.name, m[1])
			}
		}
	}
}

// Every link between the pages leads somewhere.
func TestDocumentedLinks(t *testing.T) {
	for _, d := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(d.prose, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := filepath.Join("..", filepath.Dir(d.name), file)
			if file == "" {
				target = filepath.Join("..", d.name)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", d.name, m[1])
				continue
			}
			if anchor != "" {
				text, err := os.ReadFile(target)
				if err != nil || !slices.Contains(anchors(parseDocument(target, string(text))), anchor) {
					t.Errorf("%s: there is no heading for %s", d.name, m[1])
				}
			}
		}
	}
}

// anchors lists the names that a page's headings have in links.
func anchors(d document) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(d.prose, -1) {
		s := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		out = append(out, strings.ReplaceAll(s, " ", "-"))
	}
	return out
}

// Every test that never.md calls upon is where it says.
func TestDocumentedNever(t *testing.T) {
	for _, m := range regexp.MustCompile("((?:`Test\\w+`(?:, )?)+) \\(`([\\w/]+)`\\)").FindAllStringSubmatch(page(t, "docs/never.md").prose, -1) {
		files, err := filepath.Glob(filepath.Join("..", m[2], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(b)
		}
		for _, name := range regexp.MustCompile(`Test\w+`).FindAllString(m[1], -1) {
			if !strings.Contains(text.String(), "func "+name+"(") {
				t.Errorf("%s has no %s", m[2], name)
			}
		}
	}
}
