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
		w.Samples = append(w.Samples, Sample{Visit: v})
	}
	like := w.Visitors("/big.zip")
	for i, want := range []bool{true, true, false, false, true, true, false} {
		if got := like.Like(&visits[i]); got != want {
			t.Errorf("visit %d: %v, want %v", i, got, want)
		}
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
