package identify

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/traffic"
)

// listened is a ResponseWriter as listen gives it to the rooms.
type listened struct {
	http.ResponseWriter
	visit *traffic.Visit
}

func (l *listened) Visit() *traffic.Visit       { return l.visit }
func (l *listened) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// door stands in for listen: it fills a Visit and hands the request on.
func door(id *Identify, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := netip.MustParseAddrPort(r.RemoteAddr).Addr()
		v := &traffic.Visit{
			At: id.clock.Now(), Peer: peer, Client: peer, HeaderOrder: 42, Method: r.Method,
			Host: r.Host, Path: r.URL.Path, RawQuery: r.URL.RawQuery, UserAgent: r.UserAgent(),
		}
		id.Identify(v, r.Header)
		next.ServeHTTP(&listened{w, v}, r)
	})
}

// ask sends one request through the room and returns the answer and the cookies
// that reached the origin.
func ask(id *Identify, method, path string, header, answer map[string]string, status int) (*http.Response, []string) {
	var reached []string
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = r.Header["Cookie"]
		for k, v := range answer {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "body")
	})
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept", acceptChrome)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	rec := httptest.NewRecorder()
	door(id, id.Room(origin)).ServeHTTP(rec, r)
	return rec.Result(), reached
}

func TestRoomGivesClearancesToPagesOnly(t *testing.T) {
	id := newTest(t, func(c *Config) { c.NewPerMinute = 1000 })
	type h = map[string]string
	html := h{"Content-Type": "text/html; charset=utf-8"}
	for _, c := range []struct {
		name   string
		method string
		path   string
		header h
		answer h
		status int
		want   bool
	}{
		{"a page", "GET", "/", nil, html, 200, true},
		{"a private page", "GET", "/", nil, h{"Content-Type": "Text/HTML", "Cache-Control": "private, max-age=60"}, 200, true},
		{"a public page", "GET", "/", nil, h{"Content-Type": "text/html", "Cache-Control": "max-age=60, Public"}, 200, false},
		{"a page for shared caches", "GET", "/", nil, h{"Content-Type": "text/html", "Cache-Control": "s-maxage=60"}, 200, false},
		{"a page for a delivery network", "GET", "/", nil, h{"Content-Type": "text/html", "Surrogate-Control": "max-age=60"}, 200, false},
		{"no page after all", "GET", "/", nil, h{"Content-Type": "application/json"}, 200, false},
		{"not found", "GET", "/", nil, html, 404, false},
		{"moved", "GET", "/", nil, html, 302, false},
		{"HEAD", "HEAD", "/", nil, html, 200, false},
		{"POST", "POST", "/", h{"Content-Type": "multipart/form-data"}, html, 200, false},
		{"an asset", "GET", "/x.css", nil, html, 200, false},
		{"a feed", "GET", "/feed", nil, html, 200, false},
		{"an API", "GET", "/api/x", nil, html, 200, false},
		{"fetch", "GET", "/x", h{"Sec-Fetch-Dest": "empty"}, html, 200, false},
	} {
		res, _ := ask(id, c.method, c.path, c.header, c.answer, c.status)
		if got := len(res.Cookies()) == 1; got != c.want {
			t.Errorf("%s: a cookie %v, want %v", c.name, got, c.want)
		}
	}
}

func TestOurCookieNeverReachesTheOrigin(t *testing.T) {
	id := newTest(t, nil)
	res, _ := ask(id, "GET", "/", nil, map[string]string{"Content-Type": "text/html"}, 200)
	ours := res.Cookies()[0].Name + "=" + res.Cookies()[0].Value
	for _, path := range []string{"/", "/x.css", "/feed", "/api/x"} {
		res, reached := ask(id, "GET", path, map[string]string{"Cookie": `session=a"b; ` + ours + `;theme=d%20k`}, nil, 200)
		if len(reached) != 1 || reached[0] != `session=a"b;theme=d%20k` {
			t.Errorf("%s: the origin got %q", path, reached)
		}
		if len(res.Cookies()) != 0 {
			t.Errorf("%s: who has a clearance was given another", path)
		}
		if _, reached = ask(id, "GET", path, map[string]string{"Cookie": ours}, nil, 200); reached != nil {
			t.Errorf("%s: the origin got %q", path, reached)
		}
	}

	// Several fields, and a request that missed the door.
	r := httptest.NewRequest("GET", "/", nil)
	sent := []string{"a=1", ours, "seawall=junk; b=2"}
	r.Header["Cookie"] = sent
	id.Room(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := strings.Join(r.Header["Cookie"], "|"); got != "a=1|b=2" {
			t.Errorf("the origin got %q", got)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	if sent[1] != ours {
		t.Error("the caller's slice was changed")
	}
}

func TestRoomRenewsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newTest(t, nil)
		html := map[string]string{"Content-Type": "text/html"}
		res, _ := ask(id, "GET", "/", nil, html, 200)
		jar := map[string]string{"Cookie": res.Cookies()[0].Name + "=" + res.Cookies()[0].Value}
		time.Sleep(11 * time.Hour)
		if res, _ = ask(id, "GET", "/", jar, html, 200); len(res.Cookies()) != 0 {
			t.Error("renewed before half its time")
		}
		time.Sleep(2 * time.Hour)
		if res, _ = ask(id, "GET", "/x.css", jar, nil, 200); len(res.Cookies()) != 0 {
			t.Error("renewed on an asset")
		}
		if res, _ = ask(id, "GET", "/", jar, html, 200); len(res.Cookies()) != 1 {
			t.Error("not renewed after half its time")
		}
	})
}

