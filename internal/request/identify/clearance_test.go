package identify

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/traffic"
)

// visitor is a made-up browser that keeps our cookie.
type visitor struct {
	addr  string
	order uint64
	jar   string // the Cookie header
}

func (b *visitor) visit(id *Identify) *traffic.Visit {
	v := &traffic.Visit{
		At: id.clock.Now(), Client: netip.MustParseAddr(b.addr), HeaderOrder: b.order,
		Method: "GET", Path: "/", Host: "example.org",
	}
	h := http.Header{"Accept": {acceptChrome}}
	if b.jar != "" {
		h["Cookie"] = []string{b.jar}
	}
	id.Identify(v, h)
	return v
}

func (b *visitor) keep(t *testing.T, setCookie string) {
	t.Helper()
	if setCookie == "" {
		t.Fatal("no cookie was given")
	}
	b.jar, _, _ = strings.Cut(setCookie, ";")
}

func TestClearance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newTest(t, nil)
		b := visitor{addr: "192.0.2.7", order: 11}
		v := b.visit(id)
		if v.Clearance != traffic.ClearanceNone || v.ClearanceID != 0 {
			t.Fatalf("a newcomer has clearance %v", v.Clearance)
		}
		issued := time.Now()
		b.keep(t, id.Cookie(v))
		v = b.visit(id)
		if v.Clearance != traffic.ClearanceProven || v.ClearanceID == 0 || !v.ClearanceAt.Equal(issued.Truncate(time.Second)) {
			t.Fatalf("it came back: %v, id %d, at %v", v.Clearance, v.ClearanceID, v.ClearanceAt)
		}
		number := v.ClearanceID

		for _, c := range []struct {
			name string
			b    visitor
			want traffic.Clearance
		}{
			{"the neighbour's address", visitor{"192.0.2.99", 12, b.jar}, traffic.ClearanceProven},
			{"another network, the same browser", visitor{"198.51.100.1", 11, b.jar}, traffic.ClearanceProven},
			{"another family, the same browser", visitor{"2001:db8::1", 11, b.jar}, traffic.ClearanceProven},
			{"another network, another browser", visitor{"198.51.100.1", 12, b.jar}, traffic.ClearanceNone},
			{"no order of headers is no binding", visitor{"198.51.100.1", 0, b.jar}, traffic.ClearanceNone},
			{"after junk of the same name", visitor{"192.0.2.7", 11, "seawall=junk; a=b; " + b.jar}, traffic.ClearanceProven},
			{"one letter changed", visitor{"192.0.2.7", 11, b.jar[:20] + flip(b.jar[20]) + b.jar[21:]}, traffic.ClearanceNone},
			{"cut short", visitor{"192.0.2.7", 11, b.jar[:len(b.jar)-1]}, traffic.ClearanceNone},
			{"under another name", visitor{"192.0.2.7", 11, "x" + b.jar}, traffic.ClearanceNone},
			{"after too many of them", visitor{"192.0.2.7", 11, strings.Repeat("seawall=junk;", maxCookieTries) + b.jar}, traffic.ClearanceNone},
		} {
			if got := c.b.visit(id).Clearance; got != c.want {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}

		// Renewing keeps the number and when it was first issued.
		time.Sleep(20 * time.Hour)
		v = b.visit(id)
		b.keep(t, id.Cookie(v))
		time.Sleep(20 * time.Hour)
		v = b.visit(id)
		if v.Clearance != traffic.ClearanceProven || v.ClearanceID != number || !v.ClearanceAt.Equal(issued.Truncate(time.Second)) {
			t.Errorf("40 h later: %v, id kept %v, at %v", v.Clearance, v.ClearanceID == number, v.ClearanceAt)
		}
		time.Sleep(5 * time.Hour)
		if v = b.visit(id); v.Clearance != traffic.ClearanceNone {
			t.Errorf("25 h after the last renewal: %v", v.Clearance)
		}
	})
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestClearanceOfAnotherKeyOrFutureIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newTest(t, nil)
		b := visitor{addr: "192.0.2.7", order: 11}
		v := b.visit(id)
		v.At = v.At.Add(time.Hour) // issued by a clock that is ahead
		b.keep(t, id.Cookie(v))
		if got := b.visit(id).Clearance; got != traffic.ClearanceNone {
			t.Errorf("issued in an hour: %v", got)
		}
	})
}

func TestNewClearancesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newTest(t, nil)
		got := 0
		for i := range 5000 { // rotating through the /64s of one /48
			b := visitor{addr: netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, byte(i >> 8), byte(i), 15: 1}).String()}
			if id.Cookie(b.visit(id)) != "" {
				got++
			}
		}
		if want := DefaultConfig().NewPerMinute; got != want {
			t.Errorf("%d new ones in a minute from one /48, want %d", got, want)
		}
		other := visitor{addr: "192.0.2.7"}
		if id.Cookie(other.visit(id)) == "" {
			t.Error("another prefix pays for it")
		}
		// Who has one may renew it in the middle of that.
		known := visitor{addr: "203.0.113.1", order: 5}
		known.keep(t, id.Cookie(known.visit(id)))
		for range 100 {
			if id.Cookie(known.visit(id)) == "" {
				t.Fatal("a renewal was refused")
			}
		}
		time.Sleep(time.Minute)
		b := visitor{addr: "2001:db8:1::1"}
		if id.Cookie(b.visit(id)) == "" {
			t.Error("none in the next minute either")
		}
	})
}

