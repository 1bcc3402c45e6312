package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"seawall/internal/defense"
	"seawall/internal/mitigation"
)

// fake is a Shield that remembers what it was asked for.
type fake struct {
	asked  any
	err    error
	events chan any
	file   io.WriterTo
}

func (f *fake) Status() any      { return map[string]string{"state": "calm"} }
func (f *fake) Mitigations() any { return []int{} }
func (f *fake) Normal() any      { return nil }
func (f *fake) Attacks() any     { return nil }
func (f *fake) Clients() any     { return nil }
func (f *fake) Verdicts() any    { return nil }
func (f *fake) Ready() error     { return f.err }
func (f *fake) Reload() error    { return f.err }
func (f *fake) Confirm() error   { return f.err }

func (f *fake) Upgrade() (int, error) { return 4711, f.err }

func (f *fake) Why(code string) (Why, error) {
	f.asked = code
	return Why{Code: code}, f.err
}

func (f *fake) Events(ctx context.Context) <-chan any { return f.events }

func (f *fake) Capture(ctx context.Context, o CaptureOrder) (io.WriterTo, error) {
	f.asked = o
	return f.file, f.err
}

func (f *fake) Ban(o PrefixOrder) (mitigation.Mitigation, error) {
	f.asked = o
	return mitigation.Mitigation{ID: 1}, f.err
}

func (f *fake) Allow(o PrefixOrder) (mitigation.Mitigation, error) { return f.Ban(o) }

func (f *fake) Act(o MatchOrder) (mitigation.Mitigation, error) {
	f.asked = o
	return mitigation.Mitigation{ID: 1}, f.err
}

func (f *fake) Try(rules defense.Rules) ([]defense.Trial, error) {
	f.asked = rules
	return []defense.Trial{{TooMuch: true}}, f.err
}

func (f *fake) Letter(days int) (Letter, error) {
	f.asked = days
	return Letter{}, f.err
}

func (f *fake) Unban(p netip.Prefix) ([]mitigation.Mitigation, error) {
	f.asked = p
	return []mitigation.Mitigation{}, f.err
}

// pinned is what Pin was asked for.
type pinned struct {
	ID   mitigation.ID
	For  time.Duration
	Note string
}

func (f *fake) Pin(id mitigation.ID, last time.Duration, note string) ([]mitigation.Mitigation, error) {
	f.asked = pinned{ID: id, For: last, Note: note}
	return []mitigation.Mitigation{{ID: id}}, f.err
}

func (f *fake) Lift(id mitigation.ID) ([]mitigation.Mitigation, error) {
	f.asked = id
	return []mitigation.Mitigation{}, f.err
}

func (f *fake) Undo(since time.Duration) ([]mitigation.Mitigation, error) {
	f.asked = since
	return []mitigation.Mitigation{}, f.err
}

func (f *fake) SetOff(off bool) error {
	f.asked = off
	return f.err
}

func server(f *fake, token string) *Server {
	return New(f, http.NotFoundHandler(), token, slog.New(slog.DiscardHandler))
}

type ask struct {
	method, path, host, body string
	header                   map[string]string
}

func (a ask) do(s *Server) *httptest.ResponseRecorder {
	r := httptest.NewRequest(a.method, a.path, strings.NewReader(a.body))
	if r.Host = a.host; a.host == "" {
		r.Host = "127.0.0.1:9090"
	}
	for k, v := range a.header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(recorder{w}, r)
	return w
}

// recorder bears deadlines, which nobody waits for.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error  { return nil }
func (recorder) SetWriteDeadline(time.Time) error { return nil }

