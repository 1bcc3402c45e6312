package cachebust

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// site is one of readers, a tenth of whose requests have a query at /search.
func site() *traffic.Normal {
	n := &traffic.Normal{Learned: time.Hour, Requests: 30, Peak: 40, AssetShare: 0.6, ClearanceShare: 0.9}
	for i := range 400 {
		s := traffic.Sample{Visit: traffic.Visit{Path: "/news"}}
		if i%10 == 0 {
			s.Visit.Path, s.Visit.QueryShape = "/search", 7
		}
		n.Ordinary = append(n.Ordinary, s)
	}
	return n
}

// window has n requests, made by each.
func window(at int, n int, each func(i int, s *traffic.Sample)) *traffic.Window {
	w := &traffic.Window{At: clock.Instant(time.Hour).Add(time.Duration(at) * time.Second), Span: time.Second, Offered: uint64(n)}
	for i := range n {
		s := traffic.Sample{Visit: traffic.Visit{Method: "GET", Path: "/", Client: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}, Outcome: traffic.Outcome{Status: 200}}
		each(i, &s)
		w.Samples = append(w.Samples, s)
	}
	return w
}

func TestWhatIsCacheBusting(t *testing.T) {
	at := func(path string) func(int, *traffic.Sample) {
		return func(i int, s *traffic.Sample) {
			s.Visit.Path, s.Visit.RawQuery, s.Visit.QueryShape = path, fmt.Sprint("q=", i), 7
		}
	}
	for _, c := range []struct {
		name string
		n    int
		each func(i int, s *traffic.Sample)
		norm *traffic.Normal
		want string // path; "-" for none
	}{
		{"at one path", 60, at("/"), site(), "/"},
		{"at one path, and too few", 15, at("/"), site(), "-"},
		{"where some are usual", 25, at("/search"), site(), "/search"},
		{"not five times what is usual", 60, at("/search"), busy(site()), "-"},
		{"at many paths", 60, func(i int, s *traffic.Sample) { at(fmt.Sprint("/", i%20))(i, s) }, site(), ""},
		{"the same queries", 60, func(i int, s *traffic.Sample) { at("/")(i%10, s) }, site(), "-"},
		{"a newsletter in which each has a number", 120, func(i int, s *traffic.Sample) {
			s.Visit.Client = netip.AddrFrom4([4]byte{10, 1, 0, byte(i / 2)})
			if at("/news")(i, s); i%2 == 1 {
				s.Visit = traffic.Visit{Method: "GET", Path: "/site.css", Kind: traffic.KindAsset, Client: s.Visit.Client}
			}
		}, site(), "-"},
		{"by those who keep cookies", 60, func(i int, s *traffic.Sample) { at("/")(i, s); s.Visit.Clearance = traffic.ClearanceProven }, site(), "-"},
		{"half of them by those who keep cookies", 120, func(i int, s *traffic.Sample) { at("/")(i, s); s.Visit.Clearance = traffic.Clearance(i % 2) }, site(), "-"},
		{"and as many queries that come again", 120, func(i int, s *traffic.Sample) { at("/")(i%2*i, s) }, site(), "-"},
		{"for what is not there", 60, func(i int, s *traffic.Sample) { at("/")(i, s); s.Outcome.Status = 404 }, site(), "-"},
		{"refused already", 60, func(i int, s *traffic.Sample) { at("/")(i, s); s.Outcome.Status, s.Refused = 404, true }, site(), "/"},
		{"nothing is known of the site, and few", 50, at("/"), nil, "-"},
		{"nothing is known of the site, and many", 100, at("/"), nil, "/"},
	} {
		fs := New(DefaultConfig()).Detect(window(1, c.n, c.each), c.norm)
		switch {
		case c.want == "-" && len(fs) > 0:
			t.Errorf("%s: %+v", c.name, fs[0])
		case c.want != "-" && (len(fs) != 1 || fs[0].Vector != attack.CacheBusting || fs[0].Part != attack.Part{Path: c.want, Query: true}):
			t.Errorf("%s: %+v", c.name, fs)
		}
	}
}

// busy is a site that is asked for so much more.
func busy(n *traffic.Normal) *traffic.Normal {
	n.Requests, n.Peak = 300, 400
	return n
}

// While it runs the path is known, and it ends.
func TestEnds(t *testing.T) {
	d, n := New(DefaultConfig()), site()
	d.Detect(window(1, 60, func(i int, s *traffic.Sample) { s.Visit.RawQuery = fmt.Sprint(i) }), n)
	for i := range 12 {
		fs := d.Detect(window(2+i, 30, func(int, *traffic.Sample) {}), n)
		if on := len(fs) > 0; on != (i < 9) || on && fs[0].Part.Path != "/" {
			t.Fatalf("second %d: %+v", i, fs)
		}
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
