package accesslog

import (
	"bufio"
	"compress/gzip"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

const logs = "../../../../shared/data/logs/"

// The forms, each with a line as its server writes it.
func TestForms(t *testing.T) {
	at := time.Date(2023, 10, 10, 8, 32, 31, 0, time.UTC)
	full := Entry{
		Time: at, Client: netip.MustParseAddr("203.0.113.9"), Method: "GET", Path: "/a/b", Query: "c=d%20e", Protocol: "HTTP/1.1",
		Agent: `Mozilla/5.0 (X; "Y")`, Referer: "https://a.example/", Status: 200, Bytes: 1071,
	}
	with := func(change func(*Entry)) Entry { e := full; change(&e); return e }
	for _, c := range []struct {
		name, form, line string
		want             Entry
	}{
		{"combined", Combined, `203.0.113.9 - - [10/Oct/2023:08:32:31 +0000] "GET /a/b?c=d%20e HTTP/1.1" 200 1071 "https://a.example/" "Mozilla/5.0 (X; \"Y\")"`,
			with(func(e *Entry) { e.Agent = `Mozilla/5.0 (X; \"Y\")` })},
		{"combined, more behind it", Combined, `203.0.113.9 - - [10/Oct/2023:08:32:31 +0000] "GET /a/b?c=d%20e HTTP/1.1" 200 1071 "https://a.example/" "x" "-" rt=0.1` + "\r\n",
			with(func(e *Entry) { e.Agent = "x" })},
		{"by way of syslog", Combined, `Oct 10 08:32:31 web1 nginx[2869]: 203.0.113.9 - - [10/Oct/2023:10:32:31 +0200] "GET /a/b?c=d%20e HTTP/1.1" 200 1071 "https://a.example/" "x"`,
			with(func(e *Entry) { e.Agent = "x" })},
		{"by way of syslog, without a number", Combined, `Oct 10 08:32:31 web1 nginx: 203.0.113.9 - - [10/Oct/2023:10:32:31 +0200] "GET /a/b?c=d%20e HTTP/1.1" 200 1071 "https://a.example/" "x"`,
			with(func(e *Entry) { e.Agent = "x" })},
		{"by way of syslog of 2009", Combined, `<190>1 2023-10-10T08:32:31Z web1 nginx - - - 203.0.113.9 - - [10/Oct/2023:10:32:31 +0200] "GET /a/b?c=d%20e HTTP/1.1" 200 1071 "https://a.example/" "x"`,
			with(func(e *Entry) { e.Agent = "x" })},
		{"out of a container", Combined, `web_1  | 203.0.113.9 - - [10/Oct/2023:10:32:31 +0200] "GET /a/b?c=d%20e HTTP/1.1" 200 1071 "https://a.example/" "x"`,
			with(func(e *Entry) { e.Agent = "x" })},
		{"a list of addresses", Combined, `203.0.113.9, 198.51.100.7 - - [10/Oct/2023:10:32:31 +0200] "GET /a/b?c=d%20e HTTP/1.1" 200 1071 "https://a.example/" "x"`,
			with(func(e *Entry) { e.Agent = "x" })},
		{"Debian's Apache", VHost, `www.example.org:443 203.0.113.9 - - [10/Oct/2023:10:32:31 +0200] "GET /a/b?c=d%20e HTTP/1.1" 200 1071 "https://a.example/" "x"`,
			with(func(e *Entry) { e.Host, e.Agent = "www.example.org:443", "x" })},
		{"a name with spaces", Combined, `203.0.113.9 - a b [10/Oct/2023:08:32:31 +0000] "GET /a/b?c=d%20e HTTP/1.1" 200 1071 "https://a.example/" "x"`,
			with(func(e *Entry) { e.Agent = "x" })},
		{"common", Common, `203.0.113.9 - - [10/Oct/2023:03:32:31 -0500] "GET /a/b?c=d%20e HTTP/1.1" 200 -`,
			with(func(e *Entry) { e.Agent, e.Referer, e.Bytes = "", "", 0 })},
		{"no request", Common, `203.0.113.9 - - [10/Oct/2023:08:32:31 +0000] "\x16\x03\x01" 400 150`,
			Entry{Time: at, Client: full.Client, Path: `\x16\x03\x01`, Status: 400, Bytes: 150}},
		{"a client by name", Common, `dial-7.example - - [10/Oct/2023:08:32:31 +0000] "GET / HTTP/1.0" 200 1`,
			Entry{Time: at, Client: named("dial-7.example"), Method: "GET", Path: "/", Protocol: "HTTP/1.0", Status: 200, Bytes: 1}},
		{"nginx in JSON", JSON, `{"time_iso8601":"2023-10-10T10:32:31+02:00","remote_addr":"203.0.113.9","request":"GET /a/b?c=d%20e HTTP/1.1","status":"200","body_bytes_sent":1071,"http_user_agent":"Mozilla/5.0 (X; \"Y\")","http_referer":"https:\/\/a.example\/","request_time":"0.250","upstream_response_time":"0.001, 0.200"}`,
			with(func(e *Entry) { e.Took, e.Origin = 250*time.Millisecond, 200*time.Millisecond })},
		{"Caddy", JSON, `{"level":"info","ts":1696926751.0,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"198.51.100.1","client_ip":"203.0.113.9","proto":"HTTP/1.1","method":"GET","host":"a.example","uri":"/a/b?c=d%20e","headers":{"User-Agent":["Mozilla/5.0 (X; \"Y\")","z"],"Referer":["https://a.example/"],"Accept":[]},"tls":{"resumed":false}},"bytes_read":0,"duration":0.125,"size":1071,"status":200,"resp_headers":{"Server":["Caddy"]}}`,
			with(func(e *Entry) { e.Host, e.Took = "a.example", 125*time.Millisecond })},
		{"Cloudflare", JSON, `{"ClientIP":"203.0.113.9","ClientRequestHost":"a.example","ClientRequestMethod":"GET","ClientRequestURI":"/a/b?c=d%20e","ClientRequestProtocol":"HTTP/1.1","ClientRequestUserAgent":"x\u00e9","ClientRequestReferer":"https://a.example/","EdgeResponseStatus":200,"EdgeResponseBytes":1071,"EdgeStartTimestamp":1696926751000000000,"OriginResponseDurationMs":20}`,
			with(func(e *Entry) { e.Host, e.Agent, e.Origin = "a.example", "xé", 20*time.Millisecond })},
		{"ALB", ALB, `https 2023-10-10T08:32:31.500000Z app/lb/50dc 203.0.113.9:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 1071 "GET https://a.example:443/a/b?c=d%20e HTTP/1.1" "x" ECDHE TLSv1.2 arn "Root=1"`,
			with(func(e *Entry) {
				e.Time, e.Host, e.Agent, e.Referer, e.Origin = at.Add(500*time.Millisecond), "a.example:443", "x", "", 48*time.Millisecond
			})},
	} {
		f, ok := Named(c.form)
		if !ok {
			t.Fatalf("no form %q", c.form)
		}
		var e Entry
		if err := NewReader(f).Parse([]byte(c.line), &e); err != nil || e != c.want {
			t.Errorf("%s: %v\n%+v, want\n%+v", c.name, err, e, c.want)
		}
		if g, _, ok := Guess([][]byte{[]byte(c.line)}); !ok || g.Name() != c.form {
			t.Errorf("%s: taken for %v", c.name, g)
		}
	}
}

// What an owner describes is read as described, and what cannot be is said.
func TestParseFormat(t *testing.T) {
	for form, line := range map[string]string{
		`$host ${remote_addr} [$time_local] "$request" $status $request_time`:                                      `a.example 203.0.113.9 [10/Oct/2023:08:32:31 +0000] "GET /x?y HTTP/2.0" 200 0.5`,
		`$host $remote_addr [$time_local] "$request_method $request_uri $server_protocol" $status "$request_time"`: `a.example 203.0.113.9 [10/Oct/2023:08:32:31 +0000] "GET /x?y HTTP/2.0" 200 "0.5"`,
		`%v %a %{%s}t "%r" %>s %D`:           `a.example 203.0.113.9 1696926751 "GET /x?y HTTP/2.0" 200 500000`,
		`%V|%h|%{msec}t|%m|%U%%%q|%s|%{ms}T`: `a.example|203.0.113.9|1696926751000|GET|/x%?y|200|500`,
		"$http_host\t$remote_addr\t$msec\t$request_method\t$request_uri\t$status\t" + "$request_time": "a.example\t203.0.113.9\t1696926751.000\tGET\t/x?y\t200\t0.5",
	} {
		f, err := ParseFormat(form)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		var e Entry
		want := Entry{
			Time: time.Unix(1696926751, 0).UTC(), Client: netip.MustParseAddr("203.0.113.9"), Host: "a.example", Method: "GET",
			Path: "/x", Query: "y", Status: 200, Took: 500 * time.Millisecond,
		}
		if strings.Contains(form, "request\"") || strings.Contains(form, "%r") || strings.Contains(form, "server_protocol") {
			want.Protocol = "HTTP/2.0"
		}
		if err := NewReader(f).Parse([]byte(line), &e); err != nil || e != want {
			t.Errorf("%s: %v\n%+v, want\n%+v", form, err, e, want)
		}
	}
	for form, say := range map[string]string{
		"":                                  "client's address",
		"$remote_addr $request":             "where the time stands",
		"$remote_addr $time_local":          "where the request stands",
		"$remote_addr$time_local":           "nothing stands between",
		"$remote_addr $ $time_local":        "a $ without a name",
		"%h %{x":                            "no closing brace",
		"%h %>":                             "ends too early",
		"${remote_addr $time_local":         "a $ without a name",
		"$remote_user $time_local $request": "client's address",
	} {
		if _, err := ParseFormat(form); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v, want something of %q", form, err, say)
		}
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2023, 10, 10, 8, 32, 31, 0, time.UTC)
	var p times
	for _, s := range []string{
		"10/Oct/2023:08:32:31 +0000", "[10/Oct/2023:10:32:31 +0200]", "10/Oct/2023:08:32:31 -0000", "2023-10-10T08:32:31Z",
		"2023-10-10T10:32:31+02:00", "2023-10-10T10:32:31+0200", "2023-10-10 08:32:31", "1696926751", "1696926751.000",
		"1696926751000", "1696926751000000", "1696926751000000000",
	} {
		if got, ok := p.parse(s); !ok || !got.Equal(want) {
			t.Errorf("%q is %v", s, got)
		}
	}
	if got, _ := p.parse("2023-10-10T08:32:31.250Z"); got != want.Add(250*time.Millisecond) {
		t.Errorf("with a fraction: %v", got)
	}
	for _, s := range []string{"", "x", "10/Okt/2023:08:32:31 +0000", "2023-13-10T08:32:31Z", "2023-10-10T08:32", "2023-10-10T08:32:31+2", "-5", "1.2.3", strings.Repeat("9", 40)} {
		if got, ok := p.parse(s); ok {
			t.Errorf("%q is %v", s, got)
		}
	}
}