func TestGuard(t *testing.T) {
	const token = "a token of some length"
	admin := map[string]string{"Seawall-Admin": "1"}
	for name, c := range map[string]struct {
		ask
		token string
		want  int
	}{
		"address":                    {ask{method: "GET", path: "/api/v1/status"}, "", 200},
		"address of IPv6":            {ask{method: "GET", path: "/api/v1/status", host: "[::1]:9090"}, "", 200},
		"localhost":                  {ask{method: "GET", path: "/api/v1/status", host: "localhost:9090"}, "", 200},
		"foreign name":               {ask{method: "GET", path: "/api/v1/status", host: "evil.example:9090"}, "", 421},
		"foreign name like an IP":    {ask{method: "GET", path: "/", host: "127.0.0.1.evil.example"}, "", 421},
		"foreign name, health":       {ask{method: "GET", path: "/healthz", host: "seawall.internal"}, "", 200},
		"foreign name, readiness":    {ask{method: "GET", path: "/readyz", host: "seawall.internal"}, "", 200},
		"foreign name, health's end": {ask{method: "GET", path: "/healthz/", host: "seawall.internal"}, "", 421},
		"change":                     {ask{method: "POST", path: "/api/v1/off", header: admin}, "", 200},
		"change from a page":         {ask{method: "POST", path: "/api/v1/off"}, "", 403},
		"delete from a page":         {ask{method: "DELETE", path: "/api/v1/mitigations/1"}, "", 403},
		"change with GET":            {ask{method: "GET", path: "/api/v1/off", header: admin}, "", 404},
		"no token":                   {ask{method: "GET", path: "/"}, token, 401},
		"wrong token":                {ask{method: "GET", path: "/", header: map[string]string{"Authorization": "Bearer x"}}, token, 401},
		"token":                      {ask{method: "GET", path: "/", header: map[string]string{"Authorization": "Bearer " + token}}, token, 200},
		"token as a password":        {ask{method: "GET", path: "/", header: map[string]string{"Authorization": "Basic bWU6YSB0b2tlbiBvZiBzb21lIGxlbmd0aA=="}}, token, 200},
		"token without the header":   {ask{method: "POST", path: "/api/v1/off", header: map[string]string{"Authorization": "Bearer " + token}}, token, 403},
		"health needs no token":      {ask{method: "GET", path: "/healthz"}, token, 200},
		"metrics need one":           {ask{method: "GET", path: "/metrics"}, token, 401},
		"capture":                    {ask{method: "GET", path: "/api/v1/capture", header: admin}, "", 200},
		"capture from a page":        {ask{method: "GET", path: "/api/v1/capture"}, "", 403},
		"capture, foreign name":      {ask{method: "GET", path: "/api/v1/capture", host: "evil.example", header: admin}, "", 421},
		"capture without a token":    {ask{method: "GET", path: "/api/v1/capture", header: admin}, token, 401},
		"capture, wrong token":       {ask{method: "GET", path: "/api/v1/capture", header: map[string]string{"Seawall-Admin": "1", "Authorization": "Bearer x"}}, token, 401},
		"nothing there":              {ask{method: "GET", path: "/nosuch"}, "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{file: strings.NewReader("a file")}
			w := c.do(server(f, c.token))
			if w.Code != c.want {
				t.Errorf("answered %d, want %d: %s", w.Code, c.want, w.Body)
			}
			if c.want != 200 && f.asked != nil {
				t.Errorf("the shield was asked: %v", f.asked)
			}
			for _, h := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"} {
				if w.Header().Get(h) == "" {
					t.Errorf("no %s", h)
				}
			}
			if w.Code >= 400 {
				var e struct{ Error string }
				if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == "" {
					t.Errorf("an error without a sentence: %s", w.Body)
				}
			}
		})
	}
}

