package listen

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// The door judges the normal form of a path, and the rooms get the one that was sent.
func TestPathIsJudgedNormal(t *testing.T) {
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.RequestURI+" "+r.URL.Path)
	})
	for i, c := range []struct {
		target, path, query, uri, clear string
		respelt                         bool
	}{
		{"/news?a=//", "/news", "a=//", "/news?a=//", "/news", false},
		{"/x/..//%6eews?a=/../%70?", "/news", "a=/../%70?", "/x/..//%6eews?a=/../%70?", "/x/..//news", true},
		{"//news", "/news", "", "//news", "//news", true},
		{"/a%2fb", "/a%2Fb", "", "/a%2fb", "/a/b", false},
		{"/%7euser/%d0%bf", "/~user/%D0%BF", "", "/%7euser/%d0%bf", "/~user/п", false},
		{"http://a//news", "/news", "", "http://a//news", "//news", true},
		{"http://a", "/", "", "http://a", "", false},
		{"/..", "/", "", "/..", "/..", true},
	} {
		_, body := fetch(t, h.dial(t), fmt.Sprintf("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", c.target))
		if want := c.uri + " " + c.clear; body != want {
			t.Errorf("%s: a room got %q, want %q", c.target, body, want)
		}
		v := h.watch.wait(t, i+1)[i].visit
		if v.Path != c.path || v.RawQuery != c.query || v.Respelt != c.respelt {
			t.Errorf("%s: judged as %q, %q, respelt %v", c.target, v.Path, v.RawQuery, v.Respelt)
		}
	}
}

// A path that is not normal is told so in the same piece of memory as the head's text.
func TestPathAllocates(t *testing.T) {
	s := New(testConfig(), testDoor{}, noWatcher{}, nil, clock.New(), slog.New(slog.DiscardHandler))
	for target, want := range map[string]string{"/news": "/news", "//%6eews/": "/news/"} {
		raw := []byte("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")
		c := &conn{s: s}
		x := s.newExchange(c)
		if done, f := x.head.scan(raw); !done || f != faultNone {
			t.Fatal(f)
		}
		x.fill(raw)
		if n := testing.AllocsPerRun(1000, func() { x.fill(raw) }); n > 1 {
			t.Errorf("%s: %v allocations", target, n)
		}
		if x.visit.Path != want || x.text != string(raw) {
			t.Errorf("%s: %q of %q", target, x.visit.Path, x.text)
		}
	}
}

func BenchmarkFill(b *testing.B) {
	s := New(testConfig(), testDoor{}, noWatcher{}, nil, clock.New(), slog.New(slog.DiscardHandler))
	for _, target := range []string{"/news/2019/11/12", "//%6eews/2019/x/../11/12"} {
		b.Run(target, func(b *testing.B) {
			raw := []byte("GET " + target + benchHead)
			x := s.newExchange(&conn{s: s})
			if done, f := x.head.scan(raw); !done || f != faultNone {
				b.Fatal(f)
			}
			b.ReportAllocs()
			var v traffic.Visit
			for b.Loop() {
				x.fill(raw)
				v = x.visit
			}
			_ = v
		})
	}
}
