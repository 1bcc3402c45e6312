package site

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func quick(t *testing.T) *Site {
	t.Helper()
	c := DefaultConfig()
	c.Work = 0
	c.Visitors = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	s, err := New(c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(s *Site, method, target, form string, head ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(form))
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

var links = regexp.MustCompile(`(?:href|src)="(/[^"#]*)"`)

// TestEveryLinkWorks follows every link of the site from the front page and
// expects the right, marked body behind each.
func TestEveryLinkWorks(t *testing.T) {
	s := quick(t)
	seen := map[string]bool{"/": true}
	for todo := []string{"/"}; len(todo) > 0; todo = todo[1:] {
		path := todo[0]
		w := ask(s, "GET", path, "")
		if w.Code != 200 {
			t.Errorf("GET %s: %d", path, w.Code)
			continue
		}
		if err := Check(path, w.Body.Bytes()); err != nil {
			t.Errorf("GET %s: %v", path, err)
		}
		for _, m := range links.FindAllStringSubmatch(w.Body.String(), -1) {
			if !seen[m[1]] {
				seen[m[1]] = true
				todo = append(todo, m[1])
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d addresses found", len(seen))
	}
	if w := ask(s, "GET", "/nowhere", ""); w.Code != 404 {
		t.Errorf("GET /nowhere: %d", w.Code)
	}
}

func TestCheckSeesWrongBodies(t *testing.T) {
	good := Mark([]byte("<p>hello</p>"), "/a", "<!-- ", " -->")
	if err := Check("/a", good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		body []byte
	}{
		"another page":   {"/b", good},
		"changed":        {"/a", bytes.Replace(good, []byte("hello"), []byte("jello"), 1)},
		"empty":          {"/a", nil},
		"an error page":  {"/a", []byte("<h1>403</h1>")},
		"a cut PDF":      {"/poster.pdf", []byte("%PDF-1.3\nstream")},
		"begins elsehow": {"/a", good[4:]},
	} {
		if Check(c.path, c.body) == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestFeeds(t *testing.T) {
	s := quick(t)
	for _, path := range []string{"/feed.xml", "/donors.xml"} {
		w := ask(s, "GET", "http://larkmere.test"+path, "")
		if k := w.Header().Get("Content-Type"); !strings.HasPrefix(k, "application/rss+xml") {
			t.Errorf("%s is %q", path, k)
		}
		var f rssCheck
		if err := xml.Unmarshal(w.Body.Bytes(), &f); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		c := f.Channel
		if f.Version != "2.0" || c.Title == "" || c.Description == "" || len(c.Items) < 5 {
			t.Errorf("%s: version %q, title %q, %d items", path, f.Version, c.Title, len(c.Items))
		}
		guids := map[string]bool{}
		for _, i := range c.Items {
			if u, err := url.Parse(i.Link); err != nil || u.Host != "larkmere.test" {
				t.Errorf("%s: link %q", path, i.Link)
			}
			if _, err := time.Parse(time.RFC1123Z, i.PubDate); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if guids[i.GUID] {
				t.Errorf("%s: guid %q stands twice", path, i.GUID)
			}
			guids[i.GUID] = true
		}
	}
}

// rssCheck reads what a feed reader reads.
type rssCheck struct {
	XMLName xml.Name `xml:"rss"`
	Version string   `xml:"version,attr"`
	Channel struct {
		Title       string `xml:"title"`
		Description string `xml:"description"`
		Items       []struct {
			Link    string `xml:"link"`
			GUID    string `xml:"guid"`
			PubDate string `xml:"pubDate"`
		} `xml:"item"`
	} `xml:"channel"`
}

func TestDonationShowsThePublicNameOnly(t *testing.T) {
	s := quick(t)
	form := url.Values{"legal_name": {"Ochre Grebe-999"}, "public_name": {"<i>Ochre</i>"}, "pounds": {"12"}}
	if w := ask(s, "POST", "/donate", form.Encode()); w.Code != 200 {
		t.Fatalf("POST /donate: %d", w.Code)
	}
	for _, path := range []string{"/", "/donors", "/donors.xml"} {
		body := ask(s, "GET", path, "").Body.String()
		if strings.Contains(body, "Grebe-999") {
			t.Errorf("%s shows the legal name", path)
		}
		if strings.Contains(body, "<i>Ochre</i>") || !strings.Contains(body, "Ochre") {
			t.Errorf("%s does not show the public name, escaped", path)
		}
	}
	form.Set("pounds", "-1")
	if w := ask(s, "POST", "/donate", form.Encode()); w.Code != 422 {
		t.Errorf("a donation of -1: %d", w.Code)
	}
}

func TestCommentsAreKeptBounded(t *testing.T) {
	s := quick(t)
	for range keepComments + 20 {
		ask(s, "POST", "/news/council-vote", "name=Coot&text=Hear+hear")
	}
	if n := len(s.comments["council-vote"]); n != keepComments {
		t.Errorf("%d comments kept", n)
	}
	w := ask(s, "POST", "/news/council-vote", "text=%3Cscript%3E")
	if strings.Contains(w.Body.String(), "<script>") {
		t.Error("a comment is not escaped")
	}
	if err := Check("/news/council-vote", w.Body.Bytes()); err != nil {
		t.Error(err)
	}
}

func TestPoster(t *testing.T) {
	s := quick(t)
	for name, form := range map[string]url.Values{
		"plain":   {"title": {"Save the ferry"}, "slogan": {"Now"}, "date": {"Thursday"}, "place": {"Town hall"}},
		"empty":   {"colour": {"sun"}},
		"long":    {"title": {strings.Repeat("Wasserstrassenschifffahrt", 9)}, "slogan": {strings.Repeat("row ", 500)}},
		"strange": {"title": {"Überfahrt – 渡し船 \x00\xff"}, "colour": {"rose"}, "place": {"Łódź"}},
	} {
		w := ask(s, "POST", "/poster.pdf", form.Encode())
		if k := w.Header().Get("Content-Type"); w.Code != 200 || k != "application/pdf" {
			t.Errorf("%s: %d %s", name, w.Code, k)
		}
		if err := Check("/poster.pdf", w.Body.Bytes()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if b := w.Body.Bytes(); !bytes.HasPrefix(b, []byte("%PDF-1.")) || !bytes.Contains(b, []byte("/MediaBox")) || !bytes.Contains(b, []byte("startxref")) {
			t.Errorf("%s: no whole PDF", name)
		}
	}
}

func TestNotModified(t *testing.T) {
	s := quick(t)
	w := ask(s, "GET", "/static/style.css", "")
	if w = ask(s, "GET", "/static/style.css", "", "If-None-Match", w.Header().Get("Etag")); w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("%d with %d bytes", w.Code, w.Body.Len())
	}
}

func TestCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := DefaultConfig()
		s, err := New(c, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { ask(s, "GET", "/static/site.js", "") })
		}
		wg.Wait()
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("1000 requests took %v, want 2s at %v a second", took, c.Capacity())
		}
		if st := s.Stats(); st.Served != 1000 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestLineIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Config{Workers: 1, Work: time.Second, Line: 3, Patience: 1500 * time.Millisecond}
		s, err := New(c, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[int]int{}
		for range 10 {
			wg.Go(func() {
				w := ask(s, "GET", "/", "")
				mu.Lock()
				got[w.Code]++
				mu.Unlock()
			})
		}
		wg.Wait()
		// One is worked on at once, one after a second, two waited too long,
		// six found the line full.
		if got[200] != 2 || got[504] != 2 || got[503] != 6 {
			t.Errorf("%v", got)
		}
	})
}

func TestStatsTellVisitorsApart(t *testing.T) {
	s := quick(t)
	ask(s, "GET", "/", "", "X-Forwarded-For", "192.0.2.1")
	ask(s, "GET", "/", "", "X-Forwarded-For", "192.0.2.1, 198.51.100.7")
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "127.0.0.1:99"
	s.Handler().ServeHTTP(httptest.NewRecorder(), r)
	w := httptest.NewRecorder()
	s.StatsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/-/stats", nil))
	var st Stats
	if err := json.Unmarshal(w.Body.Bytes(), &st); err != nil {
		t.Fatal(err)
	}
	if st.Visitors != 1 || st.Others != 1 || st.Checks != 1 || st.Served != 3 {
		t.Errorf("%+v", st)
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) > 0 || DefaultConfig().Capacity() != 500 {
		t.Errorf("default: %v, capacity %v", l, DefaultConfig().Capacity())
	}
	if l := (Config{Workers: -1, Work: -1}).Validate(); len(l) != 4 {
		t.Errorf("%v", l)
	}
	if _, err := New(Config{}, time.Now()); err == nil {
		t.Error("a site without workers is built")
	}
}

func BenchmarkPage(b *testing.B) {
	c := DefaultConfig()
	c.Work = 0
	s, err := New(c, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	h := s.Handler()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}
}
