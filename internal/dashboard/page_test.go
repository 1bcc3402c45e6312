package dashboard

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// told is a Shield that has this status.
type told struct {
	fake
	status string
}

func (s *told) Status() any { return json.RawMessage(s.status) }

// browser is the path of one, or the test is skipped.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-headless-shell", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	t.Skip("needs chromium (Debian: chromium)")
	return ""
}

// shown is the text of an element of the page with this id, as a browser shows it.
func shown(dom, id string) string {
	_, after, _ := strings.Cut(dom, ` id="`+id+`"`)
	_, inside, _ := strings.Cut(after, ">")
	tag := regexp.MustCompile(`</?(p|ul|tbody|dl|ol)>`).FindStringIndex(inside)
	if tag == nil {
		return "no such element"
	}
	text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(inside[:tag[0]], " ")
	return strings.Join(strings.Fields(text), " ")
}

// What a browser makes of a status. A finding without a unit has no rates to show, and
// is no alarm.
func TestPageInABrowser(t *testing.T) {
	path := browser(t)
	const (
		scan  = `{"vector":"scanning","what":"pages that are not there, asked for by one client: /.env, <b>/x</b>","since":"2026-03-04T12:00:00Z","peak":3,"normal":0,"unit":"","doing":"Nobody is refused for it."}`
		guess = `{"vector":"password-guessing","what":"passwords, tried by one client","since":"2026-03-04T12:00:00Z","peak":9,"normal":0,"unit":"","doing":"Nobody is refused for it."}`
		slow  = `{"vector":"slow-attack","what":"heads that do not end","since":"2026-03-04T12:00:00Z","peak":980,"normal":1,"unit":"connections at a time","doing":"Who keeps us waiting makes room first."}`
	)
	for _, c := range []struct {
		name, status string
		want         map[string]string // by the element's id
	}{
		{"nothing", `{"state":"calm","findings":[]}`, map[string]string{"headline": "Calm.", "found": "", "troubles": ""}},
		{"only to be known", `{"state":"calm","findings":[` + scan + `,` + guess + `]}`, map[string]string{
			"headline": "Calm.",
			"found": "Scanning: pages that are not there, asked for by one client: /.env, &lt;b&gt;/x&lt;/b&gt;. Nobody is refused for it. " +
				"Password guessing: passwords, tried by one client. Nobody is refused for it."}},
		{"more than that", `{"state":"calm","mode":"watch","findings":[` + scan + `,` + slow + `]}`, map[string]string{
			"headline": "Watching: nobody is stopped. Found since CLOCK: heads that do not end, 980 connections at a time at most, usual are 1. Who keeps us waiting makes room first.",
			"found":    "Scanning: pages that are not there, asked for by one client: /.env, &lt;b&gt;/x&lt;/b&gt;. Nobody is refused for it."}},
		{"besides an attack", `{"state":"attack","attack":{"since":"2026-03-04T12:00:00Z","peak":900,"normal":20},"findings":[` + slow + `]}`, map[string]string{
			"headline": "An attack since CLOCK: 900 requests a second at its peak, usual are 20.",
			"found":    "Slow attack: heads that do not end, 980 connections at a time at most, usual are 1. Who keeps us waiting makes room first."}},
		{"rules and trouble", `{"state":"calm","active":2,"troubles":["enforce: no room"],"mitigations":[` +
			`{"id":1,"match":"path == \"/x\"","action":"refuse","by":"rule","name":"no-x","note":"nobody uses it","until":"0001-01-01T00:00:00Z","hits":7},` +
			`{"id":2,"match":"path == \"/y\"","action":"slow","by":"rule","name":"y","note":"A rule of the configuration: y.","dry_run":true,"hits":3}]}`, map[string]string{
			"troubles": "Does not work: enforce: no room",
			"doing": `1 refuse path == "/x" no-x: nobody uses it 7 the file changes ` +
				`2 slow (dry run) path == "/y" A rule of the configuration: y. 3 the file changes`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := New(&told{status: c.status}, http.NotFoundHandler(), "", slog.New(slog.DiscardHandler))
			web := httptest.NewServer(s.handler)
			defer web.Close()
			dom, err := exec.CommandContext(t.Context(), path, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
				"--virtual-time-budget=500", "--dump-dom", web.URL+"/").Output()
			if err != nil {
				t.Fatal(err)
			}
			for id, want := range c.want {
				got := regexp.MustCompile(`\d\d:\d\d:\d\d`).ReplaceAllString(shown(string(dom), id), "CLOCK")
				if got != want {
					t.Errorf("%s shows\n%s, want\n%s", id, got, want)
				}
			}
		})
	}
}
