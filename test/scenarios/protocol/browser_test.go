package protocol

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

func decimal(port uint16) string { return strconv.Itoa(int(port)) }

// browsers are the programs that a browser may be found as.
func browsers() []string {
	return []string{"chromium", "chromium-headless-shell", "chromium-browser", "google-chrome"}
}

// browser is the path of one, or the test is skipped.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range browsers() {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	t.Skip("needs chromium (Debian: chromium)")
	return ""
}

// TestBrowser has a real browser read the site by each protocol that is spoken, and
// say which one it used.
func TestBrowser(t *testing.T) {
	path := browser(t)
	s := newSite(t)
	w := start(t, s.addr, 0, config{"http3": true})
	_, port := w.secure.Addr(), decimal(w.secure.Port())
	type trial struct {
		name, url, want string
		flags           map[string]any
	}
	trials := []trial{
		{"clear text", "http://" + host + ":" + decimal(w.clear.Port()) + "/", "http/1.1", nil},
		{"HTTPS", "https://" + host + ":" + port + "/", "http/1.1", map[string]any{"disable-http2": true}},
	}
	if speaks(t, w.secure, "h2") {
		trials = append(trials, trial{"HTTP/2", "https://" + host + ":" + port + "/", "h2", nil})
	}
	if speaksQUIC(t, w.secure) {
		trials = append(trials, trial{"HTTP/3", "https://" + host + ":" + port + "/", "h3",
			// For QUIC the key must be named: there it does not help to ignore errors.
			map[string]any{"enable-quic": true, "origin-to-force-quic-on": host + ":" + port, "ignore-certificate-errors-spki-list": keyHash(t, w)}})
	}
	for _, c := range trials {
		t.Run(c.name, func(t *testing.T) {
			if got := browse(t, path, c.url, w.secure.Addr(), c.flags); got != c.want {
				t.Errorf("the browser came by %q, not %q", got, c.want)
			}
		})
	}
}

// TestBrowserIsChallenged has a real browser asked for a sign by each protocol, on its
// first page: it shows the page all the same, at the address that was asked for, and on
// the next one nothing is asked. Without cookies it is let in as well.
func TestBrowserIsChallenged(t *testing.T) {
	path := browser(t)
	s := newSite(t)
	w := start(t, s.addr, 0, config{"http3": true}, config{"rules": []config{{"name": "ask", "match": `kind == "page"`, "action": "challenge"}}})
	port := decimal(w.secure.Port())
	secure := "https://" + host + ":" + port + "/"
	count := func() (asked, answered int) {
		var list []struct {
			Action string `json:"action"`
			Count  int    `json:"count"`
		}
		read(t, "http://"+w.admin+"/api/v1/verdicts", &list)
		for _, v := range list {
			if v.Action == "challenge" {
				asked += v.Count
			}
		}
		return asked, counter(t, w, "seawall_challenges_answered_total")
	}
	for _, c := range []struct {
		name, url string
		flags     map[string]any
		answers   int
	}{
		{"clear text", "http://" + host + ":" + decimal(w.clear.Port()) + "/", nil, 1},
		{"HTTP/2", secure, nil, 1},
		{"HTTP/3", secure, map[string]any{"enable-quic": true, "origin-to-force-quic-on": host + ":" + port, "ignore-certificate-errors-spki-list": keyHash(t, w)}, 1},
		{"without cookies", secure, map[string]any{"user-data-dir": cookieless(t)}, 0},
	} {
		asked, answered := count()
		flags := map[string]any{"user-agent": "Mozilla/5.0 (" + c.name + ")"} // nobody of one address and program is asked twice at once
		maps.Copy(flags, c.flags)
		ctx := drive(t, path, w.secure.Addr(), flags)
		for _, query := range []string{"?from=letter&n=1", "?n=2"} {
			if _, err := chromedp.Run(ctx, chromedp.Navigate(c.url+query)); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			title, err := chromedp.Run(ctx, chromedp.Title())
			if err != nil {
				t.Fatal(err)
			}
			at, err := chromedp.Run(ctx, chromedp.Location())
			if err != nil {
				t.Fatal(err)
			}
			if title != "A site" || at != c.url+query {
				t.Errorf("%s: shows %q at %s", c.name, title, at)
			}
		}
		a, b := count()
		if a-asked != 1 || b-answered != c.answers {
			t.Errorf("%s: asked %d times, %d answered", c.name, a-asked, b-answered)
		}
	}
}

