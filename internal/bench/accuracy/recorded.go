package accuracy

import (
	"fmt"

	"seawall/internal/traffic"
)

// profile is what requests of a program look like, besides what they ask for.
type profile struct {
	agent   string
	http    traffic.HTTPVersion
	ja4     string
	opening uint64 // of HTTP/2
	order   uint64 // of the header's fields
	assets  uint64 // of those of requests for what pages need; 0: the same
}

// Fingerprints as Seawall told them of real programs that asked it by HTTPS, by name, on
// 2026-11-27: Chromium 156 (headless), curl 7.88.1, the http.Client of Go 1.27 and urllib
// of Python 3.11, all of Debian 12 but Go.
var (
	chromium2 = profile{http: traffic.HTTP2, ja4: "t13d1517h2_8daaf6152771_cb7bf5808d99", opening: 0x9051ef57ad96eeb3, order: 0x4c6e253e6a8afc31, assets: 0xefc95fa68e9b5887}
	chromium1 = profile{http: traffic.HTTP11, ja4: "t13d1516h1_8daaf6152771_5b37b36a67c0", order: 0xbaaae6cf17212d2c, assets: 0x96f69880b3c93dee}
	curl2     = profile{http: traffic.HTTP2, ja4: "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6", opening: 0x571dc49dd74aa441, order: 0xa87e9dffa18e085a}
	curl1     = profile{http: traffic.HTTP11, ja4: "t13d3112h1_e8f1e7e78f70_b26ce05bbdd6", order: 0xf6f8513bbd1f151f}
	go2       = profile{http: traffic.HTTP2, ja4: "t13d1912h2_9dc949149365_e5728521abd4", opening: 0x03ffe520b964f53c, order: 0x316b550ea5894060}
	go1       = profile{http: traffic.HTTP11, ja4: "t13d191100_9dc949149365_e5728521abd4", order: 0x6973b5fd8c0c7887}
	python1   = profile{http: traffic.HTTP11, ja4: "t13d181100_85036bcba153_d41ae481755e", order: 0xd4e256b6624ccbbf}
)

// systems are what Chromium says that it runs on; it says no more than this.
var systems = [...]string{"Windows NT 10.0; Win64; x64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "Linux; Android 10; K", "Linux; Android 10; K", "X11; Linux x86_64"}

// browser is somebody's Chromium: most are of the last versions, and behind an old proxy
// here and there it speaks HTTP/1.1.
func (s *stage) browser() profile {
	p := chromium2
	if s.rng.Float64() < 0.05 {
		p = chromium1
	}
	version := 156 - min(int(s.rng.ExpFloat64()*2), 30)
	system := systems[s.rng.IntN(len(systems))]
	mobile := ""
	if system == "Linux; Android 10; K" {
		mobile = " Mobile"
	}
	p.agent = fmt.Sprintf("Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0%s Safari/537.36", system, version, mobile)
	return p
}

// tool is a program that is no browser, written with one of those recorded.
func tool(name string) profile {
	p, agent := curl2, name
	switch name {
	case "Googlebot":
		p, agent = go2, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	case "monitor":
		p, agent = python1, "Uptime/1.0 (+https://uptime.example)"
	case "reader":
		p, agent = curl1, "FreshRSS/1.24 (Linux; https://freshrss.org)"
	case "app":
		p, agent = go2, "CampaignApp/3.2 (Android 14)"
	case "preview":
		p, agent = curl2, "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"
	case "webhook":
		p, agent = go1, "Payments/1.0 (+https://payments.example/docs/webhooks)"
	case "podcast":
		p, agent = curl2, "AntennaPod/3.5.0"
	case "Go":
		p, agent = go2, "Go-http-client/2.0"
	case "curl":
		p, agent = curl1, "curl/7.88.1"
	}
	p.agent = agent
	return p
}
