package scrape

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
	kind   traffic.Kind
	client byte
	agent  string
	status int // 0: 200
}

func window(sec int, asks ...ask) *traffic.Window {
	w := &traffic.Window{At: clock.Instant(time.Hour).Add(time.Duration(sec) * time.Second), Span: time.Second, Offered: uint64(len(asks))}
	for _, a := range asks {
		w.Samples = append(w.Samples, traffic.Sample{
			Visit:   traffic.Visit{Method: "GET", Path: a.path, Kind: a.kind, UserAgent: a.agent, Client: netip.AddrFrom4([4]byte{192, 0, 2, a.client})},
			Outcome: traffic.Outcome{Status: max(a.status, 200)},
		})
	}
	return w
}

// Half a minute, of so many requests a second.
func TestWhatIsScraping(t *testing.T) {
	page := func(i int) ask { return ask{path: fmt.Sprint("/archive/", i)} }
	for _, c := range []struct {
		name string
		rate int
		each func(i int) ask
		want string // in What; "" for nothing found
	}{
		{"page after page", 4, page, "read by one client,"},
		{"one a second", 1, page, ""},
		{"the same pages", 10, func(i int) ask { return ask{path: fmt.Sprint("/news/", i%24)} }, ""},
		{"with what belongs to them", 8, func(i int) ask {
			if i%2 == 0 {
				return page(i)
			}
			return ask{path: fmt.Sprint("/img/", i), kind: traffic.KindAsset}
		}, ""},
		{"what is not there", 4, func(i int) ask { a := page(i); a.status = 404; return a }, ""},
		{"feeds", 4, func(i int) ask { return ask{path: fmt.Sprint("/feed/", i), kind: traffic.KindFeed} }, ""},
		{"many readers", 4, func(i int) ask { a := page(i); a.client = byte(i); return a }, ""},
		{"a network of clients", 12, func(i int) ask { a := page(i); a.client = byte(i % 12); return a }, "the clients of one network"},
		{"a crawler", 4, func(i int) ask { a := page(i); a.agent = "msnbot/2.0b (+http://search.msn.com/msnbot.htm)"; return a }, "which calls itself msnbot"},
	} {
		d := New(DefaultConfig())
		var what string
		for sec := range 30 {
			var asks []ask
			for k := range c.rate {
				asks = append(asks, c.each(sec*c.rate+k))
			}
			for _, f := range d.Detect(window(sec, asks...), nil) {
				what = f.What
			}
		}
		if (what != "") != (c.want != "") || !strings.Contains(what, c.want) {
			t.Errorf("%s: %q, want %q", c.name, what, c.want)
		}
	}
}

// Who opens a hundred links at once reads none of them steadily.
func TestAllAtOnce(t *testing.T) {
	d := New(DefaultConfig())
	var asks []ask
	for i := range 100 {
		asks = append(asks, ask{path: fmt.Sprint("/archive/", i)})
	}
	for sec := range 30 {
		if fs := d.Detect(window(sec, asks...), nil); len(fs) > 0 {
			t.Fatalf("%+v", fs)
		}
		asks = nil
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Error(l)
	}
	if l := (Config{}).Validate(); len(l) != 2 {
		t.Errorf("an empty configuration has %d problems: %v", len(l), l)
	}
}

// Who takes the place of a scraper in the table begins with nothing of his.
func TestPlaceOfAScraper(t *testing.T) {
	d := New(DefaultConfig())
	d.Detect(window(0), nil)
	for i := range 8 * most {
		r, _ := d.by.Count(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32), 1)
		*r = read{pages: 99, assets: 99, clients: 1<<63 - 1, seconds: 60, last: clock.Instant(time.Hour).Add(time.Second), agent: "his"}
		for k := range r.paths {
			r.paths[k] = 1<<63 - 1
		}
	}
	d.Detect(window(1, ask{path: "/mine", agent: "mine", client: 7}, ask{path: "/a.css", kind: traffic.KindAsset, client: 8}), nil)
	for client, want := range map[byte]read{7: {pages: 1, seconds: 1, agent: "mine"}, 8: {assets: 1}} {
		r, known := d.by.Count(netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, client}), 32), 0)
		if !known || r.pages != want.pages || r.assets != want.assets || r.seconds != want.seconds || r.agent != want.agent {
			t.Errorf("client %d: known %v, %d pages, %d assets, %d seconds, %q", client, known, r.pages, r.assets, r.seconds, r.agent)
		}
		if r.pages > 0 && r.paths.Count() > 1.5 {
			t.Errorf("client %d: %.0f paths", client, r.paths.Count())
		}
	}
}
