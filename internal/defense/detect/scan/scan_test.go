package scan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

type ask struct {
	path   string
	status int
	kind   traffic.Kind
	client byte
	agent  string
}

func window(sec int, asks ...ask) *traffic.Window {
	w := &traffic.Window{At: clock.Instant(time.Hour).Add(time.Duration(sec) * time.Second), Span: time.Second, Offered: uint64(len(asks))}
	for _, a := range asks {
		w.Samples = append(w.Samples, traffic.Sample{
			Visit:   traffic.Visit{Method: "GET", Path: a.path, Kind: a.kind, UserAgent: a.agent, Client: netip.AddrFrom4([4]byte{192, 0, 2, a.client})},
			Outcome: traffic.Outcome{Status: a.status, Reached: true},
		})
	}
	return w
}

// Most of a minute of a client, one request each.
func TestWhatIsScanning(t *testing.T) {
	googlebot := "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	well := []string{"/.env", "/.git/config", "/wp-login.php", "/phpmyadmin/index.php", "/cgi-bin/test"}
	for _, c := range []struct {
		name string
		each func(i int) ask
		want string // in What; "" for nothing found
	}{
		{"pages that are not there", func(i int) ask { return ask{path: fmt.Sprintf("/x%d.php", i), status: 404} }, "one client: /x0.php, /x1.php, /x2.php and"},
		{"one page that is not there, again and again", func(int) ask { return ask{path: "/gone", status: 404} }, ""},
		{"names that scanners look for", func(i int) ask {
			if i < len(well) {
				return ask{path: well[i], status: 404}
			}
			return ask{path: "/", status: 200}
		}, "/.env"},
		{"such names, forbidden", func(i int) ask { return ask{path: well[i%len(well)], status: 403} }, "/.env"},
		{"such names, and they are there", func(i int) ask { return ask{path: well[i%len(well)], status: 200} }, ""},
		{"a broken deploy", func(i int) ask {
			return ask{path: fmt.Sprintf("/static/%d.jpg", i), status: 404, kind: traffic.KindAsset}
		}, ""},
		{"broken links among what is read", func(i int) ask { return ask{path: fmt.Sprint("/", i), status: 200 + 204*(i%2)} }, ""},
		{"a crawler on old links", func(i int) ask { return ask{path: fmt.Sprint("/old/", i), status: 404, agent: googlebot} }, ""},
		{"who calls itself a crawler", func(i int) ask { return ask{path: well[i%len(well)], status: 404, agent: googlebot} }, "/.env"},
		{"many clients, each a broken link", func(i int) ask { return ask{path: fmt.Sprint("/old/", i), status: 404, client: byte(i)} }, ""},
		{"an origin that is down", func(i int) ask { return ask{path: fmt.Sprint("/news/", i), status: 502} }, ""},
	} {
		d := New(DefaultConfig())
		var what string
		for i := range 55 {
			for _, f := range d.Detect(window(i, c.each(i)), nil) {
				what = f.What
			}
		}
		if (what != "") != (c.want != "") || !strings.Contains(what, c.want) {
			t.Errorf("%s: %q, want %q", c.name, what, c.want)
		}
	}
}

func TestSeveralScanners(t *testing.T) {
	d := New(DefaultConfig())
	var what string
	for i := range 30 {
		for _, f := range d.Detect(window(i, ask{path: fmt.Sprint("/a", i), status: 404, client: 1}, ask{path: fmt.Sprint("/b", i), status: 404, client: 2}), &traffic.Normal{}) {
			what = f.What
		}
	}
	if !strings.Contains(what, "2 clients") {
		t.Errorf("%q", what)
	}
}

// A path is a stranger's words: it is cut, and stays text.
func TestPathsAreCut(t *testing.T) {
	d := New(DefaultConfig())
	var what string
	for i := range 25 {
		for _, f := range d.Detect(window(i, ask{path: fmt.Sprintf("/%d%s\xff", i, strings.Repeat("ä", 200)), status: 404}), nil) {
			what = f.What
		}
	}
	if len(what) == 0 || len(what) > 400 || strings.ToValidUTF8(what, "") != what {
		t.Errorf("%d bytes: %q", len(what), what)
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Error(l)
	}
	if l := (Config{}).Validate(); len(l) != 3 {
		t.Errorf("an empty configuration has %d problems: %v", len(l), l)
	}
}

// Who takes the place of a scanner in the table begins with nothing of his.
func TestPlaceOfAScanner(t *testing.T) {
	d := New(DefaultConfig())
	d.Detect(window(0), nil)
	for i := range 8 * most {
		l, _ := d.by.Count(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32), 1)
		*l = looked{pages: 99, gone: 99, probes: 1<<10 - 1, some: [shown]string{"/his", "/his", "/his"}}
		for k := range l.paths {
			l.paths[k] = 1<<63 - 1
		}
	}
	d.Detect(window(1, ask{path: "/mine", status: 404, client: 7}, ask{path: "/there", status: 200, client: 8}), nil)
	for client, want := range map[byte]looked{7: {pages: 1, gone: 1}, 8: {pages: 1}} {
		l, known := d.by.Count(netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, client}), 32), 0)
		if !known || l.pages != want.pages || l.gone != want.gone || l.probes != 0 {
			t.Errorf("client %d: known %v, %d pages, %d gone, probes %b", client, known, l.pages, l.gone, l.probes)
		}
		if l.gone > 0 && (l.some != [shown]string{"/mine"} || l.paths.Count() > 1.5) {
			t.Errorf("client %d: %q, %.0f paths", client, l.some, l.paths.Count())
		}
	}
}
