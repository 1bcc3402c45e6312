package loop

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"seawall/internal/traffic"
)

var browsers = []string{
	"Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "Mozilla/5.0 (Windows NT 10.0) Chrome/139.0",
	"Mozilla/5.0 (Macintosh) Safari/18.5", "Mozilla/5.0 (Windows NT 10.0) Edge/139.0",
}

var pages = []string{"/", "/news", "/donate", "/about", "/news/1", "/news/2", "/poster", "/contact"}
var assets = []string{"/static/app.css", "/static/app.js", "/static/logo.svg", "/static/body.woff2"}

// view is one page as a browser loads it: with the assets that it has not yet.
func view(c *client, r *rand.Rand) []ask {
	if c.cached == nil {
		c.cached = map[string]bool{}
	}
	list := []ask{{path: pages[r.IntN(len(pages))]}}
	own := fmt.Sprintf("/static/img/%d.jpg", r.IntN(30))
	for _, a := range append([]string{own}, assets...) {
		if !c.cached[a] || r.IntN(5) == 0 {
			c.cached[a] = true
			list = append(list, ask{path: a, kind: traffic.KindAsset})
		}
	}
	return list
}

func only(a ask) func(*client, *rand.Rand) []ask {
	list := []ask{a}
	return func(*client, *rand.Rand) []ask { return list }
}

func v4(a, b byte, n int) netip.Addr { return netip.AddrFrom4([4]byte{a, b, byte(n >> 8), byte(n)}) }

func visitors(group string, n int, rate float64, net byte) []*client {
	var out []*client
	for i := range n {
		// Nine to a /24.
		out = append(out, &client{group: group, addr: v4(84, net, i/9<<8|i%9*7), agent: browsers[i%3], order: 0xa0 + uint64(i%3), cookie: true, next: view, rate: rate})
	}
	return out
}

func bots(n int, rate float64, next func(*client, *rand.Rand) []ask) []*client {
	var out []*client
	for i := range n {
		out = append(out, &client{group: "flood", addr: v4(185, byte(i>>12), i*13), agent: browsers[i%4], order: 0xa0 + uint64(i%3), next: next, rate: rate})
	}
	return out
}
