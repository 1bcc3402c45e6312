package crowd

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var plain = Browser{
	Agent: "Test/1",
	Page:  []string{"Host: {host}", "User-Agent: {agent}", "Accept: text/html", "Referer: {referer}", "Cookie: {cookie}"},
	Asset: []string{"Host: {host}", "User-Agent: {agent}", "Accept: {accept}", "If-None-Match: {etag}", "Cookie: {cookie}"},
	Form:  []string{"Host: {host}", "Content-Type: application/x-www-form-urlencoded", "Content-Length: {length}"},
}

func config(target string, n int) Config {
	c := Config{
		Target: netip.MustParseAddrPort(target), Host: "demo.test", Browsers: []Browser{plain},
		Rate: 20, Patience: 2 * time.Second, Seed: 1,
		Check: func(_ string, body []byte) error {
			if !strings.Contains(string(body), "right") {
				return errors.New("not right")
			}
			return nil
		},
	}
	a := netip.MustParseAddr("192.0.2.1")
	for range n {
		c.Addresses = append(c.Addresses, a)
		a = a.Next()
	}
	return c
}

// run lets n visitors read srv for d and returns what they felt.
func run(t *testing.T, cfg Config, n int, d time.Duration) Felt {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	c.Phase("quiet")
	if err := c.Add(n, 0, "regular"); err != nil {
		t.Fatal(err)
	}
	c.Run(ctx)
	if c.Felt("quiet", "regular").Meant != c.FeltByAll("quiet").Meant {
		t.Error("one group is not all groups")
	}
	return c.Felt("quiet", "regular")
}

func TestVisitorsBehaveLikeBrowsers(t *testing.T) {
	var mu sync.Mutex
	assets, fresh, cookies, forms, pages := 0, 0, 0, 0, 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Host != "demo.test" {
			t.Errorf("Host %q", r.Host)
		}
		if k, err := r.Cookie("c"); err == nil && k.Value == "v" {
			cookies++
		}
		if strings.HasPrefix(r.URL.Path, "/static/") {
			assets++
			w.Header().Set("Etag", `"1"`)
			if r.Header.Get("If-None-Match") == `"1"` {
				fresh++
				w.WriteHeader(304)
				return
			}
			_, _ = io.WriteString(w, "right")
			return
		}
		pages++
		if r.Method == "POST" {
			forms++
			if r.FormValue("text") == "" {
				t.Error("an empty form")
			}
		}
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "v"})
		_, _ = io.WriteString(w, `right <link href="/static/a.css"><img src="/static/b.svg"><a class="x" href="/next">n</a><form method="post" action="/say">`)
	}))
	defer srv.Close()
	f := run(t, config(srv.Listener.Addr().String(), 8), 8, 2*time.Second)
	srv.Close() // who left at the end may still be served
	// Nothing goes wrong; where the machine stands still for a moment, clicks are
	// missed, and their number says nothing about the visitors.
	if f.Served+f.Missed != f.Meant || f.Missed > f.Meant/4 || f.Meant < 150 || f.P99 < f.P50 || f.P50 <= 0 {
		t.Errorf("%+v", f)
	}
	if assets == 0 || fresh == 0 || forms == 0 || cookies < pages/2 {
		t.Errorf("%d pages, %d assets, %d asked again, %d forms, %d with the cookie", pages, assets, fresh, forms, cookies)
	}
	// 8 visitors, 20 a second each, for 2 s.
	if sum := pages + assets; sum < 120 || sum > 450 {
		t.Errorf("%d requests, want about 320", sum)
	}
}

// Who is sent back to the same page goes there with the cookie that came, and is served;
// who is sent in a circle is not.
func TestVisitorsAreSentBack(t *testing.T) {
	for _, knows := range []bool{true, false} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := r.Cookie("c"); err != nil || !knows {
				http.SetCookie(w, &http.Cookie{Name: "c", Value: "v"})
				w.Header().Set("Location", r.RequestURI)
				w.WriteHeader(http.StatusTemporaryRedirect)
				return
			}
			_, _ = io.WriteString(w, `right <a href="/next">n</a>`)
		}))
		f := run(t, config(srv.Listener.Addr().String(), 2), 2, 1500*time.Millisecond)
		srv.Close()
		switch {
		case knows && (f.Sent != 2 || f.Served == 0 || len(f.Wrong) > f.mayMiss()):
			t.Errorf("%+v", f)
		case !knows && (f.Served > 0 || f.Wrong[wrongError] == 0 || f.Sent < mostHops):
			t.Errorf("in a circle: %+v", f)
		}
	}
}

// mayMiss is how many kinds of wrong there may be: where the machine stands still for a
// moment, clicks are missed.
func (f Felt) mayMiss() int { return min(int(f.Missed), 1) }