func TestOrders(t *testing.T) {
	p := netip.MustParsePrefix
	for name, c := range map[string]struct {
		method, path, body string
		err                error
		want               int
		asked              any
	}{
		"ban":            {"POST", "/api/v1/mitigations", `{"action":"ban","prefix":"198.51.100.7","for":"1h","note":"n"}`, nil, 200, PrefixOrder{p("198.51.100.7/32"), time.Hour, "n"}},
		"ban, mapped":    {"POST", "/api/v1/mitigations", `{"action":"ban","prefix":"::ffff:198.51.100.7"}`, nil, 200, PrefixOrder{p("198.51.100.7/32"), 0, ""}},
		"allow":          {"POST", "/api/v1/mitigations", `{"action":"allow","prefix":"2001:db8::1/48"}`, nil, 200, PrefixOrder{p("2001:db8::/48"), 0, ""}},
		"slow":           {"POST", "/api/v1/mitigations", `{"action":"slow","match":"path == \"/\""}`, nil, 200, MatchOrder{`path == "/"`, mitigation.Slow, 0, ""}},
		"challenge":      {"POST", "/api/v1/mitigations", `{"action":"challenge","match":"path == \"/\"","for":"1m"}`, nil, 200, MatchOrder{`path == "/"`, mitigation.Challenge, time.Minute, ""}},
		"try a rule":     {"POST", "/api/v1/rules/try", `{"rules":[{"name":"a","match":"path == \"/\"","action":"refuse"}]}`, nil, 200, defense.Rules{{Name: "a", Match: `path == "/"`, Action: "refuse"}}},
		"try no rule":    {"POST", "/api/v1/rules/try", `{"rule":1}`, nil, 400, nil},
		"try a bad rule": {"POST", "/api/v1/rules/try", `{"rules":[{}]}`, errors.New("x"), 400, defense.Rules{{}}},
		"no action":      {"POST", "/api/v1/mitigations", `{"prefix":"198.51.100.7"}`, nil, 400, nil},
		"odd action":     {"POST", "/api/v1/mitigations", `{"action":"drop","match":"true"}`, nil, 400, nil},
		"odd prefix":     {"POST", "/api/v1/mitigations", `{"action":"ban","prefix":"198.51.100"}`, nil, 400, nil},
		"odd time":       {"POST", "/api/v1/mitigations", `{"action":"ban","prefix":"198.51.100.7","for":"soon"}`, nil, 400, nil},
		"negative time":  {"POST", "/api/v1/mitigations", `{"action":"ban","prefix":"198.51.100.7","for":"-1h"}`, nil, 400, nil},
		"no JSON":        {"POST", "/api/v1/mitigations", `action=ban`, nil, 400, nil},
		"no body":        {"POST", "/api/v1/mitigations", ``, nil, 400, nil},
		"unknown field":  {"POST", "/api/v1/mitigations", `{"action":"ban","prefix":"198.51.100.7","ttl":"1h"}`, nil, 400, nil},
		"two values":     {"POST", "/api/v1/unban", `{"prefix":"198.51.100.7"}{"prefix":"198.51.100.8"}`, nil, 400, nil},
		"large body":     {"POST", "/api/v1/mitigations", `{"note":"` + strings.Repeat("a", 65<<10) + `"}`, nil, 400, nil},
		"unban":          {"POST", "/api/v1/unban", `{"prefix":"198.51.100.7"}`, nil, 200, p("198.51.100.7/32")},
		"unban unknown":  {"POST", "/api/v1/unban", `{"prefix":"198.51.100.7"}`, Kind(ErrNotFound, errors.New("x")), 404, p("198.51.100.7/32")},
		"unban nothing":  {"POST", "/api/v1/unban", `{}`, nil, 400, nil},
		"undo":           {"POST", "/api/v1/undo", `{"since":"10m"}`, nil, 200, 10 * time.Minute},
		"undo nothing":   {"POST", "/api/v1/undo", `{}`, nil, 400, nil},
		"pin":            {"POST", "/api/v1/mitigations/7/pin", `{"for": "24h", "note": "it comes back"}`, nil, 200, pinned{ID: 7, For: 24 * time.Hour, Note: "it comes back"}},
		"pin for good":   {"POST", "/api/v1/mitigations/7/pin", `{}`, nil, 200, pinned{ID: 7}},
		"pin unknown":    {"POST", "/api/v1/mitigations/7/pin", `{}`, Kind(ErrNotFound, errors.New("x")), 404, pinned{ID: 7}},
		"pin a word":     {"POST", "/api/v1/mitigations/all/pin", `{}`, nil, 400, nil},
		"pin for what":   {"POST", "/api/v1/mitigations/7/pin", `{"for": "ever"}`, nil, 400, nil},
		"lift":           {"DELETE", "/api/v1/mitigations/7", "", nil, 200, mitigation.ID(7)},
		"lift unknown":   {"DELETE", "/api/v1/mitigations/7", "", Kind(ErrNotFound, errors.New("x")), 404, mitigation.ID(7)},
		"lift a word":    {"DELETE", "/api/v1/mitigations/all", "", nil, 400, nil},
		"lift too large": {"DELETE", "/api/v1/mitigations/4294967296", "", nil, 400, nil},
		"off":            {"POST", "/api/v1/off", "", nil, 200, true},
		"on":             {"POST", "/api/v1/on", "", nil, 200, false},
		"off fails":      {"POST", "/api/v1/off", "", errors.New("x"), 400, true},
		"reload":         {"POST", "/api/v1/reload", "", nil, 200, nil},
		"reload fails":   {"POST", "/api/v1/reload", "", Kind(ErrConfiguration, errors.New("x")), 422, nil},
		"letter":         {"GET", "/api/v1/letter", "", nil, 200, 7},
		"letter, month":  {"GET", "/api/v1/letter?days=31", "", nil, 200, 31},
		"letter, year":   {"GET", "/api/v1/letter?days=365", "", nil, 400, nil},
		"why":            {"GET", "/api/v1/verdicts/ABCDE-12345", "", nil, 200, "ABCDE-12345"},
		"why not":        {"GET", "/api/v1/verdicts/x", "", Kind(ErrNotFound, errors.New("x")), 404, "x"},
		"not ready":      {"GET", "/readyz", "", errors.New("x"), 503, nil},
		"ready":          {"GET", "/readyz", "", nil, 200, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{err: c.err}
			w := ask{method: c.method, path: c.path, body: c.body, header: map[string]string{"Seawall-Admin": "1"}}.do(server(f, ""))
			if w.Code != c.want {
				t.Errorf("answered %d, want %d: %s", w.Code, c.want, w.Body)
			}
			if !reflect.DeepEqual(f.asked, c.asked) {
				t.Errorf("asked for %#v, want %#v", f.asked, c.asked)
			}
			if c.err != nil && !strings.Contains(w.Body.String(), "x") {
				t.Errorf("the error is not told: %s", w.Body)
			}
		})
	}
}

