package attack

import (
	"testing"

	"seawall/internal/traffic"
)

func TestPart(t *testing.T) {
	v := traffic.Visit{Method: "POST", Path: "/login", QueryShape: 7}
	for _, c := range []struct {
		part Part
		want bool
	}{
		{Part{}, true},
		{Part{Path: "/login"}, true},
		{Part{Path: "/log"}, false},
		{Part{Path: "/login", Method: "POST", Query: true}, true},
		{Part{Path: "/login", Method: "GET"}, false},
	} {
		if got := c.part.Has(&v); got != c.want {
			t.Errorf("%+v has it: %v", c.part, got)
		}
	}
	if (Part{Query: true}).Has(&traffic.Visit{Path: "/login"}) {
		t.Error("a visit without a query is taken for one with")
	}
	if got := (Part{Path: "/a"}).Where() + (Part{Query: true}).Where(); got != " at /a" {
		t.Errorf("%q", got)
	}
}

// The flood of all requests stands for an attack, whatever else was found; what is no
// flood of requests never does.
func TestFlood(t *testing.T) {
	scan, costly, busting := Finding{Vector: Scanning, Rate: 900}, Finding{Vector: CostlyRequests, Rate: 20}, Finding{Vector: CacheBusting, Rate: 50}
	for _, c := range []struct {
		in   []Finding
		want Vector
	}{
		{nil, ""}, {[]Finding{scan, {Vector: FlashCrowd}, {Vector: SynFlood}, {Vector: PulseWave}, {Vector: PasswordGuessing}, {Vector: Scraping}}, ""},
		{[]Finding{costly, scan, busting}, CacheBusting},
		{[]Finding{busting, {Vector: HTTPFlood, Rate: 1}}, HTTPFlood},
	} {
		var got Vector
		if f := Flood(c.in); f != nil {
			got = f.Vector
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.in, got, c.want)
		}
	}
}
