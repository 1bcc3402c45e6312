package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"seawall/internal/demo/site"
	"seawall/internal/kit/figures"
)

// TestMain lets this test's own program play the roles that Run starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "role" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
		err := RunRole(ctx, os.Args[2], os.Stdin, os.Stdout, Env{})
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 4 && os.Args[1] == "shield" {
		fmt.Fprintln(os.Stderr, runFakeShield(os.Args[2], os.Args[3], os.Args[4]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runFakeShield is a Seawall that refuses everybody from Russia and Brazil from
// the 100th of them on, and calls that an attack.
func runFakeShield(listen, admin, origin string) error {
	to, err := url.Parse(origin)
	if err != nil {
		return err
	}
	var refused, noticed atomic.Int64
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host; r.SetXForwarded() }}
	go func() {
		l, err := net.Listen("tcp", listen)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_ = http.Serve(relayListener{l}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.RemoteAddr, "198.51.") || strings.HasPrefix(r.RemoteAddr, "203.0.") {
				if n := refused.Add(1); n > 100 {
					noticed.CompareAndSwap(0, time.Now().UnixNano())
					w.Header().Set("Seawall-Ref", "TEST")
					w.WriteHeader(403)
					return
				}
			}
			proxy.ServeHTTP(w, r)
		}))
	}()
	return http.ListenAndServe(admin, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			return
		}
		st := status{State: "calm"}
		if at := noticed.Load(); at != 0 {
			t := time.Unix(0, at)
			st.Attacks = []attackStatus{{Noticed: t, Mitigated: t, Ended: t.Add(time.Second)}}
			st.Records = []record{{At: t, Step: "enforce", Text: "refuse two countries\x1b[2J"}}
			if time.Since(t) < 5*time.Second {
				st.State, st.Mitigations = "attack", []doing{{ID: 1, Match: `country in ["RU", "BR"]`, Action: "refuse"}}
			}
		}
		_ = json.NewEncoder(w).Encode(st)
	}))
}

func testEnv(out io.Writer) Env {
	base := map[string]string{"GB": "192.0.2.0", "RU": "198.51.0.0", "BR": "203.0.0.0"}
	return Env{
		Executable: os.Args[0],
		Role:       func(role string) []string { return []string{"role", role} },
		Shield: func(s ShieldSpec) ([]string, error) {
			return []string{"shield", s.Listen, s.Admin, s.Origin}, nil
		},
		Addresses: func(country string, n int) []netip.Addr {
			var list []netip.Addr
			for a := netip.MustParseAddr(base[country]); len(list) < n; a = a.Next() {
				list = append(list, a)
			}
			return list
		},
		Out: out, Width: func() int { return 100 },
	}
}

func brief(kind Kind, front Front) Options {
	o := DefaultOptions()
	o.Kind, o.Front, o.Seconds, o.Quiet, o.After, o.Settle = kind, front, 2, 2, 1, 10
	o.Visitors, o.Newcomers, o.LookAt = 10, 2, ""
	return o
}

func TestWithoutSeawallTheSiteDrowns(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o := brief(Heavy, FrontNone)
	sum, err := Run(t.Context(), o, testEnv(&out))
	if err != nil {
		t.Fatal(err)
	}
	v := sum.Visitors
	if v.Quiet.Share != 1 || v.Quiet.Meant < 20 {
		t.Errorf("quiet: %+v", v.Quiet)
	}
	if v.During.Share > 0.9 && v.During.P99 < 5*v.Quiet.P99 {
		t.Errorf("nobody feels the flood: %+v", v.During)
	}
	if f := sum.Flood; f == nil || f.Meant != 20_000 || f.Reached < 500 || f.Refused != 0 || f.Countries["RU"] != 120 {
		t.Errorf("flood: %+v", f)
	}
	if sum.Shield != nil || !strings.Contains(out.String(), "was not there") {
		t.Errorf("there was no Seawall: %s", out.String())
	}
}

