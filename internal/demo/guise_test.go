package demo

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"
	"time"

	"seawall/internal/demo/flood"
)

// Whatever a bot wears, it sends a request, and each is unlike the last in what the guise
// is about, and in nothing else.
func TestGuises(t *testing.T) {
	head := heads(host)[0]
	read := func(b []byte) *http.Request {
		t.Helper()
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		return r
	}
	plain := read(head)
	for _, g := range []Guise{GuiseQueries, GuiseAgents, GuisePages} {
		var c flood.Config
		if err := dress(&c, g); err != nil {
			t.Fatal(err)
		}
		one, two := read(c.Dress(nil, head, 1, 0)), read(c.Dress(nil, head, 2, pageTurn))
		for _, x := range []struct {
			of     Guise
			differ bool
		}{
			{GuiseQueries, one.URL.RawQuery != two.URL.RawQuery},
			{GuiseAgents, one.UserAgent() != two.UserAgent()},
			{GuisePages, one.URL.Path != two.URL.Path},
		} {
			if x.differ != (x.of == g) {
				t.Errorf("%s: %s differ: %v", g, x.of, x.differ)
			}
		}
		if len(one.Header) != len(plain.Header) || one.Host != plain.Host || one.Header.Get("Accept") != plain.Header.Get("Accept") {
			t.Errorf("%s: %v, plain %v", g, one.Header, plain.Header)
		}
	}
	var c flood.Config
	if dress(&c, GuisePulses) != nil || c.On != 2*time.Second || c.Off != c.On {
		t.Errorf("%v, %v", c.On, c.Off)
	}
	o := DefaultOptions()
	for o.Guise = range map[Guise]bool{GuisePages: true, "cape": true} {
		if len(o.Validate()) == 0 {
			t.Errorf("%q with the kind %q", o.Guise, o.Kind)
		}
	}
}