func TestCookieAttributes(t *testing.T) {
	id := newTest(t, nil)
	b := visitor{addr: "192.0.2.7"}
	c, err := http.ParseSetCookie(id.Cookie(b.visit(id)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "seawall" || c.Path != "/" || c.MaxAge != 86400 || !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteLaxMode || c.Domain != "" {
		t.Errorf("%+v", c)
	}
	if c, _ = http.ParseSetCookie(id.setCookie(b.visit(id), true)); !c.Secure {
		t.Error("not Secure over HTTPS")
	}
}

func TestOurs(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "",
		"a=1; b=2":                          "",
		"seawall=x":                         "x",
		" \tseawall = x ; a=1":              "x",
		"a=1;seawall=x;seawall=y;b;seawall": "x y",
		"seawallx=1; xseawall=2; seawall=3": "3",
		"a=seawall=1; seawall=2":            "2",
		"seawall=seawall; seawall=2":        "seawall 2",
		";;;seawall=;":                      "",
		"seawall=1;seawall=2;seawall=3;seawall=4;seawall=5": "1 2 3 4",
	} {
		var got []string
		ours([]string{"z=1", in}, "seawall", func(value string) bool {
			got = append(got, value)
			return false
		})
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: %q, want %q", in, s, want)
		}
	}
}

func TestWithout(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "",
		"a=1; b=2":                          "a=1; b=2",
		"seawall=x":                         "",
		"seawall=x; a=1":                    "a=1",
		"a=1; seawall=x":                    "a=1",
		"a=1; seawall=x; b=2":               "a=1; b=2",
		"a=1;seawall=x;b=2":                 "a=1;b=2",
		"seawall=x; a=1; seawall=y; b=2":    "a=1; b=2",
		"a=1; seawall =x; b=2":              "a=1; b=2",
		"a=1; seawall; b=2":                 "a=1; b=2",
		"seawallx=1; xseawall=2":            "seawallx=1; xseawall=2",
		"Seawall=1":                         "Seawall=1",
		`a="q;  r" ;; b==2;c; `:             `a="q;  r" ;; b==2;c; `,
		`a="q;  r" ;; b==2;c; ;seawall=.`:   `a="q;  r" ;; b==2;c; `,
		"a=seawall=x":                       "a=seawall=x",
		"a=1; seawall=x=y; \tb=caf\xe9\x00": "a=1; \tb=caf\xe9\x00",
	} {
		if got := without(in, "seawall"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Ours never gets through, and the others do as they are.
func FuzzCookie(f *testing.F) {
	f.Add("a=1; seawall=x; b=2")
	f.Add(" seawall = x;seawall;;")
	f.Add(`a="x; seawall=y"`)
	id := newTest(f, nil)
	f.Fuzz(func(t *testing.T, field string) {
		got := without(field, "seawall")
		for _, c := range strings.Split(got, ";") {
			name, _, _ := strings.Cut(c, "=")
			if trim(name) == "seawall" {
				t.Fatalf("%q became %q", field, got)
			}
		}
		var others []string
		for _, c := range strings.Split(field, ";") {
			name, _, _ := strings.Cut(c, "=")
			if trim(name) != "seawall" {
				others = append(others, c)
			}
		}
		if want := strings.Join(others, ";"); got != want && got != strings.TrimLeft(want, " \t") {
			t.Fatalf("%q became %q, want %q", field, got, want)
		}
		v := traffic.Visit{Client: netip.MustParseAddr("192.0.2.1")}
		if _, ok := id.clearanceOf(&v, http.Header{"Cookie": {field}}); ok {
			t.Fatalf("%q is taken for a clearance", field)
		}
	})
}

func TestConfigProblems(t *testing.T) {
	if p := DefaultConfig().Validate(); len(p) != 0 {
		t.Errorf("the defaults: %v", p.Err())
	}
	bad := Config{TrustedProxies: []string{"loopback", "nobody"}, ClientHeader: "x", CountryFile: "/does/not/exist",
		NetworkFile: t.TempDir(), Cookie: "__Host-a", ClearanceFor: time.Second, NewPerMinute: 0}
	var keys []string
	for _, p := range bad.Validate() {
		keys = append(keys, p.Key)
		if p.Hint == "" {
			t.Errorf("%s: no hint", p.Key)
		}
	}
	want := "trusted_proxies[1] client_header scheme country_file network_file cookie clearance_for new_per_minute"
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("problems at %q, want %q", got, want)
	}
}
