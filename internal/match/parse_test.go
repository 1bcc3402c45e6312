package match

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"seawall/internal/traffic"
)

func TestRejected(t *testing.T) {
	for _, c := range []struct {
		text   string
		column int
		term   string
		says   string // part of the whole message
	}{
		{``, 1, ``, "write true to match everything"},
		{`  `, 1, ``, "empty"},
		{`path ==`, 8, ``, "the end"},
		{`path == "a`, 9, ``, "write tests such as"},
		{"path ==\n  ]", 11, ``, "write tests such as"},
		{`path == "/" &&`, 15, ``, "the end"},
		{"path == \"\xff\"", 10, ``, "UTF-8"},
		{strings.Repeat(" ", MaxText) + "true", MaxText, ``, "split it"},
		{strings.Repeat("(", 100) + "true" + strings.Repeat(")", 100), 1, ``, "recursion"},
		{`false`, 1, `false`, "matches nothing"},
		{`!true`, 2, `true`, "negated"},
		{`path == "/" || kind == "page"`, 1, `path == "/" || kind == "page"`, "no alternatives; write one match for each side"},
		{`kind == "page" && (path == "/" || path == "/a")`, 20, `path == "/" || path == "/a"`, "in ["},
		{`!(path == "/" && kind == "page")`, 3, `path == "/" && kind == "page"`, "!a && !b"},
		{`!(path == "/" || kind == "page")`, 3, `path == "/" || kind == "page"`, "no alternatives"},
		{`path.matches("^/a")`, 1, `path.matches("^/a")`, "use startsWith"},
		{`path.size() > 3`, 1, `path.size() > 3`, "no order"},
		{`size(path) == 3`, 1, `size(path)`, "is no field"},
		{`size(path)`, 1, `size(path)`, "no function size"},
		{`network > 5`, 1, `network > 5`, "use ==, !="},
		{`network + 1 == 5`, 1, `network + 1`, "is no field"},
		{`network + 1`, 1, `network + 1`, "do not compute"},
		{`-network`, 1, `-network`, "do not compute"},
		{`path == host`, 1, `path == host`, "compares two fields"},
		{`path == foo`, 9, `foo`, "put text in quotes"},
		{`pth == "/"`, 1, `pth`, "the fields are client, network"},
		{`pth`, 1, `pth`, "the fields are client, network"},
		{`path`, 1, `path`, "compare it"},
		{`"x"`, 1, `"x"`, "is no test"},
		{`[path]`, 1, `[path]`, "is no test"},
		{`path in []`, 1, `path in []`, "empty list"},
		{`path in "abc"`, 1, `path in "abc"`, "needs a list"},
		{`"/" in [path]`, 1, `"/"`, "is no field"},
		{`path in ["/", kind]`, 15, `kind`, "put text in quotes"},
		{`path in ["/", "a" + "b"]`, 15, `"a" + "b"`, "is no value"},
		{`path == 5`, 9, `5`, "compared with text"},
		{`path == b"x"`, 9, `b"\170"`, "compared with text"},
		{`path == null`, 9, `null`, "compared with text"},
		{`network == "64496"`, 12, `"64496"`, "without quotes"},
		{`network == 5u`, 12, `5u`, "network == 64496"},
		{`network == 1.5`, 12, `1.5`, "network == 64496"},
		{`network == -1`, 1, `network == -1`, "a network's number"},
		{`network == 4294967296`, 1, `network == 4294967296`, "a network's number"},
		{`network in [1, "2"]`, 16, `"2"`, "without quotes"},
		{`network.startsWith("6")`, 1, `network.startsWith("6")`, "network is a number"},
		{`country == "GBR"`, 1, `country == "GBR"`, `two letters such as "GB"`},
		{`country.startsWith("G")`, 1, `country.startsWith("G")`, "compared whole"},
		{`kind == "pages"`, 1, `kind == "pages"`, "page, asset, feed or api"},
		{`clearance == "some"`, 1, `clearance == "some"`, "none, proven or known"},
		{`standing == "bad"`, 1, `standing == "bad"`, "new, good, shy, greedy or thin"},
		{`header_order == "xyz"`, 1, `header_order == "xyz"`, "16 hexadecimal digits"},
		{`client == "example.org"`, 1, `client == "example.org"`, "198.51.100.0/24"},
		{`client in ["192.0.2.1", "192.0.2.2"]`, 1, `client in ["192.0.2.1", "192.0.2.2"]`, "one match for each"},
		{`client.startsWith("192.")`, 1, `client.startsWith("192.")`, "client.within("},
		{`path.within("192.0.2.0/24")`, 1, `path.within("192.0.2.0/24")`, "only client has within"},
		{`client.within("192.0.2.0/33")`, 1, `client.within("192.0.2.0/33")`, "no prefix"},
		{`client.within()`, 1, `client.within()`, "takes one value"},
		{`path.startsWith("a", "b")`, 1, `path.startsWith("a", "b")`, "takes one value"},
		{`path.lowerAscii() == "/"`, 1, `path.lowerAscii()`, "is no field"},
		{`path.foo("/")`, 1, `path.foo("/")`, "no function foo"},
		{`path.x == "/"`, 1, `path.x`, "is no field"},
		{`has(path.x)`, 1, `has(path.x)`, "no function has"},
		{`["/"].exists(p, p == path)`, 1, `["/"].exists(p, p == path)`, "no function exists"},
		{`path == "/" ? true : false`, 1, `(path == "/") ? true : false`, "no alternatives"},
		{`(path == "/") == true`, 2, `path == "/"`, "is no field"},
		{`{"a": path}`, 1, `{"a": path}`, "is no test"},
		{`Foo{a: 1}`, 1, `Foo{a: 1}`, "is no test"},
		{strings.Repeat(`path == "/" && `, MaxTests) + `kind == "page"`, 15*MaxTests + 1, `kind == "page"`, "more than 32 tests"},
		{`network in [1` + strings.Repeat(`,1`, MaxList) + `]`, 1, ``, "257 values"},
		{`path == "` + strings.Repeat("\u200b", 2000) + `"`, 1, ``, "written out"},
	} {
		m, err := Parse(c.text)
		shown := c.text[:min(len(c.text), 60)]
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v, %v", shown, m, err)
			continue
		}
		if e.Column != c.column || c.term != "" && e.Term != c.term || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: column %d, term %s\n  %v\n  want column %d, term %s and %q", shown, e.Column, e.Term, err, c.column, c.term, c.says)
		}
	}
}

