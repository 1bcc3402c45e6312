package listen

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// A head that comes again and again is decided on, and told of, every time; it is
// identified and worded anew only when something is another.
func TestAgain(t *testing.T) {
	var identified, decided, worded atomic.Int64
	var verdict atomic.Pointer[mitigation.Verdict]
	refuse := func(id mitigation.ID, after time.Duration) {
		verdict.Store(&mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, ID: id, RetryAfter: after})
	}
	refuse(1, time.Minute)
	door := testDoor{
		identify: func(v *traffic.Visit) { identified.Add(1); v.Kind = traffic.KindFeed },
		decide: func(v *traffic.Visit) mitigation.Verdict {
			decided.Add(1)
			if v.Standing != traffic.StandingNew || v.Kind != traffic.KindFeed || v.At == 0 {
				t.Errorf("the door meets %+v", *v)
			}
			v.Standing = traffic.StandingShy // as doors do
			if v.Path == "/in" {
				return mitigation.Verdict{}
			}
			return *verdict.Load()
		},
		answer: func(buf []byte, v *traffic.Visit) mitigation.Answer {
			n := worded.Add(1)
			return mitigation.Answer{Status: 503, ContentType: "text/plain", Body: fmt.Appendf(buf, "%s %d", v.Path, n)}
		},
	}
	h := start(t, testConfig(), door, hello)
	// Time stands still, but for what the test changes.
	frozen := h.date.Load()
	eventually(t, "a new second", func() bool { return h.date.Load() != frozen })
	frozen = h.date.Load()
	stamp := func() { h.date.Store(frozen) }
	c := h.dial(t)
	br := bufio.NewReader(c)
	ask := func(raw string) string {
		t.Helper()
		if _, err := io.WriteString(c, raw); err != nil {
			t.Fatal(err)
		}
		_, body := answer(t, br, strings.Fields(raw)[0])
		return body
	}
	const a = "GET /a HTTP/1.1\r\nHost: s\r\n\r\n"
	const post = "POST /a HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\n\r\nx"
	const cleared = "GET /a HTTP/1.1\r\nHost: s\r\nCookie: c\r\n\r\n"
	steps := []struct {
		name                 string
		do                   func()
		raw                  string
		identifies, rewrites bool
	}{
		{"the first", nil, a, true, true},
		{"the second, kept from now on", nil, a, true, true},
		{"the first that is known", nil, a, false, true},
		{"again", nil, a, false, false},
		{"and again", nil, a, false, false},
		{"a moment later", func() { refuse(1, time.Minute-time.Millisecond) }, a, false, false},
		{"a second later", func() { refuse(1, 59*time.Second) }, a, false, true},
		{"by another mitigation", func() { refuse(2, 59*time.Second) }, a, false, true},
		{"again by that", nil, a, false, false},
		{"another path", nil, "GET /b HTTP/1.1\r\nHost: s\r\n\r\n", true, true},
		{"the former", nil, a, true, true},
		{"again", nil, a, false, true},
		{"a field more", nil, "GET /a HTTP/1.1\r\nHost: s\r\nX: y\r\n\r\n", true, true},
		{"with a body", nil, post, true, true},
		{"with that body again", nil, post, true, true},
		{"and again", nil, post, true, true},
		{"HEAD", nil, "HEAD /a HTTP/1.1\r\nHost: s\r\n\r\n", true, true},
		{"HEAD again", nil, "HEAD /a HTTP/1.1\r\nHost: s\r\n\r\n", false, true},
		{"HEAD and again", nil, "HEAD /a HTTP/1.1\r\nHost: s\r\n\r\n", false, false},
		{"the former again", nil, a, true, true},
		{"and again", nil, a, false, true},
		{"what the door knows has changed", func() { h.Changed(); frozen = h.date.Load() }, a, true, true},
		{"again", nil, a, false, true},
		{"another clearance", nil, cleared, true, true},
		{"that clearance again", nil, cleared, true, true},
		{"let in", nil, "GET /in HTTP/1.1\r\nHost: s\r\n\r\n", true, false},
		{"let in again", nil, "GET /in HTTP/1.1\r\nHost: s\r\n\r\n", true, false},
		{"refused after that", nil, a, true, true},
		{"and again", nil, a, true, true},
	}
	last := ""
	for i, s := range steps {
		if s.do != nil {
			s.do()
		}
		stamp()
		id, words := identified.Load(), worded.Load()
		body := ask(s.raw)
		if got := identified.Load() - id; got == 1 != s.identifies {
			t.Errorf("%s: identified %d times", s.name, got)
		}
		if got := worded.Load() - words; got == 1 != s.rewrites {
			t.Errorf("%s: worded %d times", s.name, got)
		}
		if !s.rewrites && strings.HasPrefix(s.raw, "GET /a") && body != last {
			t.Errorf("%s: %q after %q", s.name, body, last)
		}
		last = body
		if decided.Load() != int64(i+1) {
			t.Errorf("%s: decided %d times, not %d", s.name, decided.Load(), i+1)
		}
	}
	c.Close()
	list := h.watch.wait(t, len(steps))
	for i, s := range list {
		want := int64(len("/a 1"))
		if s.visit.Method == http.MethodHead {
			want = 0
		}
		if s.verdict.LetsIn() == (s.visit.Path != "/in") || s.outcome.Status != 503 && s.visit.Path != "/in" || s.visit.Path == "/a" && (s.outcome.BytesOut < want || want == 0 && s.outcome.BytesOut != 0) {
			t.Errorf("%s was recorded as %+v, %+v, %+v", steps[i].name, s.visit, s.verdict, s.outcome)
		}
	}
}

// However many connections repeat themselves, only so many heads are kept, and none
// when they have gone.
func TestAgainIsBounded(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConns = 200
	h := start(t, cfg, testDoor{}, hello)
	const n = leastAgain + 40
	for range n {
		_, br := h.send(t, strings.Repeat("GET /refuse HTTP/1.1\r\nHost: s\r\n\r\n", 2))
		answer(t, br, "GET")
		answer(t, br, "GET")
	}
	h.Changed()
	if got := h.again.Load(); got < 1 || got > leastAgain {
		t.Errorf("%d heads are kept", got)
	}
	h.Close()
	if got := h.again.Load(); got != 0 {
		t.Errorf("%d heads are kept of connections that have gone", got)
	}
}
