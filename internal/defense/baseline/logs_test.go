package baseline

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"net/netip"
	"os"
	"path"
	"regexp"
	"slices"
	"testing"
	"time"

	"seawall/internal/traffic"
)

const accessLog = "../../../../shared/data/logs/elastic-apache.log.gz"

var combined = regexp.MustCompile(`^(\S+) \S+ \S+ \[[^\]]+\] "(\S+) ([^ ?"]*)\??([^ "]*)[^"]*" (\d+) \S+ "[^"]*" "(.*)"$`)

// visits reads an ordinary site's log, or skips the test where it is missing.
func visits(t *testing.T) (all []traffic.Visit) {
	t.Helper()
	f, err := os.Open(accessLog)
	if err != nil {
		t.Skipf("needs %s: %v", accessLog, err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(z); s.Scan(); {
		m := combined.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		a, err := netip.ParseAddr(m[1])
		if err != nil {
			continue
		}
		v := traffic.Visit{Client: a, Peer: a, Method: m[2], Path: m[3], RawQuery: m[4], UserAgent: m[6]}
		switch path.Ext(m[3]) {
		case ".css", ".js", ".png", ".jpg", ".gif", ".ico", ".svg", ".woff", ".ttf":
			v.Kind = traffic.KindAsset
		case ".rss", ".xml", ".atom":
			v.Kind = traffic.KindFeed
		}
		all = append(all, v)
	}
	return all
}

// sumUp counts a second of visits exactly.
func (s *site) sumUp(visits []traffic.Visit) *traffic.Window {
	s.at, s.wall = s.at.Add(time.Second), s.wall.Add(time.Second)
	n := uint64(len(visits))
	w := &traffic.Window{At: s.at, Wall: s.wall, Span: time.Second, Offered: n, Admitted: n}
	clients := map[string]uint64{}
	for _, v := range visits {
		v.At = s.at
		w.ByKind[v.Kind]++
		w.ByClearance[v.Clearance]++
		clients[v.Key(traffic.FieldClient)]++
		w.Samples = append(w.Samples, v.Keep(traffic.Outcome{Status: 200}, false))
	}
	w.Clients = uint64(len(clients))
	for k, c := range clients {
		w.Top[traffic.FieldClient] = append(w.Top[traffic.FieldClient], traffic.Heavy{Key: k, Count: c})
	}
	slices.SortFunc(w.Top[traffic.FieldClient], func(a, b traffic.Heavy) int { return cmp.Compare(b.Count, a.Count) })
	return w
}

// TestRealSite replays a real site's four days at 80 requests a second and
// compares what is learnt with the exact shares of the log.
func TestRealSite(t *testing.T) {
	all := visits(t)
	if len(all) < 9900 {
		t.Fatalf("read %d lines only", len(all))
	}
	b, s := New(DefaultConfig()), newSite()
	exact := map[string]float64{}
	assets := 0.0
	for i := 0; i+80 <= len(all); i += 80 {
		b.Learn(s.sumUp(all[i:i+80]), false)
		for _, v := range all[i : i+80] {
			exact[v.Path]++
			if v.Kind == traffic.KindAsset {
				assets++
			}
		}
	}
	n := b.Normal()
	t.Logf("learned %v: %.0f requests/s, peak %.0f, %.0f clients/s, %.1f/s of a busy client, %.2f assets, %d samples, %d paths",
		n.Learned, n.Requests, n.Peak, n.Clients, n.PerClient, n.AssetShare, len(n.Ordinary), len(n.Share[traffic.FieldPath]))
	near(t, "Requests", n.Requests, 80, 2)
	near(t, "Peak", n.Peak, 80, 2)
	near(t, "AssetShare", n.AssetShare, assets/float64(len(all)), 0.03)
	if n.Clients < 20 || n.Clients > 60 || n.PerClient < 3 || n.PerClient > 30 {
		t.Errorf("%v clients, %v requests each", n.Clients, n.PerClient)
	}
	for p, c := range exact {
		// 4,000 samples: three standard errors of a share of 5 % are 1 %.
		if share := c / float64(len(all)); share > 0.02 {
			near(t, "share of "+p, n.Share[traffic.FieldPath][p], share, 0.015)
		}
	}
}
