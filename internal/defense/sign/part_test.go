package sign

import (
	"strings"
	"testing"

	"seawall/internal/attack"
	"seawall/internal/traffic"
)

// A flood of a part of the requests is described by that part, and by what visitors
// earn; what it would hit besides is measured on ordinary traffic.
func TestPart(t *testing.T) {
	r := dice()
	n := normal(r, 2000, 0.02)
	flood := make([]traffic.Sample, 10)
	for i := range flood {
		flood[i] = bot(r, 0.5)
		flood[i].Visit.Path = "/form"
	}
	for _, c := range []struct {
		part attack.Part
		want string // "" for nothing
	}{
		{attack.Part{Path: "/form"}, `clearance == "none" && standing != "good" && path == "/form"`},
		{attack.Part{Path: "/form", Method: "POST"}, `clearance == "none" && standing != "good" && path == "/form" && method == "POST"`},
		{attack.Part{Path: "/form", Query: true}, `query_shape != "" && clearance == "none" && standing != "good" && path == "/form"`},
		{attack.Part{Query: true}, ""},
		{attack.Part{Path: "/bad\xff"}, ""},
	} {
		s, ok := Part(&attack.Finding{Part: c.part}, flood, n)
		if ok != (c.want != "") || ok && s.Match.String() != c.want {
			t.Errorf("%+v: %v %v", c.part, ok, s.Match)
		}
	}
	// Of a page that hardly anybody is known to read, nobody can say who is new to it; a form
	// is sent by those who have read its page.
	s, _ := Part(&attack.Finding{Part: attack.Part{Path: "/form", Method: "POST"}}, flood, n)
	if s.Newcomers != 0 {
		t.Errorf("a form: %+v", s)
	}
	s, _ = Part(&attack.Finding{Part: attack.Part{Path: "/form"}}, flood, n)
	if s.Coverage != 1 || s.Collateral != 0 || s.Newcomers != 1 || s.Ordinary != 2000 || s.Flood != 10 || s.Bound <= 0 || s.Bound > 0.01 {
		t.Errorf("%+v", s)
	}
	// A page that newcomers read as well.
	for i := range flood {
		flood[i].Visit.Path = "/"
	}
	s, _ = Part(&attack.Finding{Part: attack.Part{Path: "/"}}, flood, n)
	if s.Newcomers < 0.3 || s.Collateral <= 0 {
		t.Errorf("the front page: %+v", s)
	}
	// A clipped path stands for all that begin like it.
	s, ok := Part(&attack.Finding{Part: attack.Part{Path: "/" + strings.Repeat("x", 159)}}, flood, nil)
	if !ok || !strings.Contains(s.Match.String(), "startsWith") || s.Ordinary != 0 || s.Bound != 1 {
		t.Errorf("%v %+v", ok, s)
	}
}