// Who can go past the room loses our cookie all the same, and misses none.
func TestStraightPastTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newTest(t, nil)
		res, _ := ask(id, "GET", "/", nil, map[string]string{"Content-Type": "text/html"}, 200)
		ours := res.Cookies()[0].Name + "=" + res.Cookies()[0].Value
		straight := func(method, path, cookie string) (can bool) {
			r := httptest.NewRequest(method, path, nil)
			r.Header.Set("Accept", acceptChrome)
			if cookie != "" {
				r.Header.Set("Cookie", cookie)
			}
			door(id, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				can = id.Straight(visitOf(w), r.Header)
			})).ServeHTTP(httptest.NewRecorder(), r)
			return can
		}
		for _, c := range []struct {
			method, path, cookie string
			want                 bool
		}{
			{"GET", "/", "", false},
			{"GET", "/", "a=1", false},
			{"GET", "/", ours, true},
			{"HEAD", "/", "", true},
			{"GET", "/x.css", "", true},
		} {
			if got := straight(c.method, c.path, c.cookie); got != c.want {
				t.Errorf("%s %s with %q: straight %v", c.method, c.path, c.cookie, got)
			}
		}
		time.Sleep(13 * time.Hour)
		if straight("GET", "/", ours) {
			t.Error("who is due for another goes past the room")
		}
		if !straight("GET", "/x.css", ours) {
			t.Error("an asset does not go past the room")
		}
		for field, want := range map[string]string{
			"a=1; " + ours + "; b=2": "a=1; b=2", ours: "", "a=1": "a=1", "seawall=junk; b=2": "b=2", "b=2;" + id.cookie: "b=2",
		} {
			if got := id.Keep(field); got != want {
				t.Errorf("of %q %q is kept", field, got)
			}
		}
	})
}

func TestSecureFollowsTheVisitorsScheme(t *testing.T) {
	html := map[string]string{"Content-Type": "text/html"}
	relay := func(c *Config) { c.TrustedProxies = []string{"192.0.2.1"} } // httptest's peer
	always := func(c *Config) { c.Scheme = SchemeHTTPS }
	for _, c := range []struct {
		name  string
		cfg   func(*Config)
		proto string
		want  bool
	}{
		{"direct", nil, "", false},
		{"direct, and claims it", nil, "https", false},
		{"relay says nothing", relay, "", false},
		{"relay says http", relay, "http", false},
		{"relay says https", relay, "https", true},
		{"relay shouts", relay, "HTTPS", true},
		{"configured", always, "", true},
	} {
		id := newTest(t, c.cfg)
		res, _ := ask(id, "GET", "/", map[string]string{"X-Forwarded-Proto": c.proto, "X-Forwarded-For": "198.51.100.1"}, html, 200)
		if res.Cookies()[0].Secure != c.want {
			t.Errorf("%s: Secure %v", c.name, !c.want)
		}
	}
}

// Over a real connection: early hints, a flush before the first byte, copying,
// and an upgrade all get through the wrapper.
func TestWrapperKeepsWhatTheWriterCan(t *testing.T) {
	id := newTest(t, nil)
	mux := http.NewServeMux()
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</x.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "page")
	})
	mux.HandleFunc("/flush", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(w, strings.NewReader("page"))
	})
	mux.HandleFunc("/copy", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if _, ok := w.(io.ReaderFrom); !ok {
			t.Error("no ReaderFrom")
		}
		_, _ = io.Copy(w, strings.NewReader("page"))
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npage")
		_ = c.Close()
	})
	srv := httptest.NewServer(door(id, id.Room(mux)))
	defer srv.Close()
	for path, cookie := range map[string]bool{"/hints": true, "/flush": true, "/copy": true, "/hijack": false} {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
		in := bufio.NewReader(c)
		res, err := http.ReadResponse(in, nil)
		if err == nil && res.StatusCode == http.StatusEarlyHints {
			if len(res.Cookies()) != 0 {
				t.Errorf("%s: a cookie among the hints", path)
			}
			res, err = http.ReadResponse(in, nil)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != 200 || string(body) != "page" || len(res.Cookies()) == 1 != cookie {
			t.Errorf("%s: %d %q, cookies %v", path, res.StatusCode, body, res.Cookies())
		}
		_ = c.Close()
	}
}