// An error's text stays as it was under any kind.
func TestKind(t *testing.T) {
	inner := errors.New("it is not there")
	err := Kind(ErrNotFound, inner)
	if err.Error() != inner.Error() || !errors.Is(err, ErrNotFound) || !errors.Is(err, inner) || errors.Is(err, ErrConfiguration) {
		t.Errorf("%v", err)
	}
}

// The page works under its own policy: no inline script or style, and nothing
// from elsewhere.
func TestPage(t *testing.T) {
	s := server(&fake{}, "")
	for path, kind := range map[string]string{"/": "text/html", "/page.js": "text/javascript", "/page.css": "text/css"} {
		w := ask{method: "GET", path: path}.do(s)
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
	}
	for _, banned := range []string{"<style", "style=", "onclick=", "<script>", `src="http`, "innerHTML"} {
		for _, file := range [][]byte{indexHTML, pageJS} {
			if strings.Contains(string(file), banned) {
				t.Errorf("the page has %q", banned)
			}
		}
	}
}

func TestEvents(t *testing.T) {
	f := &fake{events: make(chan any, 2)}
	s := server(f, "")
	s.patience = 100 * time.Millisecond // a stream lives longer
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()

	resp, err := http.Get("http://" + s.Addr().String() + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("Content-Type %q", kind)
	}
	r := bufio.NewReader(resp.Body)
	for i := range 2 {
		if i == 1 {
			time.Sleep(3 * s.patience)
		}
		f.events <- map[string]int{"n": i}
		line, err := r.ReadString('\n')
		if want := `data: {"n":` + string(rune('0'+i)) + "}\n"; err != nil || line != want {
			t.Fatalf("read %q (%v), want %q", line, err, want)
		}
		if line, err = r.ReadString('\n'); err != nil || line != "\n" {
			t.Fatalf("read %q (%v)", line, err)
		}
	}
	stop()
	if _, err := io.Copy(io.Discard, r); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream's end: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
