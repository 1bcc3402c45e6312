package traffic

import (
	"net/netip"
	"testing"
	"time"
)

func TestLoginPath(t *testing.T) {
	for path, want := range map[string]bool{
		"/wp-login.php": true, "/Account/SignIn": true, "/api/auth/token": true, "/xmlrpc.php": true,
		"/": false, "/news/blogging-in": false, "/donate": false,
	} {
		if got := LoginPath(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestCrawler(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":              "Googlebot",
		"msnbot/2.0b (+http://search.msn.com/msnbot.htm)":                                       "msnbot",
		"Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)":   "Slurp",
		"Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Chrome/120 Safari/537.36": "",
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":                "",
		"": "",
	} {
		if got := Crawler(agent); got != want {
			t.Errorf("%s: %q, want %q", agent, got, want)
		}
	}
}

// Who fetches what pages are made of, keeps a cookie or behaved well is like a visitor;
// the asset that a flood is after proves nothing.
func TestVisitors(t *testing.T) {
	addr := func(i byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, i}) }
	visits := []Visit{
		{Client: addr(1), Path: "/", Method: "GET"}, {Client: addr(1), Path: "/a.css", Method: "GET", Kind: KindAsset},
		{Client: addr(2), Path: "/", Method: "GET"},
		{Client: addr(3), Path: "/big.zip", Method: "GET", Kind: KindAsset},
		{Client: addr(4), Path: "/", Method: "GET", Clearance: ClearanceProven},
		{Client: addr(5), Path: "/", Method: "GET", Standing: StandingGood},
		{Client: addr(6), Path: "/", Method: "GET", Standing: StandingShy},
	}
	w := &Window{Span: time.Second}
	for _, v := range visits {
		w.Samples = append(w.Samples, Sample{Visit: v, Outcome: Outcome{Status: 200}})
	}
	like := w.Visitors("/big.zip")
	for i, want := range []bool{true, true, false, false, true, true, false} {
		if got := like.Like(&visits[i]); got != want {
			t.Errorf("visit %d: %v, want %v", i, got, want)
		}
	}
}

// An asset that the site has excuses one request for something else, two excuse three, and
// so on; what it has not excuses none, and is held against nobody.
func TestAssetsExcuseSoMuch(t *testing.T) {
	type got struct {
		pages, status int
		assets        []int // the status of each
	}
	for _, c := range []struct {
		name string
		got  got
		want bool
	}{
		{"a page with its assets", got{1, 200, []int{200, 200, 200, 200}}, true},
		{"a page and one asset", got{1, 200, []int{200}}, true},
		{"two pages and one asset", got{2, 200, []int{200}}, false},
		{"three pages and two assets", got{3, 200, []int{200, 200}}, true},
		{"four pages and two assets", got{4, 200, []int{200, 200}}, false},
		{"thirty pages and one asset", got{30, 200, []int{200}}, false},
		{"an asset that is not there", got{1, 200, []int{404}}, false},
		{"assets of which some are not there", got{1, 200, []int{200, 404, 404, 410}}, true},
		{"one that it had already", got{1, 200, []int{304}}, true},
		{"a part of one", got{1, 200, []int{206}}, true},
		{"one that is elsewhere", got{1, 200, []int{302}}, false},
		{"one for which the line was full", got{1, 200, []int{503}}, false},
		{"one that it did not wait for", got{1, 200, []int{0}}, false},
		{"pages that fail", got{2, 500, []int{200}}, false},
	} {
		page := Visit{Client: netip.MustParseAddr("192.0.2.1"), Path: "/", Method: "GET"}
		asset := page
		asset.Path, asset.Kind = "/a.css", KindAsset
		w := &Window{Span: time.Second}
		for range c.got.pages {
			w.Samples = append(w.Samples, Sample{Visit: page, Outcome: Outcome{Status: c.got.status}})
		}
		for _, status := range c.got.assets {
			w.Samples = append(w.Samples, Sample{Visit: asset, Outcome: Outcome{Status: status}})
		}
		if got := w.Visitors("/search").Like(&page); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		// The asset that a flood is after is one of the others.
		if len(c.got.assets) > 0 && w.Visitors("/a.css").Like(&page) {
			t.Errorf("%s: the asset that a flood is after excuses", c.name)
		}
	}
}

// Visitors who are known by more than assets use up nobody's excuse: behind one address
// there may be many of them, and somebody who is new.
func TestKnownNeedNoExcuse(t *testing.T) {
	newcomer := Visit{Client: netip.MustParseAddr("192.0.2.1"), Path: "/", Method: "GET"}
	asset, cleared, good := newcomer, newcomer, newcomer
	asset.Path, asset.Kind = "/a.css", KindAsset
	cleared.Clearance, good.Standing = ClearanceProven, StandingGood
	w := &Window{Span: time.Second}
	for _, v := range []Visit{newcomer, asset, cleared, cleared, cleared, good, good} {
		w.Samples = append(w.Samples, Sample{Visit: v, Outcome: Outcome{Status: 200}})
	}
	if !w.Visitors("/search").Like(&newcomer) {
		t.Error("a newcomer with an asset is none, for the neighbours have theirs")
	}
}

func TestSuffers(t *testing.T) {
	n := &Normal{OriginP95: 20 * time.Millisecond}
	for _, c := range []struct {
		name string
		o    Origin
		n    *Normal
		want bool
	}{
		{"calm", Origin{Asked: 50, P95: 30 * time.Millisecond}, n, false},
		{"slow", Origin{Asked: 50, P95: 80 * time.Millisecond}, n, true},
		{"slow, of few", Origin{Asked: 4, P95: time.Second}, n, false},
		{"failing", Origin{Asked: 50, Failed: 3}, n, true},
		{"line full", Origin{Limit: 20, Waiting: 20}, n, true},
		{"sent away", Origin{Asked: 50, Shed: 3}, n, true},
		{"nothing is known", Origin{Asked: 50, P95: 900 * time.Millisecond}, &Normal{}, false},
	} {
		w := &Window{Origin: c.o, Admitted: 100}
		if got := w.Suffers(c.n); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
