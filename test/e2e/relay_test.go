package e2e

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// v2 is a PROXY protocol header of version 2 (section 2.2 of its
// specification).
func v2(src string, port uint16) string {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21)
	a := netip.MustParseAddr(src)
	if a.Is4() {
		b = append(append(append(b, 0x11, 0, 12), a.AsSlice()...), 127, 0, 0, 1)
	} else {
		b = append(append(append(b, 0x21, 0, 36), a.AsSlice()...), netip.IPv6Loopback().AsSlice()...)
	}
	return string(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, port), 80))
}

const local = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" // a relay's own health check

// What the origin learns of a visitor, by who says so.
func TestWhoAsked(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	trusting := start(t, config{"trusted_proxies": []string{"loopback"}, "listen": config{"proxy_protocol": "optional"}}, o.url)
	strict := start(t, nil, o.url)
	forged := "X-Forwarded-For: 192.0.2.1, 198.51.100.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=192.0.2.3\r\nX-Real-IP: 192.0.2.4\r\n"
	for i, c := range []struct {
		name, preface, fields string
		wall                  *wall
		client, proto         string
	}{
		{"nobody says anything", "", "", strict, "127.0.0.1", "http"},
		{"a stranger forges", "", forged, strict, "127.0.0.1", "http"},
		{"a stranger forges with _", "", "X_Forwarded_For: 192.0.2.1\r\nx-forwarded-for: 192.0.2.1\r\n", strict, "127.0.0.1", "http"},
		{"a stranger names them in Connection", "", "Connection: X-Forwarded-For, Forwarded\r\n", strict, "127.0.0.1", "http"},
		{"v1", "PROXY TCP4 203.0.113.5 127.0.0.1 4000 80\r\n", "", trusting, "203.0.113.5", "http"},
		{"v1 of IPv6", "PROXY TCP6 2001:db8::5 ::1 4000 80\r\n", "", trusting, "2001:db8::5", "http"},
		{"v1, unknown", "PROXY UNKNOWN\r\n", "", trusting, "127.0.0.1", "http"},
		{"v2", v2("203.0.113.6", 4000), "", trusting, "203.0.113.6", "http"},
		{"v2 of IPv6", v2("2001:db8::6", 4000), "", trusting, "2001:db8::6", "http"},
		{"v2, mapped", v2("::ffff:203.0.113.7", 4000), "", trusting, "203.0.113.7", "http"},
		{"v2, local", local, "", trusting, "127.0.0.1", "http"},
		{"a visitor behind v1 forges", "PROXY TCP4 203.0.113.5 127.0.0.1 4000 80\r\n", forged, trusting, "203.0.113.5", "http"},
		{"a relay forwards", "", "X-Forwarded-For: 198.51.100.2\r\nX-Forwarded-Proto: https\r\n", trusting, "198.51.100.2", "https"},
		{"a visitor forges, a relay forwards", "", "X-Forwarded-For: 192.0.2.1, 198.51.100.2\r\n", trusting, "198.51.100.2", "http"},
		{"through two relays", "", "X-Forwarded-For: 198.51.100.2, 127.0.0.9\r\n", trusting, "198.51.100.2", "http"},
		{"a relay writes Forwarded", "", "Forwarded: for=\"[2001:db8::7]:99\"\r\n", trusting, "2001:db8::7", "http"},
		{"a relay writes nonsense", "", "X-Forwarded-For: nonsense\r\n", trusting, "127.0.0.1", "http"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := fmt.Sprintf("/who/%d", i)
			conn := c.wall.dial()
			fmt.Fprintf(conn, "%sGET %s HTTP/1.1\r\nHost: www.site:8080\r\n%s\r\n", c.preface, path, c.fields)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%v, %v", resp, err)
			}
			h := o.last(path).Header
			forwarded := c.client
			if strings.Contains(forwarded, ":") {
				forwarded = `"[` + forwarded + `]"`
			}
			for name, want := range map[string]string{
				"X-Forwarded-For": c.client, "X-Forwarded-Proto": c.proto, "X-Forwarded-Host": "www.site:8080",
				"Forwarded": "for=" + forwarded + `;host="www.site:8080";proto=` + c.proto,
			} {
				if got := h[name]; len(got) != 1 || got[0] != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			for name := range h {
				if n := strings.ReplaceAll(name, "_", "-"); n != name && strings.EqualFold(n, "X-Forwarded-For") || name == "X-Real-Ip" {
					t.Errorf("forged %s: %q reached the origin", name, h[name])
				}
			}
			if o.last(path).Host != "www.site:8080" {
				t.Errorf("Host: %s", o.last(path).Host)
			}
		})
	}
}

// A relay that must tell addresses and does not is cut off.
func TestProxyHeaderRequired(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, config{"trusted_proxies": []string{"loopback"}, "listen": config{"proxy_protocol": "required"}}, o.url)
	for name, raw := range map[string]string{
		"none":      evil,
		"cut":       "PROXY TCP4 203.0.113.5 127.0.0.1\r\n" + evil,
		"no number": "PROXY TCP4 203.0.113.5 127.0.0.1 a 80\r\n" + evil,
		"very long": "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n" + evil,
		"v2, short": v2("203.0.113.5", 1)[:14] + "\x00\x04abcd" + evil,
		"v2, v3":    strings.Replace(v2("203.0.113.5", 1), "\n\x21", "\n\x31", 1) + evil,
	} {
		c := w.dial()
		fmt.Fprint(c, raw)
		b, _ := io.ReadAll(c)
		if strings.Contains(string(b), " 200 ") {
			t.Errorf("%s: %q", name, b)
		}
	}
	if o.count("/evil") > 0 {
		t.Error("a connection without a proper header reached the origin")
	}
}

