package defense

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"

	"seawall/internal/traffic"
)

// ordinaryDay is a thousand requests: 4 in a thousand ask for /old by hand, of
// three clients, one of them with a clearance.
func ordinaryDay() *traffic.Normal {
	n := &traffic.Normal{}
	for i := range 1000 {
		s := traffic.Sample{Visit: traffic.Visit{
			Client: netip.AddrFrom4([4]byte{203, 0, byte(113 + i%3), byte(i % 3)}), Method: "GET", Host: "www.example.org",
			Path: fmt.Sprint("/news/", i%7), UserAgent: "Mozilla/5.0", RawQuery: "secret=1",
		}}
		if i%250 == 0 {
			s.Visit.Path = "/old"
			s.Visit.UserAgent = fmt.Sprint("curl/", i/500)
		}
		if i == 500 {
			s.Visit.Clearance = traffic.ClearanceProven
		}
		n.Ordinary = append(n.Ordinary, s)
	}
	for i := range 200 {
		n.Packets.Ordinary = append(n.Packets.Ordinary, traffic.Packet{Length: uint16(100 + i)})
	}
	return n
}

func tryOne(t *testing.T, r Rule) Trial {
	t.Helper()
	rules := Rules{r}
	if err := rules.Validate().Err(); err != nil {
		t.Fatal(err)
	}
	return try(r, &rules.Parsed()[0], ordinaryDay())
}

// What a rule would have met, of what, and whether that is too much.
func TestTry(t *testing.T) {
	old := Rule{Name: "old", Match: `path == "/old"`, Action: "refuse"}
	got := tryOne(t, old)
	s := got.Spans[0]
	if s.Of != "hour" || s.Tested != 1000 || s.Hits != 4 || s.Cleared != 1 || s.Clients != 3 || !got.TooMuch {
		t.Errorf("%+v", got)
	}
	// Wilson's interval of 4 in 1000, worked out by hand.
	if math.Abs(s.Share-0.004) > 1e-9 || math.Abs(s.Low-0.001557) > 2e-6 || math.Abs(s.High-0.010240) > 2e-6 {
		t.Errorf("%.6f (%.6f to %.6f)", s.Share, s.Low, s.High)
	}
	if len(s.Paths) != 1 || s.Paths[0] != (Counted{"/old", 4}) || len(s.Agents) != 2 || s.Agents[0] != (Counted{"curl/0", 2}) {
		t.Errorf("%+v %+v", s.Paths, s.Agents)
	}
	if len(s.Examples) != 2 || s.Examples[0].UserAgent != "curl/0" || s.Examples[1].Clearance != "proven" {
		t.Errorf("%+v", s.Examples)
	}
	text, err := json.Marshal(got)
	if err != nil || strings.Contains(string(text), "203.0.11") || strings.Contains(string(text), "secret") {
		t.Errorf("an address, or a query, in %s", text)
	}
}

// A path that fewer than three networks asked for may be a secret link: it is shown of no
// span, though it counts.
func TestTryShowsNoSecretLinks(t *testing.T) {
	r := Rules{{Name: "posts", Match: `method == "POST"`, Action: "refuse"}}
	if err := r.Validate().Err(); err != nil {
		t.Fatal(err)
	}
	n := ordinaryDay()
	for i := range 12 {
		v := &n.Ordinary[i+1].Visit
		v.Method, v.Path, v.UserAgent = "POST", "/reset/token", "Mozilla/5.0 (telephone)"
		v.Client = netip.AddrFrom4([4]byte{198, 51, byte(100 + i%2), byte(i)}) // at home and on the road
	}
	for i := range 6 {
		n.Ordinary[i+20].Visit.Method, n.Ordinary[i+20].Visit.Path = "POST", "/contact"
	}
	n.OrdinaryDay, n.OrdinaryWeek = n.Ordinary, n.Ordinary
	got := try(r[0], &r.Parsed()[0], n)
	if len(got.Spans) != 3 {
		t.Fatalf("%+v", got)
	}
	for _, s := range got.Spans {
		if s.Hits != 18 || len(s.Paths) != 1 || s.Paths[0] != (Counted{"/contact", 6}) {
			t.Errorf("%s: %d hits, %+v", s.Of, s.Hits, s.Paths)
		}
		if len(s.Examples) != 2 || s.Examples[0].Path != "" || s.Examples[0].Method != "POST" || s.Examples[1].Path != "/contact" {
			t.Errorf("%s: %+v", s.Of, s.Examples)
		}
	}
	text, err := json.Marshal(got)
	if err != nil || strings.Contains(string(text), "token") {
		t.Errorf("a secret link in %s", text)
	}
}

// A day or a week that shows more than the hour counts, once enough is kept of it.
func TestTryOnDays(t *testing.T) {
	r := Rules{{Name: "poster", Match: `path == "/poster"`, Action: "refuse"}}
	if err := r.Validate().Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kept    int
		spans   string
		tooMuch bool
	}{{leastOfDays - 1, "hour", false}, {leastOfDays, "hour week", true}} {
		n := ordinaryDay()
		for range c.kept {
			n.OrdinaryWeek = append(n.OrdinaryWeek, traffic.Sample{Visit: traffic.Visit{Path: "/poster"}})
		}
		got, spans := try(r[0], &r.Parsed()[0], n), []string{}
		for _, s := range got.Spans {
			spans = append(spans, s.Of)
		}
		if strings.Join(spans, " ") != c.spans || got.TooMuch != c.tooMuch {
			t.Errorf("%d kept: %v, too much %v", c.kept, spans, got.TooMuch)
		}
	}
}

func TestTooMuch(t *testing.T) {
	for _, c := range []struct {
		name string
		rule Rule
		want bool
	}{
		{"refuses 0.4 %", Rule{Match: `path == "/old"`, Action: "refuse"}, true},
		{"sure of it", Rule{Match: `path == "/old"`, Action: "refuse", Sure: true}, false},
		{"on a dry run", Rule{Match: `path == "/old"`, Action: "refuse", DryRun: true}, false},
		{"slows all", Rule{Match: `method == "GET"`, Action: "slow"}, false},
		{"refuses 0.1 %", Rule{Match: `clearance == "proven"`, Action: "refuse"}, false},
		{"refuses nothing", Rule{Match: `path == "/none"`, Action: "refuse"}, false},
		{"drops half of the packets", Rule{Match: `packet.length >= 200`, Action: "drop"}, true},
		{"drops none", Rule{Match: `packet.length >= 400`, Action: "drop"}, false},
	} {
		c.rule.Name = "a"
		if got := tryOne(t, c.rule); got.TooMuch != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// Where nothing was seen yet, nothing is known.
func TestTryOnNothing(t *testing.T) {
	l := newSim(t, "").loop
	got, err := l.Try(Rules{{Name: "a", Match: `path == "/old"`, Action: "refuse"}})
	if err != nil || len(got) != 1 || got[0].TooMuch {
		t.Fatalf("%+v, %v", got, err)
	}
	if s := got[0].Spans[0]; s.Tested != 0 || s.Low != 0 || s.High != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := l.Try(Rules{{Name: "a", Match: `path = 1`, Action: "refuse"}}); err == nil || !strings.Contains(err.Error(), "[0].match") {
		t.Errorf("%v", err)
	}
}