func TestLongTermIsCut(t *testing.T) {
	_, err := Parse(`path < "` + strings.Repeat("é", 500) + `"`)
	if err == nil || len(err.Error()) > 300 || !strings.Contains(err.Error(), "...`") {
		t.Errorf("%v", err)
	}
}

func TestParseInManyGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				want := fmt.Sprintf("network == %d", i*100+n)
				if m, err := Parse(want); err != nil || m.String() != want {
					t.Errorf("%v, %v", m, err)
				}
			}
		})
	}
	wg.Wait()
}

// reference evaluates expressions with cel-go itself, on the keys of a visit.
type reference struct{ env *cel.Env }

func newReference(t testing.TB) reference {
	t.Helper()
	env, err := environment()
	if err == nil {
		env, err = env.Extend(cel.Function("within", cel.MemberOverload("client_within_prefix",
			[]*cel.Type{cel.StringType, cel.StringType}, cel.BoolType, cel.BinaryBinding(within))))
	}
	if err != nil {
		t.Fatal(err)
	}
	return reference{env}
}

func within(client, prefix ref.Val) ref.Val {
	a, err1 := netip.ParseAddr(client.Value().(string))
	p, err2 := netip.ParsePrefix(prefix.Value().(string))
	return types.Bool(err1 == nil && err2 == nil && p.Contains(a))
}