// Alone: what its visitors get is judged, and another test's flood would take the
// processors from them.
func TestWithAShield(t *testing.T) {
	var out bytes.Buffer
	env := testEnv(&out)
	env.Terminal = true
	o := brief(Wide, FrontSeawall)
	o.LookAt = "127.0.0.1:0"
	sum, err := Run(t.Context(), o, env)
	if err != nil {
		t.Fatal(err)
	}
	if v := sum.Visitors; v.During.Share < 0.95 || v.Newcomers.Meant == 0 {
		t.Errorf("visitors: %+v", v)
	}
	f, h := sum.Flood, sum.Shield
	if f == nil || f.Reached > 200 || f.Reached == 0 || f.RefusedShare < 0.5 || f.ReachedLate > 0.01 {
		t.Errorf("flood: %+v", f)
	}
	if h == nil || h.Attacks != 1 || h.Noticed < 0 || h.Noticed > 2 || h.Mitigated != h.Noticed || h.Withdrawn < 0 || len(h.Did) != 1 || len(h.Records) != 1 || h.PeakRSS == 0 {
		t.Errorf("seawall: %+v", h)
	}
	if strings.Contains(out.String(), "\x1b[2J") {
		t.Error("a record steers the terminal")
	}
	for _, want := range []string{"under attack", "refused", "mitigated after", `country in ["RU", "BR"]`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the view never shows %q", want)
		}
	}
}

// A part that ends by itself breaks the run, and everything else is ended.
func TestRunSeesWhatBreaks(t *testing.T) {
	t.Parallel()
	env := testEnv(io.Discard)
	env.Shield = func(ShieldSpec) ([]string, error) { return []string{"role", "nonsense"}, nil }
	if _, err := Run(t.Context(), brief(Heavy, FrontSeawall), env); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	begun := time.Now()
	if _, err := Run(ctx, brief(Heavy, FrontNone), testEnv(io.Discard)); err == nil {
		t.Error("an interrupted run says that all is well")
	}
	if d := time.Since(begun); d > 8*time.Second {
		t.Errorf("interrupted after 4 s, it ended after %v", d)
	}
}

func TestRoleEndsWithItsParent(t *testing.T) {
	c, err := start("the site", os.Args[0], []string{"role", "site"}, SiteSpec{
		Listen: "127.0.0.1:0", StatsListen: "127.0.0.1:0", Config: site.DefaultConfig(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop()
	var a SiteAddrs
	if err := c.hear(&a, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + a.Site + "/news")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || site.Check("/news", body) != nil {
		t.Errorf("%v, %v", err, site.Check("/news", body))
	}
	if u := c.use(); u.RSS < 1<<20 {
		t.Errorf("%+v", u)
	}
	_ = c.stdin.Close()
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		t.Error("the site lives on")
	}
}

func TestPrefaces(t *testing.T) {
	dst := netip.MustParseAddrPort("127.0.0.1:80")
	for _, src := range []string{"192.0.2.1:1234", "192.0.2.2:5", "[2001:db8::1]:65535", "[2001:db8::2]:1"} {
		want := netip.MustParseAddrPort(src)
		for _, b := range [][]byte{prefaceV1(want, dst), prefaceV2(want, dst), preface(dst)(want)} {
			r := bufio.NewReader(strings.NewReader(string(b) + "GET"))
			got, err := readPreface(r)
			rest, _ := r.Peek(3)
			if err != nil || got != want || string(rest) != "GET" {
				t.Errorf("%q: %v, %v, then %q", b, got, err, rest)
			}
		}
	}
	for _, bad := range []string{"", "GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 x y\r\n", "PROXY TCP4 a b 1 2\r\n", signature + "\x21\x11\x00\x02ab", signature + "\x21\x11\xff\xff"} {
		if a, err := readPreface(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%q: %v", bad, a)
		}
	}
}

func FuzzReadPreface(f *testing.F) {
	dst := netip.MustParseAddrPort("127.0.0.1:80")
	f.Add(prefaceV1(netip.MustParseAddrPort("192.0.2.1:1"), dst))
	f.Add(prefaceV2(netip.MustParseAddrPort("[2001:db8::1]:1"), dst))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := readPreface(bufio.NewReader(bytes.NewReader(b))); err == nil && !a.IsValid() {
			t.Errorf("no error and no address for %q", b)
		}
	})
}