func TestVisitorsSeeWhatGoesWrong(t *testing.T) {
	answers := map[string]func(w http.ResponseWriter){
		wrongRefused: func(w http.ResponseWriter) { w.Header().Set("Seawall-Ref", "R"); w.WriteHeader(503) },
		wrongError:   func(w http.ResponseWriter) { w.WriteHeader(502) },
		wrongBody:    func(w http.ResponseWriter) { _, _ = io.WriteString(w, "an error page with status 200") },
		wrongCut:     func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		wrongLate:    func(http.ResponseWriter) { time.Sleep(400 * time.Millisecond) },
	}
	for want, answer := range answers {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
		cfg := config(srv.Listener.Addr().String(), 2)
		cfg.Patience = 200 * time.Millisecond
		f := run(t, cfg, 2, 1500*time.Millisecond)
		if f.Served != 0 || f.Wrong[want] == 0 {
			t.Errorf("%s: %+v", want, f)
		}
		srv.Close()
	}
}

// A site that stands still for a second shows in the latency of the click that
// was meant at that time and in the clicks that could not be made at all.
func TestLatencyCountsFromTheClick(t *testing.T) {
	var mu sync.Mutex
	begun := time.Now()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if d := time.Since(begun); d > 300*time.Millisecond && d < 1300*time.Millisecond {
			time.Sleep(1300*time.Millisecond - d)
		}
		_, _ = io.WriteString(w, `right <a href="/">again</a>`)
	}))
	defer srv.Close()
	mu.Lock()
	begun = time.Now()
	mu.Unlock()
	f := run(t, config(srv.Listener.Addr().String(), 1), 1, 1800*time.Millisecond)
	if f.P99 < 500*time.Millisecond || f.Missed < 5 {
		t.Errorf("p99 %v, %d missed: a second of standstill is not seen: %+v", f.P99, f.Missed, f)
	}
}

func TestHeadKeepsTheBrowsersOrder(t *testing.T) {
	q := request{method: "GET", path: "/x", host: "demo.test", agent: "A", cookie: "c=1"}
	want := "GET /x HTTP/1.1\r\nHost: demo.test\r\nUser-Agent: A\r\nAccept: text/html\r\nCookie: c=1\r\n\r\n"
	if got := string(q.head(plain.Page)); got != want {
		t.Errorf("%q", got)
	}
	q = request{method: "POST", path: "/x", host: "h", form: "a=b"}
	if got := string(q.head(plain.Form)); !strings.HasSuffix(got, "Content-Length: 3\r\n\r\na=b") {
		t.Errorf("%q", got)
	}
}

func TestPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(config("127.0.0.1:1", 1))
		if err != nil {
			t.Fatal(err)
		}
		c.Phase("quiet")
		time.Sleep(time.Second)
		meant := time.Now()
		time.Sleep(time.Second)
		c.Phase("during")
		time.Sleep(time.Second)
		// Answered in the second phase, but meant in the first.
		c.m.note("regular", meant, "")
		c.m.note("regular", time.Now(), wrongCut)
		q, d := c.Felt("quiet", "regular"), c.Felt("during", "regular")
		if q.Served != 1 || q.P99 != 2*time.Second || q.Span != 2*time.Second {
			t.Errorf("quiet: %+v", q)
		}
		if d.Meant != 1 || d.Served != 0 || d.Wrong[wrongCut] != 1 || d.Share() != 0 {
			t.Errorf("during: %+v", d)
		}
		c.m.begin("regular", time.Now())
		if d := c.Felt("during", "regular"); d.Meant != 1 {
			t.Errorf("a request of this moment is counted: %+v", d)
		}
		if n := c.Now(); n.Meant != 2 {
			t.Errorf("now: %+v", n)
		}
		time.Sleep(10 * time.Second)
		if n := c.Now(); n.Meant != 0 || n.Share() != 1 {
			t.Errorf("later: %+v", n)
		}
		if d := c.Felt("during", "regular"); d.Meant != 2 || d.Wrong[wrongOpen] != 1 {
			t.Errorf("a request still on its way is left out: %+v", d)
		}
	})
}

func TestQuantile(t *testing.T) {
	var times []time.Duration
	for i := range 100 {
		times = append(times, time.Duration(i+1))
	}
	if a, b, c := quantile(times, 0.5), quantile(times, 0.99), quantile(nil, 0.5); a != 50 || b != 99 || c != 0 {
		t.Errorf("%d %d %d", a, b, c)
	}
}

func TestConfig(t *testing.T) {
	cfg := config("192.0.2.1:80", 1)
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("visitors to elsewhere: %v", err)
	}
	if l := (Config{}).Validate(); len(l) < 5 {
		t.Errorf("%v", l)
	}
	c, err := New(config("127.0.0.1:1", 2))
	if err != nil {
		t.Fatal(err)
	}
	if c.Add(3, 0, "regular") == nil {
		t.Error("more visitors than addresses")
	}
}