func (r reference) program(t testing.TB, text string) cel.Program {
	t.Helper()
	tree, issues := r.env.Compile(text)
	if issues.Err() != nil {
		t.Fatalf("cel-go does not take %s: %v", text, issues.Err())
	}
	p, err := r.env.Program(tree)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func hits(t testing.TB, p cel.Program, v *traffic.Visit) bool {
	t.Helper()
	facts := map[string]any{"network": int64(v.Network), "client": v.Client.Unmap().String()}
	for f := range traffic.Fields {
		if _, set := facts[f.String()]; !set {
			facts[f.String()] = v.Key(f)
		}
	}
	out, _, err := p.Eval(facts)
	if err != nil {
		t.Fatal(err)
	}
	return out.Value().(bool)
}

// FuzzParse checks that nothing makes Parse panic, that what it takes comes
// back from its own text, and that cel-go says of some visits what Hits says.
func FuzzParse(f *testing.F) {
	r := newReference(f)
	for _, s := range []string{
		`true`, `path == "/" && kind == "page" && standing == "shy"`,
		`country in ["RU", "BR"] && !client.within("198.51.100.0/24")`,
		`user_agent.startsWith("python-") && method != "GET"`,
		`!(network in [64496, 0])`, `"\u00e9\x00\U0010ffff" != user_agent`, `path.contains('''it's "this"''')`,
		`header_order == "" && query_shape != "fedcba9876543210"`, `client == "::ffff:198.51.100.7"`,
		`path == r"\n" || true`, `!!(host.endsWith(".org"))`, `path in ["/", b"/"]`, "true//x\n",
	} {
		f.Add(s, "/news/today", "Mozilla/5.0 \xff", "example.org")
	}
	f.Fuzz(func(t *testing.T, text, path, agent, host string) {
		m, err := Parse(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Column < 1 || e.What == "" {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		again, err := Parse(m.String())
		if err != nil || !again.Equal(m) {
			t.Fatalf("%q was written as %q, which gives %v, %v", text, m, again, err)
		}
		if m.OnPackets() {
			return // FuzzParsePackets judges those
		}
		odd := someone()
		odd.Path, odd.UserAgent, odd.Host = path, agent, host
		odd.Client = netip.MustParseAddr("2001:db8::1")
		programs := []cel.Program{r.program(t, m.String())}
		if literal(text) {
			programs = append(programs, r.program(t, text))
		}
		for _, v := range []*traffic.Visit{someone(), nobody(), odd} {
			for _, p := range programs {
				if want := hits(t, p, v); m.Hits(v) != want {
					t.Fatalf("%s: Hits says %v of %+v, cel-go %v", m, !want, v, want)
				}
			}
		}
	})
}

// literal says that an expression names its values just as Key writes them, so
// that cel-go can judge it as it stands: letters of a country and digits of a
// fingerprint may also be written in the other case, and an address otherwise.
func literal(text string) bool {
	for _, f := range []string{"country", "query_shape", "header_order", "client"} {
		if strings.Contains(text, f) {
			return false
		}
	}
	return true
}

// FuzzRoundTrip builds matches in Go from any text.
func FuzzRoundTrip(f *testing.F) {
	f.Add("/", "curl/8", uint32(64496), "GB", []byte{198, 51, 100, 7}, uint8(24), uint8(0))
	f.Add("\x00\u2028\U000e0001\ufffd", `"\`, uint32(0), "??", []byte("sixteen bytes..."), uint8(60), uint8(255))
	f.Fuzz(func(t *testing.T, a, b string, n uint32, country string, addr []byte, bits, not uint8) {
		var tests []Test
		add := func(test Test, err error) {
			if err != nil {
				return
			}
			if not>>len(tests)&1 == 1 {
				test = Not(test)
			}
			tests = append(tests, test)
		}
		add(OneOf(traffic.FieldPath, a, b))
		add(StartsWith(traffic.FieldUserAgent, b))
		add(Contains(traffic.FieldHost, a))
		add(OneOf(traffic.FieldNetwork, fmt.Sprint(n)))
		add(OneOf(traffic.FieldCountry, country))
		add(OneOf(traffic.FieldHeaderOrder, traffic.Fingerprint(uint64(n)), ""))
		if ip, ok := netip.AddrFromSlice(addr); ok {
			if p, err := ip.Prefix(int(bits) % (ip.BitLen() + 1)); err == nil {
				add(Within(p), nil)
			}
		}
		m := All(tests...)
		if len(m.String()) > MaxText {
			return
		}
		again, err := Parse(m.String())
		if err != nil || !again.Equal(m) {
			t.Fatalf("%q gives %v, %v", m, again, err)
		}
		for _, v := range []*traffic.Visit{someone(), nobody(), {Path: a, UserAgent: b, Host: a, Network: n}} {
			if m.Hits(v) != again.Hits(v) {
				t.Fatalf("%s: Hits differs after a round trip", m)
			}
		}
	})
}
