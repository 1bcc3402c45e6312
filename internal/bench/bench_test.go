package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall/internal/kit/freeport"
)

// TestMain lets this test's own program play the demo's role "run": it answers
// each kind with a summary made up for the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "played" {
		os.Exit(played())
	}
	os.Exit(m.Run())
}

func played() int {
	line, err := bufio.NewReader(os.Stdin).ReadBytes('\n')
	if err != nil {
		return 1
	}
	var s setup
	if err := json.Unmarshal(line, &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	visitors := `"visitors":{"quiet":{"share":1,"p50_ms":11,"p99_ms":13},"during":{"meant":1600,"served":1599,"share":0.9993,"p50_ms":12,"p99_ms":%d,"wrong":{"refused":%d}},"newcomers":{"meant":160,"served":158,"share":0.9875}}`
	switch s.Kind {
	case "heavy":
		fmt.Printf(`{`+visitors+`,"flood":{"sent":200000,"reached":900,"reached_share":0.0045,"reached_share_after_2s":0.0004},"seawall":{"noticed_s":0.3,"mitigated_s":0.5,"withdrawn_s":20,"attacks":1}}`, 49, 0)
	case "wide":
		if s.Guise == "pulses" {
			fmt.Printf(`{`+visitors+`,"seawall":{"noticed_s":0.3,"mitigated_s":0.9,"withdrawn_s":30,"attacks":1}}`, 19, 0)
			break
		}
		fmt.Printf(`{`+visitors+`,"seawall":{"noticed_s":0.3,"mitigated_s":-1,"withdrawn_s":-1,"attacks":1}}`, 49, 0)
	case "crowd":
		fmt.Printf(`{`+visitors+`,"seawall":{"attacks":0}}`, 90, 3)
	case "one":
		fmt.Print(`{"flood":{"sent":4000,"reached":200}}`)
	case "rotate":
		fmt.Print(`{"flood":{"sent":4000,"reached":700}}`)
	case "many":
		fmt.Printf(`{"flood":{"sent":%d},"seawall":{"peak_rss_bytes":%d}}`, s.Requests, 100<<20)
	}
	fmt.Println()
	return 0
}

func testEnv() Env {
	return Env{Executable: os.Args[0], Role: func(string) []string { return []string{"played"} }}
}

func TestBars(t *testing.T) {
	r, err := Run(t.Context(), Options{}, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, s := range r.Results {
		for _, b := range s.Bars {
			got[s.name(b)] = b.Passed
		}
	}
	want := map[string]bool{
		"heavy: visitors' requests served":                              true,
		"heavy: visitors' p99":                                          true,
		"heavy: flood reaching the site after 2 s":                      true,
		"heavy: withdrawn by itself":                                    true,
		"wide: visitors' requests served":                               true,
		"wide: newcomers' requests served":                              false,
		"wide: visitors' p99":                                           false,
		"wide: mitigated":                                               false,
		"wide: withdrawn by itself":                                     false,
		"pulses: visitors' requests served":                             true,
		"pulses: newcomers' requests served":                            false,
		"pulses: visitors' p99":                                         true,
		"pulses: mitigated":                                             true,
		"crowd: visitors' requests served":                              true,
		"crowd: called an attack":                                       true,
		"crowd: visitors refused":                                       false,
		"rotate: gained by rotating":                                    true,
		"memory: resident memory after 1000000 clients/at most 256 MiB": true,
		"memory: resident memory after 1000000 clients/at most 64 MiB":  false,
	}
	for _, guise := range []string{"queries", "agents", "pages"} {
		for _, b := range []string{"visitors' requests served", "newcomers' requests served", "visitors' p99", "mitigated"} {
			want[guise+": "+b] = want["wide: "+b]
		}
	}
	for name, passed := range want {
		if p, ok := got[name]; !ok || p != passed {
			t.Errorf("%s: %v, %v", name, p, ok)
		}
	}
	if len(got) != len(want) || r.Passed() {
		t.Errorf("%d bars: %v", len(got), got)
	}
	text := r.Text()
	for _, s := range []string{"MISSED", "3.50 times", "never", "at most 64 MiB", "99.93 %"} {
		if !strings.Contains(text, s) {
			t.Errorf("the table does not show %q:\n%s", s, text)
		}
	}
}

func (r Result) name(b Bar) string {
	n := r.Name + ": " + b.Name
	if r.Name == "memory" {
		n += "/" + b.Asked
	}
	return n
}

func TestUnknownScenario(t *testing.T) {
	if _, err := Run(t.Context(), Options{Scenarios: []string{"tsunami"}}, testEnv()); err == nil || !strings.Contains(err.Error(), "heavy") {
		t.Errorf("%v", err)
	}
}

func TestStopsWithItsContext(t *testing.T) {
	env := Env{Executable: "/bin/cat", Role: func(string) []string { return nil }}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r, err := Run(ctx, Options{}, env)
	if err != nil || len(r.Results) != 1 || r.Passed() {
		t.Errorf("%+v, %v", r, err)
	}
}

// What cannot be measured is a bar missed, and the rest is measured all the same.
func TestBrokenScenario(t *testing.T) {
	env := Env{Executable: "/bin/false", Role: func(string) []string { return nil }}
	r, err := Run(t.Context(), Options{Scenarios: []string{"crowd", "memory"}}, env)
	if err != nil || len(r.Results) != 2 || r.Passed() || !strings.Contains(r.Text(), "exit status 1") {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestPeersStart starts each peer that is installed with its configuration and
// asks it for a page as an address of its own.
func TestPeersStart(t *testing.T) {
	site, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	go func() {
		_ = http.Serve(site, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "for "+r.Header.Get("X-Forwarded-For"))
		}))
	}()
	for _, p := range peers() {
		t.Run(p.program, func(t *testing.T) {
			if !p.installed() {
				t.Skip(p.program + " is not installed")
			}
			dir := t.TempDir()
			free, err := freeport.Loopback(1)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "conf")
			if err := os.WriteFile(file, []byte(p.config(free[0], site.Addr().String(), dir)), 0o600); err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			cmd := exec.Command(p.path(), p.args(file, dir)...)
			cmd.Stderr = &said
			run, err := launch(cmd)
			if err != nil {
				t.Fatal(err)
			}
			defer run.end(3 * time.Second)
			if err := run.listens(free[0]); err != nil {
				t.Fatal(err)
			}
			limited := 0
			for i := range 60 {
				resp, err := ask(free[0])
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case resp.StatusCode == 429:
					limited++
				case i == 0:
					body := make([]byte, 100)
					n, _ := resp.Body.Read(body)
					if got := string(body[:n]); got != "for 192.0.2.9" {
						t.Errorf("the site sees %q", got)
					}
				}
				resp.Body.Close()
			}
			if limited == 0 {
				t.Error("nothing was limited")
			}
		})
	}
}

func ask(addr string) (*http.Response, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprint(c, "PROXY TCP4 192.0.2.9 127.0.0.1 999 80\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(c), nil)
}

// What a machine did that is not Seawall's is said, and where nothing disturbed, nothing is.
func TestDisturbed(t *testing.T) {
	before := ticks{all: 1000, stolen: 100}
	for _, c := range []struct {
		after ticks
		want  []string
	}{
		{ticks{all: 3000, stolen: 120}, nil},
		{ticks{all: 3000, stolen: 350}, []string{"the machine's host gave its processors to somebody else for 12.5 % of the time"}},
		{ticks{all: 1000, stolen: 100}, nil},
		{ticks{}, nil}, // cannot be read any more
	} {
		if got := before.disturbed(c.after); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.after, got, c.want)
		}
	}
	before.load = float64(runtime.NumCPU()) + 0.5
	if got := before.disturbed(before); len(got) != 1 || !strings.Contains(got[0], "busy before this began") {
		t.Errorf("%q", got)
	}
	if now := machine(); now.all == 0 || now.stolen > now.all || now.load < 0 {
		t.Errorf("%+v", now)
	}
}