// Seawall's cookie stays between the visitor and Seawall; the others go
// through untouched.
func TestOwnCookieStaysHere(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	resp, _ := fetch(t, "GET", w.url("/page"), "", "Accept: text/html")
	var ours string
	for _, c := range resp.Cookies() {
		if c.Name == "seawall" {
			ours = c.Name + "=" + c.Value
			if !c.HttpOnly || c.SameSite == http.SameSiteDefaultMode {
				t.Errorf("the cookie: %v", c)
			}
		}
	}
	if ours == "" {
		t.Fatal("no cookie on a page")
	}
	for sent, want := range map[string]string{
		ours:                          "",
		"a=b; " + ours + "; c=d":      "a=b; c=d",
		ours + "; a=b":                "a=b",
		"a=b; seawall=x; seawall=y":   "a=b",
		"seawall2=a; xseawall=b; c":   "seawall2=a; xseawall=b; c",
		"a=\"q; " + ours:              "a=\"q",
		"a=b;" + ours + ";c=d":        "a=b;c=d",
		ours + "; " + ours + "; z=1":  "z=1",
		" " + ours + " ; a=seawall=1": "a=seawall=1",
	} {
		if _, got := fetch(t, "GET", w.url("/cookie"), "", "Cookie: "+sent); strings.ReplaceAll(got, "; ", ";") != strings.ReplaceAll(want, "; ", ";") {
			t.Errorf("of %q the origin saw %q, want %q", sent, got, want)
		}
	}
	fetch(t, "GET", w.url("/cookie"), "", "Cookie: a=b", "Cookie: "+ours)
	if h := o.last("/cookie").Header["Cookie"]; strings.Contains(strings.Join(h, ";"), "seawall") {
		t.Errorf("two fields: the origin saw %q", h)
	}
}

// Who did not ask for HTML never gets any.
func TestRefusalsFitWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, config{"admit": config{"deny": []string{"127.0.0.0/8"}}}, o.url)
	for _, c := range []struct {
		name, path string
		fields     []string
		want       string
	}{
		{"browser", "/", []string{"Accept: text/html,application/xhtml+xml,*/*;q=0.8", "User-Agent: Mozilla/5.0 Firefox/140.0"}, "text/html"},
		{"feed reader", "/feed.xml", []string{"Accept: application/atom+xml, application/rss+xml;q=0.9, */*;q=0.1", "User-Agent: FreshRSS/1.27"}, "text/plain"},
		{"feed reader that takes anything", "/feed", []string{"Accept: */*", "User-Agent: Miniflux"}, "text/plain"},
		{"feed in a browser", "/rss.xml", []string{"Accept: text/html,*/*;q=0.8", "User-Agent: Mozilla/5.0 Firefox/140.0"}, ""},
		{"curl", "/", []string{"Accept: */*", "User-Agent: curl/8.9.1"}, "not html"},
		{"JSON", "/things", []string{"Accept: application/json", "User-Agent: app/1"}, "json"},
		{"API", "/api/v1/things", []string{"Accept: */*", "User-Agent: python-requests/2.32"}, "json"},
		{"API call of a page", "/api/v1/things", []string{"Accept: application/json", "X-Requested-With: XMLHttpRequest", "User-Agent: Mozilla/5.0 Firefox/140.0"}, "json"},
		{"calendar", "/events.ics", []string{"Accept: text/calendar"}, "not html"},
		{"picture", "/a.png", []string{"Accept: image/avif,image/*,*/*;q=0.8", "User-Agent: Mozilla/5.0 Firefox/140.0"}, "text/plain"},
		{"nothing at all", "/api/x", nil, "json"},
	} {
		resp, body := fetch(t, "GET", w.url(c.path), "", c.fields...)
		kind := resp.Header.Get("Content-Type")
		if resp.StatusCode != 403 || resp.Header.Get("Seawall-Ref") == "" {
			t.Errorf("%s: %s, reference %q", c.name, resp.Status, resp.Header.Get("Seawall-Ref"))
		}
		isHTML := strings.Contains(kind, "html") || strings.Contains(body, "<html")
		switch c.want {
		case "not html":
			if isHTML {
				t.Errorf("%s: got %s", c.name, kind)
			}
		case "json":
			var v map[string]any
			if err := json.Unmarshal([]byte(body), &v); err != nil || !strings.Contains(kind, "json") {
				t.Errorf("%s: got %s %q", c.name, kind, body)
			}
		default:
			if !strings.HasPrefix(kind, c.want) {
				t.Errorf("%s: got %s", c.name, kind)
			}
		}
	}
	if n := len(o.paths()); n > 0 {
		t.Errorf("the origin was asked %d times", n)
	}
	if resp, _ := fetch(t, "GET", w.url("/.well-known/acme-challenge/token"), ""); resp.StatusCode != 200 {
		t.Errorf("certificate validation: %s", resp.Status)
	}
}
