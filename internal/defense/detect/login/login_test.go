package login

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// site has readers, of whom one in forty logs in, with this answer.
func site(status int) *traffic.Normal {
	n := &traffic.Normal{Learned: time.Hour, Requests: 30, Peak: 40, AssetShare: 0.6, ClearanceShare: 0.9}
	for i := range 400 {
		s := traffic.Sample{Visit: traffic.Visit{Method: "GET", Path: "/"}, Outcome: traffic.Outcome{Status: 200}}
		if i%40 == 0 {
			s.Visit.Method, s.Visit.Path, s.Outcome.Status = "POST", "/login", status
		}
		n.Ordinary = append(n.Ordinary, s)
	}
	return n
}

// post is some forms sent.
type post struct {
	n       int
	path    string
	status  int
	clients int
	kind    traffic.Kind
	like    bool // visitors
}

func window(sec int, posts ...post) *traffic.Window {
	w := &traffic.Window{At: clock.Instant(time.Hour).Add(time.Duration(sec) * time.Second), Span: time.Second}
	for k, p := range posts {
		for i := range p.n {
			s := traffic.Sample{
				Visit:   traffic.Visit{Method: "POST", Path: p.path, Kind: p.kind, Client: netip.AddrFrom4([4]byte{10, byte(k), 0, byte((sec + i) % p.clients)})},
				Outcome: traffic.Outcome{Status: p.status},
			}
			if p.like {
				s.Visit.Clearance = traffic.ClearanceProven
			}
			w.Samples = append(w.Samples, s)
		}
	}
	w.Offered = uint64(len(w.Samples))
	return w
}

func TestFloods(t *testing.T) {
	noTraits := site(302)
	noTraits.AssetShare, noTraits.ClearanceShare = 0, 0
	for _, c := range []struct {
		name string
		p    post
		n    *traffic.Normal
		want string
	}{
		{"passwords", post{n: 20, path: "/login", status: 401, clients: 20}, site(302), "passwords tried at /login"},
		{"a form", post{n: 20, path: "/comment", status: 200, clients: 20}, site(302), "forms sent at /comment"},
		{"too few", post{n: 9, path: "/comment", status: 200, clients: 9}, site(302), ""},
		{"a petition that people sign", post{n: 60, path: "/petition", status: 200, clients: 60, like: true}, site(302), ""},
		{"programs that call back", post{n: 60, path: "/hooks/pay", status: 200, clients: 2, kind: traffic.KindAPI}, site(302), ""},
		{"passwords at an API", post{n: 20, path: "/api/login", status: 401, clients: 20, kind: traffic.KindAPI}, site(302), "passwords tried at /api/login"},
		{"where visitors cannot be told, passwords", post{n: 40, path: "/login", status: 401, clients: 20}, noTraits, "passwords tried at /login"},
		{"where visitors cannot be told, a form", post{n: 40, path: "/comment", status: 200, clients: 20}, noTraits, ""},
		{"nothing is known, passwords", post{n: 40, path: "/login", status: 401, clients: 20}, nil, "passwords tried at /login"},
		{"nothing is known, and they succeed", post{n: 40, path: "/login", status: 302, clients: 20}, nil, ""},
	} {
		fs := New(DefaultConfig()).Detect(window(1, c.p), c.n)
		var got string
		if len(fs) > 0 && fs[0].Vector == attack.FormFlood {
			got = fs[0].What
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q: %+v", c.name, got, c.want, fs)
		}
	}
}

// Over two minutes: who guesses, and who does not.
func TestGuessing(t *testing.T) {
	for _, c := range []struct {
		name  string
		each  int // seconds between two
		p     post
		n     *traffic.Normal
		want  string // of What, in it
		until int    // it is found within these seconds
	}{
		{"one client, every five seconds", 5, post{path: "/login", status: 401, clients: 1}, site(302), "one client", 60},
		{"one client, every ten seconds", 10, post{path: "/login", status: 401, clients: 1}, site(302), "", 0},
		{"one that fails at first", 30, post{path: "/login", status: 401, clients: 1}, site(302), "", 0},
		{"forty clients, one a second", 1, post{path: "/login", status: 401, clients: 40}, site(302), "clients", 60},
		{"forty clients, where as many fail always", 1, post{path: "/login", status: 401, clients: 40}, site(401), "", 0},
		{"forty clients, of whom half get in", 1, post{path: "/login", status: 0, clients: 40}, site(302), "", 0},
		{"forty clients that get in", 1, post{path: "/login", status: 302, clients: 40}, site(302), "", 0},
		{"an office that logs in, where 200 is success", 1, post{path: "/login", status: 200, clients: 1}, site(200), "", 0},
		{"one client, answered 200 where that is unusual", 1, post{path: "/login", status: 200, clients: 1}, site(302), "one client", 60},
		{"WordPress, which says 200", 5, post{path: "/blog/wp-login.php", status: 200, clients: 1}, site(302), "/blog/wp-login.php", 60},
		{"a form that is none to log in", 1, post{path: "/comment", status: 403, clients: 1}, site(302), "", 0},
	} {
		d, found := New(DefaultConfig()), 0
		var what string
		for sec := 1; sec <= 120; sec++ {
			var posts []post
			if sec%c.each == 0 {
				p := c.p
				p.n = 1
				if p.status == 0 { // one in two fails
					p.status = 302 + 99*(sec%2)
				}
				posts = append(posts, p)
			}
			for _, f := range d.Detect(window(sec, posts...), c.n) {
				if f.Vector != attack.PasswordGuessing {
					t.Fatalf("%s: %+v", c.name, f)
				}
				if found == 0 {
					found, what = sec, f.What
				}
			}
		}
		if (found > 0) != (c.want != "") || !strings.Contains(what, c.want) || found > c.until {
			t.Errorf("%s: after %d s %q, want %q within %d s", c.name, found, what, c.want, c.until)
		}
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Error(l)
	}
	if l := (Config{}).Validate(); len(l) < 5 {
		t.Errorf("an empty configuration has %d problems: %v", len(l), l)
	}
}