func TestBotsLookLikeBrowsers(t *testing.T) {
	for _, h := range heads("demo.test") {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(h)))
		if err != nil {
			t.Fatalf("%q: %v", h, err)
		}
		if r.Host != "demo.test" || r.URL.Path != "/" || !strings.HasPrefix(r.UserAgent(), "Mozilla/5.0") || r.Header.Get("Cookie") != "" || bytes.Contains(h, []byte("{")) {
			t.Errorf("%q", h)
		}
	}
}

func TestSpreadAddresses(t *testing.T) {
	nets, addrs := map[netip.Prefix]bool{}, map[netip.Addr]bool{}
	for i := range uint64(65_536) {
		a := spreadAddr(Rotate, i)
		p, err := a.Prefix(64)
		if err != nil {
			t.Fatal(err)
		}
		nets[p] = true
		if one := spreadAddr(One, i); one != spreadAddr(One, 0) {
			t.Fatalf("One changes to %v", one)
		}
		if p48, _ := a.Prefix(48); !p48.Contains(spreadAddr(One, 0)) {
			t.Fatalf("%v lies in another /48", a)
		}
	}
	if len(nets) != 65_536 {
		t.Errorf("%d /64s", len(nets))
	}
	for i := range uint64(300_000) {
		a := spreadAddr(Many, i)
		if !a.Is4() || a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || addrs[a] {
			t.Fatalf("request %d comes from %v", i, a)
		}
		addrs[a] = true
	}
}

func TestOptions(t *testing.T) {
	if l := DefaultOptions().Validate(); len(l) > 0 {
		t.Error(l)
	}
	for name, spoil := range map[string]func(*Options){
		"kind":      func(o *Options) { o.Kind = "tsunami" },
		"through":   func(o *Options) { o.Front, o.Through = FrontOther, "192.0.2.1:80" },
		"name":      func(o *Options) { o.Front, o.Through = FrontOther, "example.org:80" },
		"site":      func(o *Options) { o.SiteListen = "0.0.0.0:80" },
		"look":      func(o *Options) { o.LookAt = "[::]:80" },
		"seconds":   func(o *Options) { o.Seconds = 0 },
		"rate":      func(o *Options) { o.Rate = 1000 },
		"visitors":  func(o *Options) { o.Kind = Many },
		"the front": func(o *Options) { o.Front = "wall" },
	} {
		o := DefaultOptions()
		spoil(&o)
		if l := o.Validate(); len(l) != 1 {
			t.Errorf("%s: %v", name, l)
		}
	}
}

func TestSiteListensOnLoopbackOnly(t *testing.T) {
	err := RunSite(t.Context(), SiteSpec{Listen: "0.0.0.0:0", Config: site.DefaultConfig()}, func(SiteAddrs) error { return nil })
	if err == nil {
		t.Error("the site listens on every address")
	}
}

func TestCutCountsColumns(t *testing.T) {
	if got := cut("\x1b[1mabc▁def", 4); got != "\x1b[1mabc▁" {
		t.Errorf("%q", got)
	}
	if got := spark([]float64{0, 1, 2}, 0); got != "▁▄█" {
		t.Errorf("%q", got)
	}
	if figures.Thousands(1234567) != "1,234,567" || figures.Thousands(12) != "12" || figures.Thousands(123) != "123" {
		t.Error("thousands")
	}
}

func TestGatherAndFold(t *testing.T) {
	at := time.Unix(1000, 0)
	list := []record{
		{at, "decide", "Ended #1"}, {at.Add(time.Millisecond), "decide", "Ended #2"},
		{at.Add(2 * time.Millisecond), "decide", "Slow #3"}, {at.Add(2 * time.Second), "decide", "Slow #4"},
	}
	if g := gather(list); len(g) != 3 || g[0].more != 1 || g[1].more != 0 {
		t.Errorf("%+v", g)
	}
	rest, bans := fold([]doing{
		{Action: "refuse", Match: `client.within("192.0.2.1/32")`, Hits: 5},
		{Action: "slow", Match: `path == "/"`, Hits: 1},
		{Action: "refuse", Match: `client.within("192.0.2.0/24") && path == "/"`, Hits: 9},
	})
	if len(rest) != 2 || rest[0].Hits != 9 || bans != (banned{1, 5}) {
		t.Errorf("%+v %+v", rest, bans)
	}
}
