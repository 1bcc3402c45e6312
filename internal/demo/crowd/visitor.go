package crowd

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// lanes is how many connections a visitor's browser opens.
const lanes = 4

// How often, in hundredths, a visitor does what only some do.
const (
	oftenForm  = 2  // fills in a form instead of following a link
	oftenFresh = 20 // asks about a cached asset again
)

type visitor struct {
	crowd   *Crowd
	group   string
	addr    netip.Addr
	browser Browser
	rng     *rand.Rand

	mu      sync.Mutex // guards what the lanes share
	conns   []*conn    // idle ones
	cookies map[string]string
	etags   map[string]string // of the assets in its cache
	ports   uint16
}

func newVisitor(c *Crowd, n int, group string) *visitor {
	return &visitor{
		crowd: c, group: group,
		addr:    c.cfg.Addresses[n],
		browser: c.cfg.Browsers[n%len(c.cfg.Browsers)],
		rng:     random(c.cfg.Seed, n),
		cookies: map[string]string{},
		etags:   map[string]string{},
		ports:   uint16(20_000 + n%10_000*4),
	}
}

// read reads the site until ctx ends. The visitor clicks at moments of its own:
// after a page of k requests it reads k/Rate, give or take a third.
func (v *visitor) read(ctx context.Context) {
	defer v.hangUp()
	step := time.Duration(float64(time.Second) / v.crowd.cfg.Rate)
	click, path, from := time.Now(), "/", ""
	for sleep(ctx, time.Until(click)) {
		var asked int
		asked, path, from = v.view(ctx, click, path, from)
		if ctx.Err() != nil {
			return
		}
		think := time.Duration(float64(asked) * float64(step) * (0.7 + 0.6*v.rng.Float64()))
		click = click.Add(think)
		// Clicks that the wait for this page made impossible are lost.
		for now := time.Now(); now.Sub(click) > 2*step; click = click.Add(2 * step) {
			v.crowd.m.note(v.group, click, wrongMissed)
		}
	}
}

// view loads one page and what it needs. It returns how many requests that
// took, where to go next and the page that leads there.
func (v *visitor) view(ctx context.Context, click time.Time, path, from string) (asked int, next, here string) {
	var page reply
	var ok bool
	if strings.HasPrefix(path, "POST ") {
		path = strings.TrimPrefix(path, "POST ")
		page, ok = v.ask(ctx, request{method: "POST", path: path, referer: from, form: formFor(path), site: "same-origin"}, v.browser.Form, click)
	} else {
		site := "same-origin"
		if from == "" {
			site = "none"
		}
		page, ok = v.ask(ctx, request{method: "GET", path: path, referer: from, site: site}, v.browser.Page, click)
	}
	if !ok {
		// People press reload, or begin again at the front.
		if v.rng.IntN(2) == 0 {
			return 1, "/", ""
		}
		return 1, path, from
	}
	here = "http://" + v.crowd.cfg.Host + path
	needs := v.needs(page.body)
	come := time.Now()
	var wg sync.WaitGroup
	todo := make(chan string, len(needs))
	for _, n := range needs {
		todo <- n
	}
	close(todo)
	for range min(lanes, len(needs)) {
		wg.Go(func() {
			for asset := range todo {
				v.asset(ctx, asset, here, come)
			}
		})
	}
	wg.Wait()
	return 1 + len(needs), v.follow(page.body), here
}

var (
	reAsset = regexp.MustCompile(`(?:src|href)="(/static/[^"]+)"`)
	reLink  = regexp.MustCompile(`<a [^>]*href="(/[a-z0-9/-]*)"`)
	reForm  = regexp.MustCompile(`<form method="post" action="(/[a-z0-9/-]+)"`)
)

// needs lists the assets of a page that the visitor has to ask for.
func (v *visitor) needs(page []byte) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []string
	for _, m := range reAsset.FindAllSubmatch(page, -1) {
		a := string(m[1])
		_, cached := v.etags[a]
		if !slices.Contains(list, a) && (!cached || v.rng.IntN(100) < oftenFresh) {
			list = append(list, a)
		}
	}
	return list
}

// follow picks what the visitor does next.
func (v *visitor) follow(page []byte) string {
	if m := reForm.FindSubmatch(page); m != nil && v.rng.IntN(100) < oftenForm*5 {
		return "POST " + string(m[1])
	}
	links := reLink.FindAllSubmatch(page, -1)
	if len(links) == 0 {
		return "/"
	}
	return string(links[v.rng.IntN(len(links))][1])
}

// formFor fills in the site's forms.
func formFor(path string) string {
	switch {
	case path == "/donate":
		return url.Values{"legal_name": {"Teal Dunlin-000"}, "public_name": {"Teal"}, "pounds": {"5"}}.Encode()
	case path == "/join":
		return url.Values{"name": {"Teal"}, "email": {"teal@visitors.invalid"}}.Encode()
	}
	return url.Values{"name": {"Teal"}, "text": {"I cross every morning."}}.Encode()
}

