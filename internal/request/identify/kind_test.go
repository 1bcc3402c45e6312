package identify

import (
	"net/http"
	"testing"

	"seawall/internal/traffic"
)

const (
	acceptChrome   = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
	acceptFirefox  = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	acceptLynx     = "text/html, text/plain, text/sgml, text/css, application/xhtml+xml, */*;q=0.01"
	acceptImage    = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
	acceptFreshRSS = "application/atom+xml, application/rss+xml, application/rdf+xml;q=0.9, application/xml;q=0.8, text/xml;q=0.8, text/html;q=0.7, unknown/unknown;q=0.1, application/unknown;q=0.1, */*;q=0.1"
	acceptNNW      = "application/rss+xml, application/rdf+xml;q=0.9, application/atom+xml;q=0.9, application/feed+json;q=0.8, */*;q=0.5"
)

func TestKind(t *testing.T) {
	const page, asset, feed, api = traffic.KindPage, traffic.KindAsset, traffic.KindFeed, traffic.KindAPI
	type h = map[string]string
	for _, c := range []struct {
		name   string
		method string
		target string // path, or path?query
		agent  string
		header h
		want   traffic.Kind
	}{
		{"Chrome opens the front page", "GET", "/", "", h{"Accept": acceptChrome, "Sec-Fetch-Dest": "document"}, page},
		{"an older Firefox", "GET", "/news", "", h{"Accept": acceptFirefox}, page},
		{"a text browser", "GET", "/news", "Lynx/2.9", h{"Accept": acceptLynx}, page},
		{"a page with a dot in its name", "GET", "/news/v1.2", "", h{"Accept": acceptFirefox}, page},
		{"index.html", "GET", "/index.html", "", h{"Accept": acceptFirefox}, page},
		{"a page within a frame", "GET", "/widget", "", h{"Accept": acceptChrome, "Sec-Fetch-Dest": "iframe"}, page},
		{"a form", "POST", "/donate", "", h{"Accept": acceptChrome, "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Dest": "document"}, page},
		{"a form with a file, old browser", "POST", "/upload", "", h{"Accept": acceptFirefox, "Content-Type": "multipart/form-data; boundary=x"}, page},
		{"HEAD by a browser", "HEAD", "/", "", h{"Accept": acceptFirefox}, page},

		{"a style sheet", "GET", "/site.css", "", h{"Accept": "text/css,*/*;q=0.1", "Sec-Fetch-Dest": "style"}, asset},
		{"a script by extension alone", "GET", "/js/App.JS", "", h{"Accept": "*/*"}, asset},
		{"a picture without extension", "GET", "/media/42", "", h{"Accept": acceptImage, "Sec-Fetch-Dest": "image"}, asset},
		{"a picture, old browser", "GET", "/media/42", "", h{"Accept": acceptImage}, asset},
		{"a font", "GET", "/f", "", h{"Accept": "application/font-woff2;q=1.0,*/*;q=0.8", "Sec-Fetch-Dest": "font"}, asset},
		{"a picture opened by itself", "GET", "/poster.png", "", h{"Accept": acceptChrome, "Sec-Fetch-Dest": "document"}, asset},
		{"the icon", "GET", "/favicon.ico", "", nil, asset},
		{"the web manifest", "GET", "/manifest.json", "", h{"Sec-Fetch-Dest": "manifest"}, asset},
		{"a script fetched by a script", "GET", "/chunk.mjs", "", h{"Sec-Fetch-Dest": "empty"}, asset},
		{"a podcast's episode", "GET", "/episodes/7.mp3", "AntennaPod/3.4", h{"Accept": "*/*"}, asset},
		{"the front page is no picture", "GET", "/", "", h{"Accept": "*/*", "Sec-Fetch-Dest": "image"}, api},
		{"a page is no picture either", "GET", "/x", "", h{"Accept": acceptChrome, "Sec-Fetch-Dest": "image"}, page},

		{"FreshRSS", "GET", "/blog", "FreshRSS/1.24 (Linux; https://freshrss.org)", h{"Accept": acceptFreshRSS}, feed},
		{"Feedly", "GET", "/news", "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 16 subscribers; )", h{"Accept": "*/*"}, feed},
		{"NetNewsWire", "GET", "/index", "NetNewsWire (RSS Reader; https://netnewswire.com/)", h{"Accept": acceptNNW}, feed},
		{"a podcast program", "GET", "/show", "Overcast/3.0 (+http://overcast.fm/; Apple Watch podcast app)", nil, feed},
		{"a feed by its extension", "GET", "/donors.rss", "", h{"Accept": "*/*"}, feed},
		{"a feed opened in a browser", "GET", "/feed/", "", h{"Accept": acceptChrome, "Sec-Fetch-Dest": "document"}, feed},
		{"a feed by its name", "GET", "/blog/atom.xml", "", nil, feed},
		{"the feed of a static site", "GET", "/index.xml", "", h{"Accept": acceptFirefox}, feed},
		{"JSON feed", "GET", "/feed.json", "", nil, feed},
		{"WordPress", "GET", "/?feed=rss2", "", h{"Accept": "*/*"}, feed},
		{"a calendar", "GET", "/events.ics", "", nil, feed},
		{"a feed read by a script", "GET", "/latest", "", h{"Accept": "application/rss+xml", "Sec-Fetch-Dest": "empty"}, feed},

		{"fetch", "GET", "/comments", "", h{"Accept": "*/*", "Sec-Fetch-Dest": "empty"}, api},
		{"XMLHttpRequest of old", "GET", "/comments", "", h{"Accept": acceptFirefox, "X-Requested-With": "XMLHttpRequest"}, api},
		{"a page loaded by a script", "GET", "/page2", "", h{"Accept": "text/html, */*", "Sec-Fetch-Dest": "empty"}, api},
		{"an API", "GET", "/api/v1/things", "", h{"Accept": acceptFirefox}, api},
		{"JSON by extension", "GET", "/things.json", "", h{"Accept": acceptFirefox}, api},
		{"JSON asked for", "GET", "/things", "", h{"Accept": "application/json"}, api},
		{"JSON sent", "POST", "/things", "", h{"Accept": acceptFirefox, "Content-Type": "application/json"}, api},
		{"curl", "GET", "/", "curl/8.5.0", h{"Accept": "*/*"}, api},
		{"curl -d", "POST", "/donate", "curl/8.5.0", h{"Accept": "*/*", "Content-Type": "application/x-www-form-urlencoded"}, api},
		{"no headers at all", "GET", "/", "", nil, api},
		{"git", "GET", "/repo.git/info/refs?service=git-upload-pack", "git/2.43", h{"Accept": "*/*"}, api},
		{"git push", "POST", "/repo.git/git-receive-pack", "git/2.43", h{"Content-Type": "application/x-git-receive-pack-request"}, api},
		{"WebSocket", "GET", "/chat", "", h{"Upgrade": "websocket", "Connection": "Upgrade", "Accept": acceptFirefox}, api},
		{"server-sent events", "GET", "/live", "", h{"Accept": "text/event-stream"}, api},
		{"DELETE", "DELETE", "/things/7", "", h{"Accept": acceptFirefox}, api},
		{"preflight", "OPTIONS", "/things", "", h{"Accept": "*/*"}, api},
		{"robots.txt", "GET", "/robots.txt", "", h{"Accept": acceptFirefox}, api},
		{"the site map", "GET", "/sitemap.xml", "", h{"Accept": acceptFirefox}, api},
		{"a certificate is validated", "GET", "/.well-known/acme-challenge/x", "", nil, api},
		{"a write to an asset's address", "POST", "/x.css", "", h{"Accept": "*/*"}, api},
	} {
		header := http.Header{}
		for k, v := range c.header {
			header.Set(k, v)
		}
		v := traffic.Visit{Method: c.method, Path: c.target, UserAgent: c.agent}
		for i := range c.target {
			if c.target[i] == '?' {
				v.Path, v.RawQuery = c.target[:i], c.target[i+1:]
			}
		}
		if got := kindOf(&v, header); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func FuzzKind(f *testing.F) {
	f.Add("GET", "/feed/", "feed=", "text/html", "document", "curl")
	f.Add("POST", "/a.b/c.JSON", "", ",;,", "", "")
	f.Fuzz(func(t *testing.T, method, path, query, accept, dest, agent string) {
		v := traffic.Visit{Method: method, Path: path, RawQuery: query, UserAgent: agent}
		k := kindOf(&v, http.Header{"Accept": {accept}, "Sec-Fetch-Dest": {dest}})
		if k >= traffic.Kinds {
			t.Fatalf("kind %d", k)
		}
	})
}
