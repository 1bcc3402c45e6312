package httpflood

import (
	"fmt"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// What a flood is called, by what it asks for.
func TestWhatOf(t *testing.T) {
	for _, c := range []struct {
		name, method, path string // path "" for another each time
		query              func(i int) string
		kind               traffic.Kind
		status             int
		clients            uint64
		want               string
	}{
		{"one page", "GET", "/donate", nil, traffic.KindPage, 200, 2000, "one page, /donate"},
		{"few clients", "GET", "/", nil, traffic.KindPage, 200, 12, "one page, /, from few clients"},
		{"new queries", "GET", "/", func(i int) string { return fmt.Sprint(i) }, traffic.KindPage, 200, 2000, "/ with ever new queries, which no cache has"},
		{"the same queries", "GET", "/search", func(i int) string { return fmt.Sprint("q=", i%5) }, traffic.KindPage, 200, 2000, "one page, /search"},
		{"passwords", "POST", "/wp-login.php", nil, traffic.KindPage, 200, 2000, "passwords tried at /wp-login.php"},
		{"forms", "POST", "/comment", nil, traffic.KindPage, 200, 2000, "forms sent to /comment"},
		{"another method", "OPTIONS", "/", nil, traffic.KindAPI, 200, 2000, "OPTIONS requests"},
		{"nothing there", "GET", "", nil, traffic.KindPage, 404, 2000, "pages that do not exist"},
		{"many pages", "GET", "", nil, traffic.KindPage, 200, 2000, "many pages"},
		{"assets", "GET", "", nil, traffic.KindAsset, 200, 2000, "what pages are made of, without the pages"},
		{"a long path", "GET", "/" + fmt.Sprintf("%0200d", 1), nil, traffic.KindPage, 200, 2000, "one page, /" + fmt.Sprintf("%059d", 0)},
	} {
		const n = 1000
		w := &traffic.Window{At: clock.Instant(time.Hour), Span: time.Second, Offered: n, Clients: c.clients}
		w.ByKind[c.kind] = n
		w.Top[traffic.FieldMethod] = []traffic.Heavy{{Key: c.method, Count: n}}
		if c.path != "" {
			w.Top[traffic.FieldPath] = []traffic.Heavy{{Key: c.path, Count: n}}
		}
		for i := range n / 2 {
			s := traffic.Sample{Visit: traffic.Visit{Method: c.method, Path: c.path, Kind: c.kind}}
			if c.path == "" {
				s.Visit.Path = fmt.Sprint("/", i)
			}
			if c.query != nil {
				s.Visit.RawQuery = c.query(i)
			}
			s.Outcome.Status = c.status
			w.Samples = append(w.Samples, s)
		}
		if got := whatOf(w, &traffic.Normal{Requests: 20}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := whatOf(&traffic.Window{Span: time.Second}, &traffic.Normal{}); got != "" {
		t.Errorf("nothing is called %q", got)
	}
}