func (v *visitor) asset(ctx context.Context, path, from string, meant time.Time) {
	v.mu.Lock()
	etag := v.etags[path]
	v.mu.Unlock()
	q := request{method: "GET", path: path, referer: from, etag: etag, site: "same-origin"}
	switch {
	case strings.HasSuffix(path, ".css"):
		q.dest, q.accept = "style", "text/css,*/*;q=0.1"
	case strings.HasSuffix(path, ".js"):
		q.dest, q.accept = "script", "*/*"
	default:
		q.dest, q.accept = "image", "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
	}
	a, ok := v.ask(ctx, q, v.browser.Asset, meant)
	if tag := a.header.Get("Etag"); ok && tag != "" {
		v.mu.Lock()
		v.etags[path] = tag
		v.mu.Unlock()
	}
}

// ask makes a request on one of the visitor's connections, notes how it went,
// and says whether it was served.
func (v *visitor) ask(ctx context.Context, q request, lines []string, meant time.Time) (reply, bool) {
	q.host, q.agent = v.crowd.cfg.Host, v.browser.Agent
	until := time.Now().Add(v.crowd.cfg.Patience)
	n := v.crowd.m.begin(v.group, meant)
	defer v.crowd.m.done(n)
	a, err := v.followed(ctx, q, lines, meant, until)
	wrong := ""
	switch {
	case ctx.Err() != nil:
		return a, false // the visit ends here; what it would have got is unknown
	case err != nil && late(err):
		wrong = wrongLate
	case err != nil:
		wrong = wrongCut
	case a.header.Get("Seawall-Ref") != "" || a.status == 403 || a.status == 429:
		wrong = wrongRefused
	case a.status == http.StatusNotModified && q.etag != "":
	case a.status != http.StatusOK:
		wrong = wrongError
	default:
		if v.crowd.cfg.Check(q.path, a.body) != nil {
			wrong = wrongBody
		}
	}
	v.crowd.m.note(v.group, meant, wrong)
	return a, wrong == ""
}

// mostHops is how often browsers let themselves be sent elsewhere for one page.
const mostHops = 20

// followed makes a request, and makes it again with the cookies that came where the
// answer sends it there.
func (v *visitor) followed(ctx context.Context, q request, lines []string, meant, until time.Time) (a reply, err error) {
	for range mostHops {
		q.cookie = v.cookie()
		if a, err = v.exchange(ctx, q.method, q.head(lines), until); err != nil {
			return a, err
		}
		v.keep(a.header)
		if a.status != http.StatusTemporaryRedirect || a.header.Get("Location") != q.path {
			break
		}
		v.crowd.m.sent(v.group, meant)
	}
	return a, nil
}

// exchange sends a request on an idle or a new connection. A connection that
// turns out to have been closed while idle is replaced once, as browsers do.
func (v *visitor) exchange(ctx context.Context, method string, head []byte, until time.Time) (reply, error) {
	for {
		c, err := v.connect(ctx, until)
		if err != nil {
			return reply{}, err
		}
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		old := c.used
		a, keep, err := c.ask(method, head, until)
		stop()
		if err == nil && keep {
			v.mu.Lock()
			v.conns = append(v.conns, c)
			v.mu.Unlock()
			return a, nil
		}
		_ = c.Close()
		if err != nil && old && !late(err) && ctx.Err() == nil {
			continue
		}
		return a, err
	}
}

func (v *visitor) connect(ctx context.Context, until time.Time) (*conn, error) {
	v.mu.Lock()
	if n := len(v.conns); n > 0 {
		c := v.conns[n-1]
		v.conns = v.conns[:n-1]
		v.mu.Unlock()
		return c, nil
	}
	v.ports++
	port := v.ports
	v.mu.Unlock()
	var preface []byte
	if v.crowd.cfg.Preface != nil {
		preface = v.crowd.cfg.Preface(netip.AddrPortFrom(v.addr, port))
	}
	return dial(ctx, v.crowd.cfg.Target, preface, time.Until(until))
}

// cookie is the jar as a header value.
func (v *visitor) cookie() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(v.cookies)) {
		all = append(all, fmt.Sprintf("%s=%s", name, v.cookies[name]))
	}
	return strings.Join(all, "; ")
}

// keep puts an answer's cookies into the jar. The site is one host and
// everything lies below "/", so only name, value and age matter.
func (v *visitor) keep(h http.Header) {
	r := http.Response{Header: h}
	for _, k := range r.Cookies() {
		v.mu.Lock()
		if k.MaxAge < 0 {
			delete(v.cookies, k.Name)
		} else {
			v.cookies[k.Name] = k.Value
		}
		v.mu.Unlock()
	}
}

func (v *visitor) hangUp() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.conns {
		_ = c.Close()
	}
	v.conns = nil
}
