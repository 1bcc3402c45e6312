package listen

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

const host = "Host: example.org\r\n"

// malformedRequests are bytes that must be answered with a 4xx and never reach
// the rooms.
func malformedRequests() map[string]struct {
	raw    string
	status int
	kind   string
} {
	type row = struct {
		raw    string
		status int
		kind   string
	}
	get := "GET / HTTP/1.1\r\n" + host
	post := "POST / HTTP/1.1\r\n" + host
	chunked := post + "Transfer-Encoding: chunked\r\n\r\n"
	m := map[string]row{
		"length and coding":          {post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "length-and-coding"},
		"coding and length":          {post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400, "length-and-coding"},
		"two lengths":                {post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "length-twice"},
		"two different lengths":      {post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400, "length-twice"},
		"list of lengths":            {post + "Content-Length: 3, 3\r\n\r\nabc", 400, "length"},
		"signed length":              {post + "Content-Length: +3\r\n\r\nabc", 400, "length"},
		"negative length":            {post + "Content-Length: -1\r\n\r\nabc", 400, "length"},
		"hex length":                 {post + "Content-Length: 0x3\r\n\r\nabc", 400, "length"},
		"empty length":               {post + "Content-Length: \r\n\r\n", 400, "length"},
		"huge length":                {post + "Content-Length: 9223372036854775808\r\n\r\n", 400, "length"},
		"length with space":          {post + "Content-Length: 3 3\r\n\r\nabc", 400, "length"},
		"coding gzip":                {post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "coding"},
		"coding identity":            {post + "Transfer-Encoding: identity\r\n\r\n", 400, "coding"},
		"coding twice":               {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "coding"},
		"coding list":                {post + "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "coding"},
		"coding xchunked":            {post + "Transfer-Encoding: xchunked\r\n\r\n", 400, "coding"},
		"coding quoted":              {post + "Transfer-Encoding: \"chunked\"\r\n\r\n", 400, "coding"},
		"coding with vertical tab":   {post + "Transfer-Encoding: \x0bchunked\r\n\r\n", 400, "control"},
		"coding in 1.0":              {"POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "coding"},
		"coding name with space":     {post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, "field-name"},
		"bare LF everywhere":         {"GET / HTTP/1.1\nHost: example.org\n\n", 400, "bare-lf"},
		"bare LF after one field":    {get + "A: b\nC: d\r\n\r\n", 400, "bare-lf"},
		"bare LF at the end":         {get + "A: b\r\n\n", 400, "bare-lf"},
		"bare CR in a value":         {get + "A: b\rC: d\r\n\r\n", 400, "bare-cr"},
		"bare CR in the first line":  {"GET /\r HTTP/1.1\r\n" + host + "\r\n", 400, "bare-cr"},
		"CR CR LF":                   {get + "A: b\r\r\n\r\n", 400, "bare-cr"},
		"folding with space":         {get + "A: b\r\n c\r\n\r\n", 400, "folding"},
		"folding with tab":           {get + "A: b\r\n\tc\r\n\r\n", 400, "folding"},
		"folding of the first field": {"GET / HTTP/1.1\r\n " + host + "\r\n", 400, "folding"},
		"NUL in a value":             {get + "A: b\x00c\r\n\r\n", 400, "control"},
		"NUL in a name":              {get + "A\x00: b\r\n\r\n", 400, "control"},
		"NUL in the target":          {"GET /\x00 HTTP/1.1\r\n" + host + "\r\n", 400, "control"},
		"DEL in a value":             {get + "A: \x7f\r\n\r\n", 400, "control"},
		"escape in a value":          {get + "A: \x1b[2J\r\n\r\n", 400, "control"},
		"space before colon":         {get + "A : b\r\n\r\n", 400, "field-name"},
		"tab before colon":           {get + "A\t: b\r\n\r\n", 400, "field-name"},
		"empty name":                 {get + ": b\r\n\r\n", 400, "field-name"},
		"no colon":                   {get + "A\r\n\r\n", 400, "field-name"},
		"name with umlaut":           {get + "\xc3\xa4: b\r\n\r\n", 400, "field-name"},
		"name in brackets":           {get + "A[b]: c\r\n\r\n", 400, "field-name"},
		"two hosts":                  {get + host + "\r\n", 400, "host-twice"},
		"two different hosts":        {get + "Host: evil\r\n\r\n", 400, "host-twice"},
		"no host":                    {"GET / HTTP/1.1\r\nA: b\r\n\r\n", 400, "host-missing"},
		"empty host":                 {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "host"},
		"host with user":             {"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "host"},
		"host with path":             {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "host"},
		"host with space":            {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "host"},
		"host list":                  {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, "host"},
		"host with bad port":         {"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400, "host"},
		"host with two ports":        {"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400, "host"},
		"host with bad literal":      {"GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n", 400, "host"},
		"HTTP/2.0":                   {"GET / HTTP/2.0\r\n" + host + "\r\n", 400, "version"},
		"HTTP/1.2":                   {"GET / HTTP/1.2\r\n" + host + "\r\n", 400, "version"},
		"HTTP/1.10":                  {"GET / HTTP/1.10\r\n" + host + "\r\n", 400, "version"},
		"http/1.1":                   {"GET / http/1.1\r\n" + host + "\r\n", 400, "version"},
		"HTTP/0.9":                   {"GET /\r\n\r\n", 400, "request-line"},
		"preface of HTTP/2":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "version"},
		"two spaces":                 {"GET  / HTTP/1.1\r\n" + host + "\r\n", 400, "version"},
		"tab for space":              {"GET\t/ HTTP/1.1\r\n" + host + "\r\n", 400, "method"},
		"space in the target":        {"GET /a b HTTP/1.1\r\n" + host + "\r\n", 400, "version"},
		"trailing space":             {"GET / HTTP/1.1 \r\n" + host + "\r\n", 400, "version"},
		"no target":                  {"GET HTTP/1.1\r\n" + host + "\r\n", 400, "request-line"},
		"relative target":            {"GET a HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		"star for GET":               {"GET * HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		"fragment":                   {"GET /#a HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		"bad escape":                 {"GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		"cut escape":                 {"GET /%2 HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		"ftp target":                 {"GET ftp://example.org/ HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		"user in the target":         {"GET http://u@example.org/ HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		"other host in the target":   {"GET http://evil/ HTTP/1.1\r\n" + host + "\r\n", 400, "host-mismatch"},
		"other port in the target":   {"GET http://example.org:81/ HTTP/1.1\r\n" + host + "\r\n", 400, "host-mismatch"},
		"CONNECT":                    {"CONNECT example.org:443 HTTP/1.1\r\n" + host + "\r\n", 400, "connect"},
		"method in brackets":         {"G(T / HTTP/1.1\r\n" + host + "\r\n", 400, "method"},
		"long method":                {strings.Repeat("A", 33) + " / HTTP/1.1\r\n" + host + "\r\n", 400, "method"},
		"TLS":                        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "request-line"},
		"three empty lines":          {"\r\n\r\n\r\nGET / HTTP/1.1\r\n" + host + "\r\n", 400, "request-line"},
		"PROXY from a stranger":      {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get + "\r\n", 400, "version"},
		"large head":                 {get + "A: " + strings.Repeat("a", 17<<10) + "\r\n\r\n", 400, "head-size"},
		"large head of many fields":  {get + strings.Repeat("A: "+strings.Repeat("a", 1000)+"\r\n", 20) + "\r\n", 400, "head-size"},
		"long target":                {"GET /" + strings.Repeat("a", 17<<10) + " HTTP/1.1\r\n" + host + "\r\n", 400, "head-size"},
		"many fields":                {get + strings.Repeat("A: b\r\n", 101) + "\r\n", 400, "field-count"},
		"announced bad trailer":      {post + "Trailer: X, Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "trailer-field"},
		"expect something":           {post + "Content-Length: 3\r\nExpect: 200-maybe\r\n\r\nabc", 417, "expect"},
		"expect twice":               {post + "Content-Length: 3\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\nabc", 417, "expect"},
		"too large":                  {post + "Content-Length: 1048577\r\n\r\nabc", 413, "body-size"},
		"too large a chunk":          {chunked + "100001\r\nabc", 413, "body-size"},
	}
	for name, body := range map[string]struct{ raw, kind string }{
		"empty size":             {"\r\nabc\r\n0\r\n\r\n", "chunk-size"},
		"negative size":          {"-1\r\nabc\r\n0\r\n\r\n", "chunk-size"},
		"size with plus":         {"+3\r\nabc\r\n0\r\n\r\n", "chunk-size"},
		"size with 0x":           {"0x3\r\nabc\r\n0\r\n\r\n", "chunk-size"},
		"size with space":        {"3 \r\nabc\r\n0\r\n\r\n", "chunk-size"},
		"size after space":       {" 3\r\nabc\r\n0\r\n\r\n", "chunk-size"},
		"size with underscore":   {"1_0\r\nabc\r\n0\r\n\r\n", "chunk-size"},
		"size that overflows":    {"10000000000000003\r\nabc\r\n0\r\n\r\n", "chunk-size"},
		"no number":              {"g\r\nabc\r\n0\r\n\r\n", "chunk-size"},
		"size ends with LF":      {"3\nabc\r\n0\r\n\r\n", "bare-lf"},
		"size ends with CR":      {"3\rabc\r\n0\r\n\r\n", "bare-cr"},
		"extension with LF":      {"3;a\nabc\r\n0\r\n\r\n", "bare-lf"},
		"extension with NUL":     {"3;\x00\r\nabc\r\n0\r\n\r\n", "chunk-extension"},
		"long extension":         {"3;" + strings.Repeat("a", 300) + "\r\nabc\r\n0\r\n\r\n", "chunk-extension"},
		"chunk longer than said": {"3\r\nabcd\r\n0\r\n\r\n", "chunk-end"},
		"chunk ends with LF":     {"3\r\nabc\n0\r\n\r\n", "chunk-end"},
		"trailer without name":   {"0\r\n: b\r\n\r\n", "trailers"},
		"trailer folded":         {"0\r\nA: b\r\n c\r\n\r\n", "trailers"},
		"trailer with NUL":       {"0\r\nA: \x00\r\n\r\n", "trailers"},
		"trailer with LF":        {"0\r\nA: b\n\r\n", "bare-lf"},
		"trailer frames":         {"0\r\nContent-Length: 3\r\n\r\n", "trailer-field"},
		"trailer host":           {"0\r\nhOST: a\r\n\r\n", "trailer-field"},
		"end with LF":            {"0\r\n\n", "trailers"},
		"many trailers":          {"0\r\n" + strings.Repeat("A: b\r\n", 21) + "\r\n", "trailers"},
	} {
		m["chunk: "+name] = row{chunked + body.raw, 400, body.kind}
	}
	return m
}

func TestMalformedNeverReachesTheRooms(t *testing.T) {
	var called atomic.Int32
	cfg := testConfig()
	cfg.MaxBody = 1 << 20
	h := start(t, cfg, testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		called.Add(1)
		hello(w, r)
	})
	for name, m := range malformedRequests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, br := h.send(t, m.raw)
			r, body := answer(t, br, "GET")
			if r.StatusCode != m.status {
				t.Errorf("answered %d, want %d", r.StatusCode, m.status)
			}
			var want string
			for f := faultNone + 1; f < faults; f++ {
				if f.about().text+"\n" == body {
					want = f.about().kind
				}
			}
			if want != m.kind {
				t.Errorf("said %q (%s), want %s", body, want, m.kind)
			}
			if !r.Close {
				t.Error("does not say that it closes")
			}
			closedNow(t, br)
		})
	}
	t.Cleanup(func() {
		if n := called.Load(); n > 0 {
			t.Errorf("the rooms were called %d times", n)
		}
		if n := len(h.watch.all()); n > 0 {
			t.Errorf("%d visits were recorded", n)
		}
	})
}

// The same bytes one at a time, since framing must not depend on packets.
// Chunks may reach the rooms this way, and must fail there.
func TestMalformedByteByByte(t *testing.T) {
	cfg := testConfig()
	cfg.MaxBody = 1 << 20
	h := start(t, cfg, testDoor{}, hello)
	for name, m := range malformedRequests() {
		if len(m.raw) > 2000 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := h.dial(t)
			go func() {
				for i := range len(m.raw) {
					if _, err := c.Write([]byte(m.raw[i : i+1])); err != nil {
						return
					}
				}
			}()
			r, _ := answer(t, bufio.NewReader(c), "GET")
			if r.StatusCode != m.status {
				t.Errorf("answered %d, want %d", r.StatusCode, m.status)
			}
		})
	}
}

func TestPipelinedGoodThenBad(t *testing.T) {
	var called atomic.Int32
	h := start(t, testConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		called.Add(1)
		fmt.Fprint(w, r.URL.Path)
	})
	good := func(p string) string { return "GET " + p + " HTTP/1.1\r\n" + host + "\r\n" }
	_, br := h.send(t, good("/1")+good("/refuse")+
		"POST /2 HTTP/1.1\r\n"+host+"Content-Length: 3\r\n\r\nabc"+
		"POST /3 HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n\r\n"+
		good("/4")+"GET /bad HTTP/1.1\nHost: a\n\n"+good("/5"))
	for _, want := range []string{"200 /1", "429 too much\n", "200 /2", "200 /3", "200 /4", "400 a line ends with LF instead of CRLF\n"} {
		r, body := answer(t, br, "GET")
		if got := fmt.Sprintf("%d %s", r.StatusCode, body); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	closedNow(t, br)
	if n := called.Load(); n != 4 {
		t.Errorf("rooms were called %d times", n)
	}
	if n := len(h.watch.wait(t, 5)); n != 5 {
		t.Errorf("%d visits were recorded, want 5", n)
	}
}