// Real logs: every line is read but one, which was cut when it was written, and the forms
// are found.
func TestRealLogs(t *testing.T) {
	for name, c := range map[string]struct {
		form  string
		lines int
		bad   int
	}{
		"elastic-apache.log.gz":                 {Combined, 10_000, 1},
		"nasa-19950701.tsv.gz":                  {Table, 9_999, 0},
		"crowdsec-apache-http-probing.log.gz":   {Common, 77, 0},
		"crowdsec-http-bf-wordpress-bf.log.gz":  {Combined, 9, 0},
		"crowdsec-http_dos_bypass_cache.log.gz": {Combined, 356, 0},
	} {
		f, err := os.Open(logs + name)
		if err != nil {
			t.Skipf("needs %s: %v", logs+name, err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		var lines [][]byte
		for s := bufio.NewScanner(z); s.Scan(); {
			if s.Text() != "" {
				lines = append(lines, []byte(s.Text()))
			}
		}
		_ = f.Close()
		form, head, ok := Guess(lines[:min(len(lines), 20)])
		if !ok || form.Name() != c.form {
			t.Errorf("%s: taken for %v", name, form)
			continue
		}
		r, bad := NewReader(form), 0
		var e Entry
		for _, line := range lines[head:] {
			if err := r.Parse(line, &e); err != nil {
				if bad++; bad < 4 {
					t.Logf("%s: %v: %q", name, err, line)
				}
			}
		}
		t.Logf("%s: %d lines, %d bad", name, len(lines)-head, bad)
		if len(lines)-head != c.lines || bad != c.bad {
			t.Errorf("%s: %d lines, %d of them bad; want %d, %d", name, len(lines)-head, bad, c.lines, c.bad)
		}
	}
}

// IPv4 addresses are read as netip reads them.
func TestFour(t *testing.T) {
	for _, s := range []string{
		"203.0.113.9", "0.0.0.0", "255.255.255.255", "256.0.0.1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "01.2.3.4", "1.2.3.00", "1.2.3.0",
		"", "a", "1.2.3.4 ", "1.2.3.4,5.6.7.8", "::1", "::ffff:1.2.3.4", "999999999999999999999.1.1.1",
	} {
		want, err := netip.ParseAddr(s)
		if a, ok := four(s); ok != (err == nil && want.Is4()) || ok && a != want {
			t.Errorf("%q: %v %v, want %v %v", s, a, ok, want, err)
		}
	}
}

// Whatever is in a line, Parse returns, and what it returns was in the line.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`203.0.113.9 - - [10/Oct/2023:08:32:31 +0000] "GET /a?b HTTP/1.1" 200 1 "-" "x\"y"`,
		`{"ts":1.5e9,"request":{"client_ip":"::1","uri":"/\u00e9\ud83d\ude00","headers":{"User-Agent":["a"]}},"status":200}`,
		"a\t1\t2\t3", `[[[[`, `{"a":{"b":[{"c":null}]}}`, "host\ttime\turl",
	} {
		f.Add([]byte(s))
	}
	var readers []*Reader
	for _, name := range []string{Combined, Common, JSON, ALB} {
		form, _ := Named(name)
		readers = append(readers, NewReader(form))
	}
	table, _ := tableOf("host\ttime\turl\tstatus")
	readers = append(readers, NewReader(table))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, r := range readers {
			var e Entry
			if err := r.Parse(line, &e); err != nil {
				continue
			}
			if n := len(e.Method) + len(e.Path) + len(e.Query) + len(e.Host) + len(e.Agent) + len(e.Referer); r.format.parts != nil && n > len(line) {
				t.Errorf("%d bytes of a line of %d", n, len(line))
			}
			if !e.Client.IsValid() || e.Time.IsZero() || e.Took < 0 || e.Bytes < 0 {
				t.Errorf("%+v", e)
			}
		}
		_, _, _ = Guess([][]byte{line, line})
		if g, err := ParseFormat(string(line)); err == nil {
			var e Entry
			_ = NewReader(g).Parse(line, &e)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, line := range map[string]string{
		Combined: `203.0.113.9 - - [10/Oct/2023:08:32:31 +0000] "GET /presentations/logstash/images/kibana-search.png?a=b HTTP/1.1" 200 203023 "http://semicomplete.example/presentations/" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/32.0.1700.77 Safari/537.36"`,
		JSON:     `{"time_iso8601":"2023-10-10T08:32:31+00:00","remote_addr":"203.0.113.9","request":"GET /a/b?c=d HTTP/1.1","status":"200","body_bytes_sent":1071,"http_user_agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1)","http_referer":"https://a.example/","request_time":"0.250"}`,
	} {
		b.Run(name, func(b *testing.B) {
			f, _ := Named(name)
			r := NewReader(f)
			var e Entry
			text := []byte(line)
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Parse(text, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What separates parts is found where strings.Index finds it, near and far.
func TestIndex(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		b := make([]byte, rng.IntN(24))
		for i := range b {
			b[i] = "\"[ -a"[rng.IntN(5)]
		}
		of := string("\"[ -a"[rng.IntN(5)]) + string(b[:min(len(b), rng.IntN(3))])
		if s := string(b); index(s, of) != strings.Index(s, of) || begins(s, of) != strings.HasPrefix(s, of) {
			t.Fatalf("%q in %q: %d and %v", of, s, index(s, of), begins(s, of))
		}
	}
}
