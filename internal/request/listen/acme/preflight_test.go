package acme

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"

	"seawall/internal/request/listen/acme/catest"
)

func TestAddresses(t *testing.T) {
	d := catest.NewDNS(t)
	d.Set("both.test", "A 192.0.2.1", "AAAA 2001:db8::1")
	d.Set("none.test", "TXT hello")
	d.Set("broken.test", "SERVFAIL")
	r := resolver{[]string{"127.0.0.1:1", d.Addr}} // the first one is down
	for name, want := range map[string]string{"both.test": "[2001:db8::1 192.0.2.1]", "none.test": "[]", "unknown.test": "[]"} {
		if list, err := r.addresses(t.Context(), name); err != nil || fmt.Sprint(list) != want {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
	if _, err := r.addresses(t.Context(), "broken.test"); err == nil || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("a server that fails: %v", err)
	}
}

func TestCAA(t *testing.T) {
	d := catest.NewDNS(t)
	r := resolver{[]string{d.Addr}}
	for name, c := range map[string]struct {
		above, here []string
		ok, bound   bool
	}{
		"none":                   {nil, nil, true, false},
		"ours":                   {nil, []string{`CAA 0 issue "ca.test"`}, true, false},
		"ours in capitals":       {nil, []string{`CAA 0 ISSUE " CA.test "`}, true, false},
		"ours above":             {[]string{`CAA 0 issue "ca.test"`}, nil, true, false},
		"another's":              {nil, []string{`CAA 0 issue "other.test"`}, false, false},
		"another's above":        {[]string{`CAA 0 issue "other.test"`}, nil, false, false},
		"here counts":            {[]string{`CAA 0 issue "other.test"`}, []string{`CAA 0 issue "ca.test"`}, true, false},
		"both":                   {nil, []string{`CAA 0 issue "other.test"`, `CAA 0 issue "ca.test"`}, true, false},
		"nobody":                 {nil, []string{`CAA 0 issue ";"`}, false, false},
		"mail alone":             {[]string{`CAA 0 issue "other.test"`}, []string{`CAA 0 iodef "mailto:a@example.test"`}, true, false},
		"wildcards alone":        {nil, []string{`CAA 0 issuewild "other.test"`}, true, false},
		"our account":            {nil, []string{`CAA 0 issue "ca.test; accounturi=https://ca.test/1"`}, true, true},
		"our way":                {nil, []string{`CAA 0 issue "ca.test; validationmethods=dns-01,http-01"`}, true, false},
		"not our way":            {nil, []string{`CAA 0 issue "ca.test; validationmethods=dns-01"`}, false, false},
		"critical and not known": {nil, []string{`CAA 0 issue "ca.test"`, `CAA 128 future "x"`}, false, false},
		"not known":              {nil, []string{`CAA 0 issue "ca.test"`, `CAA 0 future "x"`}, true, false},
	} {
		d.Set("example.test", c.above...)
		d.Set("www.example.test", c.here...)
		found, ok, err := r.allowed(t.Context(), "www.example.test", []string{"ca.test"}, []string{"http-01"})
		if err != nil || ok != c.ok || found.bound != c.bound {
			t.Errorf("%s: %v %+v, %v", name, ok, found, err)
		}
	}
	d.Set("www.example.test", "SERVFAIL")
	if _, _, err := r.allowed(t.Context(), "www.example.test", []string{"ca.test"}, nil); err == nil {
		t.Error("a failure passes for no records")
	}
}

// Whatever a record says, it allows us only if it names us.
func FuzzCAA(f *testing.F) {
	f.Add("issue", "ca.test; validationmethods=http-01", uint8(0))
	f.Add("issue", ";", uint8(0))
	f.Add("issue", "other.test;;=,=;accounturi", uint8(128))
	f.Add("future", "", uint8(128))
	f.Fuzz(func(t *testing.T, tag, value string, flag uint8) {
		rr := &dns.CAA{Tag: tag, Value: value, Flag: flag}
		_, ok, any := readCAA([]dns.RR{rr, &dns.A{}}, []string{"ca.test"}, []string{"http-01"})
		if !any || ok && strings.EqualFold(tag, "issue") && !strings.Contains(strings.ToLower(value), "ca.test") {
			t.Errorf("%d %q %q: %v", flag, tag, value, ok)
		}
	})
}

func addresses(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// Whether a name leads here is told only where it can be known.
func TestElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		own, found []netip.Addr
		want       string // "" nothing is said
	}{
		"here":                  {addresses("192.0.2.1", "2001:db8::1"), addresses("2001:db8::1", "192.0.2.1"), ""},
		"behind a router":       {addresses("10.0.0.2"), addresses("192.0.2.1"), ""},
		"another machine":       {addresses("192.0.2.1", "10.0.0.2"), addresses("192.0.2.9"), "192.0.2.9"},
		"an old AAAA":           {addresses("192.0.2.1"), addresses("2001:db8::9", "192.0.2.1"), "by IPv6"},
		"nothing known of here": {nil, addresses("192.0.2.1"), ""},
	} {
		got := ground{own: c.own}.elsewhere("example.org", c.found)
		if (got == nil) != (c.want == "") || got != nil && !strings.Contains(got.what+got.means, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestReached(t *testing.T) {
	at := func(list ...string) (out []net.Addr) {
		for _, a := range list {
			out = append(out, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(a)))
		}
		return out
	}
	for _, c := range []struct {
		plain, secure []net.Addr
		want          bool
		methods       []string
	}{
		{at("[::]:80"), at("[::]:443"), true, []string{"http-01", "tls-alpn-01"}},
		{nil, at("192.0.2.1:443"), true, []string{"tls-alpn-01"}},
		{at("[::]:8080"), at("[::]:8443"), false, []string{"http-01", "tls-alpn-01"}},
		{at("127.0.0.1:80"), at("[::1]:443"), false, []string{"http-01", "tls-alpn-01"}},
		{at("192.0.2.1:80"), at("192.0.2.1:8443"), true, []string{"http-01", "tls-alpn-01"}},
	} {
		g := newGround(c.plain, c.secure)
		if g.reached() != c.want || !slices.Equal(g.methods(), c.methods) {
			t.Errorf("%v, %v: %v, %v", c.plain, c.secure, g.reached(), g.methods())
		}
	}
}

// Each kind of error is put into words of its own, and only those about the name
// keep the other directory from being asked.
func TestExplain(t *testing.T) {
	problem := func(kind string, status int) error {
		return fmt.Errorf("[example.org] Obtain: %w", acme.Problem{Type: acme.ProblemTypeNamespace + kind, Status: status, Detail: "detail"})
	}
	seen := map[string]bool{}
	for name, c := range map[string]struct {
		err   error
		do    string
		about bool
	}{
		"connection":   {problem("connection", 400), "firewall", true},
		"unauthorized": {problem("unauthorized", 403), "AAAA", true},
		"dns":          {problem("dns", 400), "DNSSEC", true},
		"caa":          {problem("caa", 403), "accounturi", true},
		"limit":        {problem("rateLimited", 429), "do not restart", false},
		"rejected":     {problem("rejectedIdentifier", 400), "domains", true},
		"contact":      {problem("invalidContact", 400), "email", true},
		"account":      {problem("externalAccountRequired", 400), "certificate files", true},
		"their fault":  {problem("serverInternal", 500), "status page", false},
		"no way":       {fmt.Errorf("post: %w", syscall.ECONNREFUSED), "curl -I", false},
		"no DNS":       {&net.DNSError{Err: "no such host", Name: "ca.test"}, "getent", false},
		"no root":      {x509.UnknownAuthorityError{}, "ca_file", false},
		"clock":        {x509.CertificateInvalidError{Reason: x509.Expired}, "timedatectl", false},
	} {
		got := explain(c.err, "https://ca.test/dir")
		if !strings.Contains(got.do, c.do) || got.aboutName() != c.about || got.means == "" || !strings.Contains(got.what, "ca.test") {
			t.Errorf("%s: %+v, about the name: %v", name, got, got.aboutName())
		}
		if !errors.Is(got, c.err) || explain(fmt.Errorf("once more: %w", got), "") != got {
			t.Errorf("%s: the cause is lost", name)
		}
		if seen[got.do] {
			t.Errorf("%s: the same advice as another", name)
		}
		seen[got.do] = true
	}
}
