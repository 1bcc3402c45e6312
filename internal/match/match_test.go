package match

import (
	"encoding/json"
	"net/netip"
	"testing"

	"seawall/internal/traffic"
)

// someone is a visit with every trait; nobody is one with none.
func someone() *traffic.Visit {
	return &traffic.Visit{
		Client:      netip.MustParseAddr("198.51.100.7"),
		Network:     64496,
		Country:     traffic.Country{'R', 'U'},
		HeaderOrder: 0x0123456789abcdef,
		QueryShape:  0xfedcba9876543210,
		Method:      "POST",
		Host:        "example.org",
		Path:        "/news/today",
		UserAgent:   "Mozilla/5.0 (like others)",
		Kind:        traffic.KindAPI,
		Clearance:   traffic.ClearanceProven,
		Standing:    traffic.StandingShy,

		JA4:          "t13d1516h2_8daaf6152771_e5627efa2ab1",
		HTTP:         traffic.HTTP2,
		OpeningHTTP2: 0x1111222233334444,
	}
}

func nobody() *traffic.Visit { return &traffic.Visit{} }

func TestHits(t *testing.T) {
	for _, c := range []struct {
		text             string
		someone, nobody_ bool
	}{
		{`true`, true, true},
		{`network == 64496`, true, false},
		{`network in [1, 64496]`, true, false},
		{`network == 0`, false, true},
		{`country == "RU"`, true, false},
		{`country == "ru"`, true, false},
		{`country == "??"`, false, true},
		{`country != "??"`, true, false},
		{`country in ["BR", "RU"]`, true, false},
		{`!(country in ["BR", "RU"])`, false, true},
		{`query_shape == "fedcba9876543210"`, true, false},
		{`query_shape == ""`, false, true},
		{`header_order == "0123456789ABCDEF"`, true, false},
		{`header_order in ["", "0123456789abcdef"]`, true, true},
		{`kind == "api"`, true, false},
		{`kind == "page"`, false, true},
		{`clearance == "proven"`, true, false},
		{`clearance == "none"`, false, true},
		{`standing in ["shy", "greedy"]`, true, false},
		{`standing == "new"`, false, true},
		{`ja4 == "t13d1516h2_8daaf6152771_e5627efa2ab1"`, true, false},
		{`ja4 in ["", "t13d131100_f57a46bbacb6_f50d94e863eb"]`, false, true},
		{`ja4.startsWith("t13d1516h2_8daaf6152771_")`, true, false},
		{`!ja4.startsWith("t13")`, false, true},
		{`ja4.endsWith("_e5627efa2ab1")`, true, false},
		{`http == "2"`, true, false},
		{`http in ["1.0", "1.1"]`, false, false},
		{`http != "unknown"`, true, false},
		{`http2_opening == "1111222233334444"`, true, false},
		{`http2_opening == ""`, false, true},
		{`method == "POST"`, true, false},
		{`host == "example.org"`, true, false},
		{`host == ""`, false, true},
		{`path == "/news/today"`, true, false},
		{`path in ["/", "/news/today"]`, true, false},
		{`path != "/news/today"`, false, true},
		{`path.startsWith("/news/")`, true, false},
		{`path.endsWith("/today")`, true, false},
		{`path.contains("ws/to")`, true, false},
		{`!path.contains("ws/to")`, false, true},
		{`user_agent.startsWith("Mozilla/")`, true, false},
		{`client == "198.51.100.7"`, true, false},
		{`client != "198.51.100.7"`, false, true},
		{`client in ["198.51.100.0/24"]`, true, false},
		{`client.within("198.51.100.0/24")`, true, false},
		{`client.within("198.51.100.99/24")`, true, false},
		{`client.within("::ffff:198.51.100.0/120")`, true, false},
		{`client.within("2001:db8::/32")`, false, false},
		{`!client.within("2001:db8::/32")`, true, true},
		{`path.startsWith("/news") && method == "POST" && network == 64496`, true, false},
		{`path.startsWith("/news") && method == "GET" && network == 64496`, false, false},
		{`true && (kind == "api" && (true && standing == "shy"))`, true, false},
	} {
		m, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := m.Hits(someone()); got != c.someone {
			t.Errorf("%s: hits someone: %v", m, got)
		}
		if got := m.Hits(nobody()); got != c.nobody_ {
			t.Errorf("%s: hits nobody: %v", m, got)
		}
		if again, err := Parse(m.String()); err != nil || !again.Equal(m) {
			t.Errorf("%s was written as %s: %v", c.text, m, err)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		prefix, client string
		want           bool
	}{
		{"198.51.100.0/24", "198.51.100.255", true},
		{"198.51.100.0/24", "198.51.101.0", false},
		{"198.51.100.0/24", "::ffff:198.51.100.1", true},
		{"0.0.0.0/0", "203.0.113.9", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"2001:db8::/64", "2001:db8::1:2:3", true},
		{"2001:db8::/64", "2001:db8:0:1::", false},
		{"fe80::/10", "fe80::1%eth0", true},
		{"::/0", "198.51.100.1", false},
	} {
		m := Client(netip.MustParsePrefix(c.prefix))
		if got := m.Hits(&traffic.Visit{Client: netip.MustParseAddr(c.client)}); got != c.want {
			t.Errorf("%s hits %s: %v", m, c.client, got)
		}
	}
}

// TestOneOfTakesKeys checks that what a heavy hitter is called, OneOf finds
// again: this is how signatures are mined.
func TestOneOfTakesKeys(t *testing.T) {
	v6 := someone()
	v6.Client = netip.MustParseAddr("2001:db8::7")
	for f := range traffic.Fields {
		for name, v := range map[string]*traffic.Visit{"someone": someone(), "nobody": nobody(), "someone on IPv6": v6} {
			if f == traffic.FieldClient && !v.Client.IsValid() {
				continue
			}
			key := v.Key(f)
			test, err := OneOf(f, key)
			if err != nil {
				t.Errorf("%s of %s: %v", f, name, err)
				continue
			}
			if m := All(test); !m.Hits(v) || All(Not(test)).Hits(v) {
				t.Errorf("%s does not hit %s, whose key is %q", m, name, key)
			}
			if test.Field() != f {
				t.Errorf("a test of %s says it is one of %s", f, test.Field())
			}
			if m, err := Parse(All(test).String()); err != nil || !m.Equal(All(test)) {
				t.Errorf("%s does not come back: %v", All(test), err)
			}
		}
	}
}

func TestConstructorsRefuse(t *testing.T) {
	const bad = "\xff\xfe"
	for name, err := range map[string]error{
		"no keys":             second(OneOf(traffic.FieldPath)),
		"two clients":         second(OneOf(traffic.FieldClient, "198.51.100.7", "198.51.100.8")),
		"no address":          second(OneOf(traffic.FieldClient, "example.org")),
		"no number":           second(OneOf(traffic.FieldNetwork, "AS64496")),
		"too large a number":  second(OneOf(traffic.FieldNetwork, "4294967296")),
		"three letters":       second(OneOf(traffic.FieldCountry, "GBR")),
		"short fingerprint":   second(OneOf(traffic.FieldQueryShape, "abc")),
		"zero fingerprint":    second(OneOf(traffic.FieldHeaderOrder, "0000000000000000")),
		"no kind":             second(OneOf(traffic.FieldKind, "kind?")),
		"no clearance":        second(OneOf(traffic.FieldClearance, "")),
		"no standing":         second(OneOf(traffic.FieldStanding, "bad")),
		"no UTF-8":            second(OneOf(traffic.FieldPath, "/", bad)),
		"no UTF-8, prefix":    second(StartsWith(traffic.FieldPath, bad)),
		"number as text":      second(Contains(traffic.FieldNetwork, "6")),
		"address as text":     second(EndsWith(traffic.FieldClient, ".7")),
		"country in part":     second(StartsWith(traffic.FieldCountry, "G")),
		"field out of bounds": second(OneOf(traffic.Fields, "x")),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second(_ Test, err error) error { return err }

func TestString(t *testing.T) {
	must := func(test Test, err error) Test {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return test
	}
	for want, m := range map[string]*Match{
		`true`: All(),
		`none`: nil,
		`network == 64496 && client.within("198.51.100.0/24") && path == "/"`: All(
			must(OneOf(traffic.FieldPath, "/")), Within(netip.MustParsePrefix("198.51.100.7/24")), must(OneOf(traffic.FieldNetwork, "64496"))),
		`!(network in [1, 2])`:           All(Not(must(OneOf(traffic.FieldNetwork, "1", "2")))),
		`country != "??"`:                All(Not(must(OneOf(traffic.FieldCountry, "??")))),
		`header_order == ""`:             All(must(OneOf(traffic.FieldHeaderOrder, ""))),
		`!user_agent.contains("a\"\n")`:  All(Not(must(Contains(traffic.FieldUserAgent, "a\"\n")))),
		`!client.within("::/0")`:         All(Not(Within(netip.MustParsePrefix("::/0")))),
		`method.endsWith("T")`:           All(must(EndsWith(traffic.FieldMethod, "T"))),
		`path in ["/a", "/b"]`:           All(must(OneOf(traffic.FieldPath, "/a", "/b"))),
		`client.within("192.0.2.1/32")`:  All(must(OneOf(traffic.FieldClient, "::ffff:192.0.2.1"))),
		`kind == "page" && path == "\\"`: All(must(OneOf(traffic.FieldPath, `\`)), must(OneOf(traffic.FieldKind, "page"))),
	} {
		if got := m.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestOnlyClient(t *testing.T) {
	for text, want := range map[string]string{
		`client.within("198.51.100.0/24")`:                  "198.51.100.0/24",
		`client == "2001:db8::1"`:                           "2001:db8::1/128",
		`!client.within("198.51.100.0/24")`:                 "",
		`client.within("198.51.100.0/24") && path == "/"`:   "",
		`client == "192.0.2.1" && client == "198.51.100.1"`: "",
		`path == "/"`: "",
		`true`:        "",
	} {
		m, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p, ok := m.OnlyClient()
		if ok != (want != "") || ok && p.String() != want {
			t.Errorf("%s: %v, %v", text, p, ok)
		}
	}
	if _, ok := (*Match)(nil).OnlyClient(); ok {
		t.Error("nil is about a client")
	}
}

func TestJSON(t *testing.T) {
	type holder struct {
		Match *Match `json:"match"`
	}
	in := holder{Client(netip.MustParsePrefix("198.51.100.0/24"))}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out holder
	if err := json.Unmarshal(b, &out); err != nil || !out.Match.Equal(in.Match) {
		t.Errorf("%s came back as %v: %v", b, out.Match, err)
	}
	if err := json.Unmarshal([]byte(`{"match": "path =="}`), &out); err == nil {
		t.Error("half an expression, no error")
	}
}

func TestNilHitsNothing(t *testing.T) {
	if (*Match)(nil).Hits(someone()) {
		t.Error("nil hits")
	}
}

func TestTestsAreCopied(t *testing.T) {
	m := All(Within(netip.MustParsePrefix("198.51.100.0/24")))
	m.Tests()[0] = Not(m.Tests()[0])
	if !m.Hits(someone()) {
		t.Error("a Match was changed from outside")
	}
}

func BenchmarkHits(b *testing.B) {
	for name, text := range map[string]string{
		"number":        `network == 64496`,
		"path and kind": `path == "/news/today" && kind == "api"`,
		"within":        `client.within("198.51.100.0/24")`,
		"four tests":    `kind == "api" && standing == "shy" && path == "/news/today" && user_agent.startsWith("Mozilla/")`,
		"miss":          `standing == "greedy" && path == "/news/today"`,
	} {
		b.Run(name, func(b *testing.B) {
			m, err := Parse(text)
			if err != nil {
				b.Fatal(err)
			}
			v := someone()
			b.ReportAllocs()
			for b.Loop() {
				if m.Hits(v) == (name == "miss") {
					b.Fatal(m)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(`path == "/news/today" && kind == "api"`); err != nil {
			b.Fatal(err)
		}
	}
}

func TestOfConnection(t *testing.T) {
	before := &traffic.Visit{Client: someone().Client, Network: 64496, Country: traffic.Country{'R', 'U'}, JA4: someone().JA4}
	for _, c := range []struct {
		text     string
		of, hits bool // of a connection alone; may hit what someone's shows
	}{
		{`true`, true, true},
		{`ja4.startsWith("t13d1516h2_") && country == "RU" && network == 64496 && client.within("198.51.100.0/24")`, true, true},
		{`ja4 != ""`, true, true},
		{`ja4 == ""`, true, false},
		{`ja4.startsWith("t13d1516h2_") && path == "/"`, false, true},
		{`ja4 == "" && path == "/"`, false, false},
		{`path == "/elsewhere"`, false, true},
		{`http == "2" && country == "GB"`, false, false},
		{`http2_opening == ""`, false, true},
		{`packet.protocol == "udp"`, false, false},
	} {
		m, err := Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if m.OfConnection() != c.of || m.MayHit(before) != c.hits {
			t.Errorf("%s: of a connection %v, may hit %v", c.text, m.OfConnection(), m.MayHit(before))
		}
		if c.of && m.Hits(before) != c.hits {
			t.Errorf("%s hits the connection: %v", c.text, m.Hits(before))
		}
	}
	if none := (*Match)(nil); none.OfConnection() || none.MayHit(before) {
		t.Error("no match")
	}
}