// cookieless is the folder of a browser whose user lets no site keep cookies.
func cookieless(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "Default"), 0o700); err != nil {
		t.Fatal(err)
	}
	settings := `{"profile": {"default_content_setting_values": {"cookies": 2}}}`
	if err := os.WriteFile(filepath.Join(dir, "Default", "Preferences"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// counter reads one metric that has no labels.
func counter(t *testing.T, w *wall, name string) int {
	t.Helper()
	answer, err := http.Get("http://" + w.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// keyHash is the certificate's key as the browser wants it named.
func keyHash(t *testing.T, w *wall) string {
	t.Helper()
	c, err := tls.Dial("tcp", w.secure.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sum := sha256.Sum256(c.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// browse reads a page, with all that belongs to it, and returns the protocol that
// brought it (Resource Timing, nextHopProtocol).
func browse(t *testing.T, path, url string, at netip.Addr, flags map[string]any) string {
	t.Helper()
	ctx := drive(t, path, at, flags)
	if _, err := chromedp.Run(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	title, err := chromedp.Run(ctx, chromedp.Title())
	if err != nil {
		t.Fatal(err)
	}
	protocol, err := chromedp.Run(ctx, chromedp.Evaluate[string](`performance.getEntriesByType("navigation")[0].nextHopProtocol`))
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := chromedp.Run(ctx, chromedp.Evaluate[int](`performance.getEntriesByType("resource").filter(e => e.responseStatus === 200).length`))
	if err != nil {
		t.Fatal(err)
	}
	if title != "A site" || loaded < 2 {
		t.Errorf("the browser shows %q, with %d assets", title, loaded)
	}
	return protocol
}

// drive starts a browser that finds the site at an address. It ends with the test.
func drive(t *testing.T, path string, at netip.Addr, flags map[string]any) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("host-resolver-rules", "MAP "+host+" "+at.String()),
		chromedp.UserDataDir(t.TempDir()),
	)
	for name, value := range flags {
		options = append(options, chromedp.Flag(name, value))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(end)
	ctx, stop := chromedp.NewContext(ctx)
	t.Cleanup(stop)
	return ctx
}

// TestBrowserWithoutCookies reads page after page with a real browser that keeps no
// cookie. It fetches what the pages need, in requests whose fields come in another order
// than those of the pages: it is no shy client, whatever it keeps.
func TestBrowserWithoutCookies(t *testing.T) {
	path := browser(t)
	s := newSite(t)
	w := start(t, s.addr, 0)
	ctx := drive(t, path, w.secure.Addr(), nil)
	url := "https://" + host + ":" + decimal(w.secure.Port()) + "/"
	standings, last := map[string]int{}, ""
	look := func() {
		for range 12 { // more than a window
			time.Sleep(100 * time.Millisecond)
			var st struct {
				Window struct {
					At string `json:"at"`
					By [5]int `json:"by_standing"`
				} `json:"window"`
			}
			read(t, "http://"+w.admin+"/api/v1/status", &st)
			if st.Window.At == last {
				continue
			}
			last = st.Window.At
			for i, name := range []string{"new", "good", "shy", "greedy", "thin"} {
				standings[name] += st.Window.By[i]
			}
		}
	}
	look()
	for range 8 {
		forget := func(ctx context.Context, tab *chromedp.Target) (cdp.Empty, error) {
			return cdp.Empty{}, tab.Call(ctx, network.CommandClearBrowserCookies, nil, nil)
		}
		if _, err := chromedp.Run(ctx, forget); err != nil {
			t.Fatal(err)
		}
		if _, err := chromedp.Run(ctx, chromedp.Navigate(url)); err != nil {
			t.Fatal(err)
		}
		look()
	}
	if standings["shy"] > 0 || standings["thin"] > 0 || standings["new"] < 8 {
		t.Errorf("its requests by standing: %v", standings)
	}
}

// read takes JSON from the admin address.
func read(t *testing.T, url string, to any) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(to); err != nil {
		t.Fatal(err)
	}
}
