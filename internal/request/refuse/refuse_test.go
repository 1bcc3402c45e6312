package refuse

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/sealed"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

func testRefuse(t testing.TB, cfg Config) *Refuse {
	t.Helper()
	r, err := New(cfg, sealed.New([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func visit(k traffic.Kind) *traffic.Visit {
	return &traffic.Visit{Client: netip.MustParseAddr("192.0.2.7"), Kind: k, Method: "GET", Path: "/"}
}

const (
	browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	html    = "text/html; charset=utf-8"
	jsonDoc = "application/problem+json"
	plain   = "text/plain; charset=utf-8"
)

func TestFormats(t *testing.T) {
	r := testRefuse(t, Config{})
	for _, c := range []struct {
		kind   traffic.Kind
		accept string
		want   string
	}{
		{traffic.KindPage, browser, html},
		{traffic.KindPage, "", html},
		{traffic.KindPage, "*/*", html},
		{traffic.KindPage, "application/json", jsonDoc},
		{traffic.KindPage, "image/png", plain},
		{traffic.KindAsset, "image/avif,image/webp,*/*;q=0.8", plain},
		{traffic.KindAsset, browser, html},
		{traffic.KindFeed, "application/rss+xml", plain},
		{traffic.KindFeed, browser, plain}, // never HTML
		{traffic.KindAPI, "application/json", jsonDoc},
		{traffic.KindAPI, browser, jsonDoc}, // never HTML
		{traffic.KindAPI, "", jsonDoc},
		{traffic.KindPage, strings.Repeat("x", 4000) + "text/html", plain},
	} {
		h := http.Header{}
		if c.accept != "" {
			h.Set("Accept", c.accept)
		}
		for why := range mitigation.Reason(mitigation.Reasons) {
			for act := range mitigation.Actions {
				if act == mitigation.Challenge {
					continue // refuses nobody
				}
				a := r.Refuse(nil, visit(c.kind), mitigation.Verdict{Action: act, Reason: why, RetryAfter: time.Second}, h)
				if a.ContentType != c.want || strings.Contains(string(a.Body), "<html") != (c.want == html) {
					t.Errorf("%s, Accept %.40q, %s for %s: %s", c.kind, c.accept, act, why, a.ContentType)
				}
			}
		}
	}
	if a := r.Refuse(nil, visit(traffic.KindPage), mitigation.Verdict{Action: mitigation.Refuse}, nil); a.ContentType != html {
		t.Errorf("no headers: %s", a.ContentType)
	}
}

func TestStatus(t *testing.T) {
	r := testRefuse(t, Config{})
	for _, c := range []struct {
		act    mitigation.Action
		why    mitigation.Reason
		retry  time.Duration
		status int
		after  int
	}{
		{mitigation.Refuse, mitigation.ReasonBan, 0, 403, 0},
		{mitigation.Refuse, mitigation.ReasonBan, time.Hour, 403, 3600},
		{mitigation.Refuse, mitigation.ReasonClientBudget, 50 * time.Millisecond, 429, 1},
		{mitigation.Refuse, mitigation.ReasonNeighbours, 1001 * time.Millisecond, 429, 2},
		{mitigation.Refuse, mitigation.ReasonMitigation, 30 * time.Second, 503, 30},
		{mitigation.Refuse, mitigation.ReasonMitigation, 0, 403, 0},
		{mitigation.Refuse, mitigation.ReasonOriginFull, 0, 503, 10},
		{mitigation.Refuse, mitigation.ReasonOriginFull, 3 * time.Second, 503, 3},
		{mitigation.Queue, mitigation.ReasonMitigation, 0, 503, 10},
		{mitigation.Challenge, mitigation.ReasonMitigation, 0, 307, 0},
		{mitigation.Drop, mitigation.ReasonBan, 0, 403, 0},
		{mitigation.Refuse, 200, 0, 403, 0},
	} {
		a := r.Refuse(nil, visit(traffic.KindAPI), mitigation.Verdict{Action: c.act, Reason: c.why, RetryAfter: c.retry}, nil)
		if a.Again != (c.act == mitigation.Challenge) || a.Again != (a.Ref == "") || len(a.Body) == 0 {
			t.Errorf("%s: again %v, reference %q, %q", c.act, a.Again, a.Ref, a.Body)
		}
		if a.Status != c.status || a.RetryAfter != c.after || a.Close != (c.act == mitigation.Drop) {
			t.Errorf("%s for %s after %v: %d, Retry-After %d, want %d, %d", c.act, c.why, c.retry, a.Status, a.RetryAfter, c.status, c.after)
		}
	}
}

func TestProblemDocument(t *testing.T) {
	r := testRefuse(t, Config{Contact: "help@example.org"})
	a := r.Refuse(nil, visit(traffic.KindAPI), mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonClientBudget, RetryAfter: 7 * time.Second}, nil)
	var doc struct {
		Type, Title, Detail, Reason, Ref, Contact string
		Status                                    int
		RetryAfter                                int `json:"retry_after"`
	}
	if err := json.Unmarshal(a.Body, &doc); err != nil {
		t.Fatalf("%v in %s", err, a.Body)
	}
	if doc.Type != "about:blank" || doc.Title != "Too Many Requests" || doc.Status != 429 || doc.RetryAfter != 7 ||
		doc.Ref != a.Ref || doc.Reason != "client-budget" || doc.Contact != "help@example.org" || doc.Detail == "" {
		t.Errorf("%s", a.Body)
	}
	for why := range mitigation.Reason(mitigation.Reasons) {
		for _, retry := range []time.Duration{0, time.Second} {
			a := r.Refuse(nil, visit(traffic.KindAPI), mitigation.Verdict{Action: mitigation.Refuse, Reason: why, RetryAfter: retry}, nil)
			if err := json.Unmarshal(a.Body, &doc); err != nil || doc.Status != a.Status {
				t.Errorf("%s: status %d in the body, %d outside, %v", why, doc.Status, a.Status, err)
			}
		}
	}
}

func TestPage(t *testing.T) {
	r := testRefuse(t, Config{Site: "Vote <b>Green</b>", Contact: "help@example.org"})
	h := http.Header{"Accept": {browser}}
	text := func(v *traffic.Visit, d mitigation.Verdict) string { return string(r.Refuse(nil, v, d, h).Body) }
	budget := mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonClientBudget, RetryAfter: 2 * time.Second}

	got := text(visit(traffic.KindPage), budget)
	for _, want := range []string{
		`<html lang="en">`, `http-equiv="refresh" content="5"`, "try again in 5 seconds",
		"not about you personally", "hijacked", `href="mailto:help@example.org"`, "Vote &lt;b&gt;Green&lt;/b&gt;",
		"prefers-color-scheme:dark", "Reference: ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	post := visit(traffic.KindPage)
	post.Method = "POST"
	if got := text(post, budget); strings.Contains(got, "refresh") || !strings.Contains(got, "try again in 2 seconds") {
		t.Error("a form is sent again by itself")
	}
	if got := text(visit(traffic.KindPage), mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonBan, RetryAfter: 20 * time.Minute}); strings.Contains(got, "refresh") || !strings.Contains(got, "20 minutes") {
		t.Errorf("a ban: %s", got)
	}

	for why := range mitigation.Reason(mitigation.Reasons) {
		for _, retry := range []time.Duration{0, time.Second, time.Hour} {
			for k := range traffic.Kinds {
				a := r.Refuse(make([]byte, 0, MaxBody), visit(k), mitigation.Verdict{Action: mitigation.Refuse, Reason: why, RetryAfter: retry}, h)
				got := string(a.Body)
				if !strings.Contains(got, a.Ref) || strings.Contains(got, "SEAWALLx") || strings.Contains(got, "%wait%") || len(got) > MaxBody {
					t.Errorf("%s, %s: %d bytes\n%s", why, k, len(got), got)
				}
				for _, no := range []string{"<script", "src=", "url(", "@import", "http://", "https://"} {
					if strings.Contains(got, no) {
						t.Errorf("%s, %s: has %s", why, k, no)
					}
				}
			}
		}
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[int]string{1: "1 second", 2: "2 seconds", 120: "120 seconds", 121: "3 minutes", 7200: "120 minutes", 7201: "3 hours"} {
		if got := string(appendWait(nil, n)); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestBodyLiesInTheBuffer(t *testing.T) {
	r := testRefuse(t, Config{})
	buf := make([]byte, 3, MaxBody)
	a := r.Refuse(buf, visit(traffic.KindPage), mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonBan}, nil)
	if &a.Body[0] != &buf[0] {
		t.Error("the body lies elsewhere")
	}
	v, h := visit(traffic.KindPage), http.Header{"Accept": {browser}}
	n := testing.AllocsPerRun(200, func() {
		r.Refuse(buf, v, mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, RetryAfter: time.Second}, h)
	})
	if n > 0 {
		t.Errorf("%v allocations for who is refused again", n)
	}
}

func TestRefs(t *testing.T) {
	box := sealed.New([32]byte{2})
	p := netip.MustParsePrefix("192.0.2.7/32")
	want := Ref{ID: 4_000_000_001, Reason: mitigation.ReasonNeighbours, At: time.Date(2026, 5, 4, 3, 2, 0, 0, time.UTC), Prefix: PrefixHash(box, p)}
	code := Encode(box, want)
	if got, err := DecodeRef(box, strings.ToLower(code)); err != nil || got != want {
		t.Errorf("%s reads as %+v", code, got)
	}
	if _, err := DecodeRef(sealed.New([32]byte{3}), code); !errors.Is(err, ErrNoRef) {
		t.Error("another key opens it")
	}
	if a, b := PrefixHash(box, p), PrefixHash(box, netip.MustParsePrefix("192.0.2.8/32")); a == b {
		t.Error("two prefixes, one hash")
	}

	r := testRefuse(t, Config{})
	v := visit(traffic.KindPage)
	a := r.Refuse(nil, v, mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, ID: 12}, nil)
	got, err := DecodeRef(r.box, a.Ref)
	if err != nil || got.ID != 12 || got.Reason != mitigation.ReasonMitigation || got.Prefix != PrefixHash(r.box, netip.PrefixFrom(v.Client, 32)) || time.Since(got.At) > 2*time.Minute {
		t.Errorf("%+v %v", got, err)
	}
}

func FuzzDecodeRef(f *testing.F) {
	box := sealed.New([32]byte{2})
	f.Add(Encode(box, Ref{ID: 1, Reason: mitigation.ReasonBan, At: time.Unix(epoch+3600, 0)}))
	f.Add("")
	f.Add("0000-00000-00000-00000-000000")
	f.Fuzz(func(t *testing.T, code string) {
		r, err := DecodeRef(box, code)
		if err != nil {
			return
		}
		if int(r.Reason) >= int(mitigation.Reasons) {
			t.Errorf("%q has a reason that is none", code)
		}
		again, err := DecodeRef(box, Encode(box, r))
		if err != nil || again != r {
			t.Errorf("%q reads as %+v, written again as %+v", code, r, again)
		}
	})
}

func TestWrite(t *testing.T) {
	r := testRefuse(t, Config{})
	a := r.Refuse(nil, visit(traffic.KindFeed), mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonOriginFull, RetryAfter: 4 * time.Second}, nil)
	a.Cookie, a.Close = "a=b", true
	for _, head := range []bool{false, true} {
		w := httptest.NewRecorder()
		Write(w, head, a)
		h := w.Result().Header
		if w.Code != 503 || h.Get("Retry-After") != "4" || h.Get("Seawall-Ref") != a.Ref || h.Get("Set-Cookie") != "a=b" ||
			h.Get("Connection") != "close" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Length") != fmt.Sprint(len(a.Body)) {
			t.Errorf("%d %v", w.Code, h)
		}
		if want := string(a.Body); (w.Body.String() == want) == head {
			t.Errorf("head %v: body %q", head, w.Body)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, bad := range []Config{
		{Site: strings.Repeat("x", 101)}, {Contact: strings.Repeat("x", 301)},
		{Contact: "ftp://example.org/"}, {Site: "two\nlines"}, {Contact: "\xff"},
	} {
		if len(bad.Validate()) == 0 {
			t.Errorf("%.40v passes", bad)
		}
		if _, err := New(bad, sealed.New([32]byte{1})); err == nil {
			t.Errorf("New takes %.40v", bad)
		}
	}
	for contact, link := range map[string]string{
		"help@example.org": "mailto:help@example.org", "https://status.example.org/": "https://status.example.org/",
		"+44 20 7946 0000": "", "javascript:alert(1)@x": "", "": "",
	} {
		c := Config{Contact: contact}
		if len(c.Validate()) != 0 || c.link() != link {
			t.Errorf("%q: %v, leads to %q", contact, c.Validate(), c.link())
		}
	}
}

func BenchmarkRefuse(b *testing.B) {
	r := testRefuse(b, Config{Contact: "help@example.org"})
	buf := make([]byte, 0, MaxBody)
	h := http.Header{"Accept": {browser}}
	for k := range traffic.Kinds {
		b.Run(k.String(), func(b *testing.B) {
			b.ReportAllocs()
			v := visit(k)
			d := mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, ID: 7, RetryAfter: 30 * time.Second}
			n := 0
			for b.Loop() {
				n = len(r.Refuse(buf, v, d, h).Body)
			}
			b.ReportMetric(float64(n), "body-bytes")
		})
	}
}

// The wall clock is read again when a second has gone by, or a visit of before comes.
func TestWallIsFollowed(t *testing.T) {
	r := testRefuse(t, Config{})
	synctest.Test(t, func(t *testing.T) {
		began, at := time.Now().Unix(), clock.Instant(time.Hour)
		for _, c := range []struct{ pass, later, late time.Duration }{
			{0, 0, 0}, {999 * time.Millisecond, 999 * time.Millisecond, 0}, {time.Millisecond, time.Second, time.Second},
			{time.Minute, 61 * time.Second, 61 * time.Second}, {time.Second, 0, 62 * time.Second},
		} {
			time.Sleep(c.pass)
			if got := r.wall(at.Add(c.later)); got != began+int64(c.late/time.Second) {
				t.Errorf("at %v: %d s after the beginning", c.later, got-began)
			}
		}
	})
}

// A code that was kept is given to nobody whom it does not tell of.
func TestCodesAreNotMistaken(t *testing.T) {
	r := testRefuse(t, Config{})
	v := visit(traffic.KindPage)
	for i := range 4 * places {
		a := netip.AddrFrom4([4]byte{198, 18, byte(i / 16 >> 8), byte(i / 16)})
		if i%2 == 1 {
			a = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 0, byte(i / 16 >> 8), byte(i / 16), 0, 15: byte(i)})
		}
		v.Client, v.At = a, clock.Instant(i/8%2)*clock.Instant(2*time.Second)
		d := mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, ID: mitigation.ID(i / 2 % 2)}
		if i/4%2 == 1 {
			d.Reason = mitigation.ReasonNeighbours
		}
		for range 2 {
			got, err := DecodeRef(r.box, r.Refuse(nil, v, d, nil).Ref)
			hash := PrefixHash(r.box, traffic.PrefixOf(a, traffic.LevelClient))
			if err != nil || got.ID != d.ID || got.Reason != d.Reason || got.Prefix != hash || time.Since(got.At) > 2*time.Minute {
				t.Fatalf("%v refused with %+v: %+v %v", a, d, got, err)
			}
		}
	}
}

// The minute goes by in a code.
func TestCodesFollowTime(t *testing.T) {
	r := testRefuse(t, Config{})
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))) // codes begin in 2025
		v := visit(traffic.KindPage)
		for range 3 {
			v.At = v.At.Add(time.Minute)
			got, err := DecodeRef(r.box, r.Refuse(nil, v, mitigation.Verdict{Action: mitigation.Refuse}, nil).Ref)
			if want := time.Now().UTC().Truncate(time.Minute); err != nil || !got.At.Equal(want) {
				t.Errorf("at %v: %v %v", want, got.At, err)
			}
			time.Sleep(time.Minute)
		}
	})
}

func BenchmarkCodes(b *testing.B) {
	r, v, h := testRefuse(b, Config{}), visit(traffic.KindPage), http.Header{"Accept": {browser}}
	buf := make([]byte, 0, MaxBody)
	d := mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, RetryAfter: time.Second}
	for _, of := range []string{"again", "many"} {
		b.Run(of, func(b *testing.B) {
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i++ {
				if of == "many" {
					v.Client = netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
				}
				r.Refuse(buf, v, d, h)
			}
		})
	}
}
