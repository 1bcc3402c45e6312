package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"
)

func TestParseHead(t *testing.T) {
	for _, c := range []struct {
		name, raw, method, want string
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", "200 1 5 false map[Content-Length:[5]]"},
		{"same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "GET", "200 1 5 false map[Content-Length:[5 5]]"},
		{"nothing", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", "200 0 0 false map[Content-Length:[0]]"},
		{"chunked", "HTTP/1.1 200\r\ntransfer-encoding: Chunked\r\n\r\n", "GET", "200 2 -1 false map[Transfer-Encoding:[Chunked]]"},
		{"to the close", "HTTP/1.1 200 \r\n\r\n", "GET", "200 3 -1 true map[]"},
		{"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", "GET", "200 1 1 true map[Content-Length:[1]]"},
		{"head", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close\r\n\r\n", "HEAD", "200 0 5 true map[Connection:[Close] Content-Length:[5]]"},
		{"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", "304 0 5 false map[Content-Length:[5]]"},
		{"bare line feeds", "HTTP/1.1 200 OK\nA: b\n\n", "HEAD", "200 0 -1 false map[A:[b]]"},
		{"folded", "HTTP/1.1 200 OK\r\nA: b\r\n \tc\r\nA: d\r\n\r\n", "HEAD", "200 0 -1 false map[A:[b c d]]"},
		{"blank before the colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HEAD", "200 0 -1 false map[A:[b]]"},
	} {
		h, err := parseHead(nil, []byte(c.raw), c.method)
		got := http.Header{}
		h.fields.addTo(got)
		if got := fmt.Sprint(h.status, h.framing, h.length, h.close, got); err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n c\r\n\r\n"), "GET")
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5, max=1\r\n\r\n"), "HEAD")
	f.Add([]byte("HTTP/1.0 204\n\n"), "POST")
	f.Fuzz(func(t *testing.T, raw []byte, method string) {
		block, err := readBlock(bufio.NewReaderSize(bytes.NewReader(raw), 16), nil, 4096)
		if err != nil {
			return
		}
		h, err := parseHead(nil, block, method)
		if err != nil {
			if !errors.Is(err, errNonsense) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		// What we accept, net/http must accept and read in the same way.
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(block)), &http.Request{Method: method})
		if err != nil {
			return // we forgive folding and blanks that it does not
		}
		if res.StatusCode != h.status {
			t.Errorf("status %d, net/http says %d", h.status, res.StatusCode)
		}
		if (h.framing == framedChunked) != (len(res.TransferEncoding) > 0) && bodyAllowed(method, h.status) {
			t.Errorf("framing %d, net/http says %v", h.framing, res.TransferEncoding)
		}
		if h.framing == framedLength && res.ContentLength != h.length {
			t.Errorf("length %d, net/http says %d", h.length, res.ContentLength)
		}
		for _, f := range h.fields {
			if strings.ContainsAny(f[0]+f[1], "\r\n\x00") {
				t.Errorf("field %q", f)
			}
		}
	})
}

func bodyAllowed(method string, status int) bool {
	return method != "HEAD" && status >= 200 && status != 204 && status != 304
}

func TestChunks(t *testing.T) {
	for _, c := range []struct{ raw, want, rest string }{
		{"5\r\nabcde\r\n0\r\n\r\nnext", "abcde", "next"},
		{"2;a=b\r\nab\r\n3 \r\ncde\r\n000\r\nT: 1\r\n\r\n", "abcde", ""},
		{"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.raw), iotest.OneByteReader(strings.NewReader(c.raw))} {
			br := bufio.NewReader(r)
			b := &answerBody{br: br, framing: framedChunked}
			got, err := io.ReadAll(b)
			rest, _ := io.ReadAll(br)
			if string(got) != c.want || err != nil || string(rest) != c.rest {
				t.Errorf("%q: %q, %v, then %q", c.raw, got, err, rest)
			}
		}
	}
	for _, raw := range []string{"", "5", "5\r\n", "5\r\nabc", "5\r\nabcde", "5\r\nabcde\r\n", "5\r\nabcde\r\n0\r\n", "x\r\n", "\r\n",
		"1\r\nab\r\n0\r\n\r\n", "fffffffffffffffff\r\na", "5g\r\nabcde\r\n0\r\n\r\n", "0\r\nbad trailer\r\n\r\n", "1;" + strings.Repeat("x", 5000)} {
		if got, err := io.ReadAll(&answerBody{br: bufio.NewReader(strings.NewReader(raw)), framing: framedChunked}); err == nil {
			t.Errorf("%.40q was read as a whole body %q", raw, got)
		}
	}
}

func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nabcde\r\n0\r\n\r\n"))
	f.Add([]byte("2;a=b\r\nab\r\n3\r\ncde\r\n0\r\nT: 1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := io.ReadAll(&answerBody{br: bufio.NewReader(bytes.NewReader(raw)), framing: framedChunked})
		if err != nil {
			return
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(raw)))
		if err != nil && strings.Contains(err.Error(), "too much non-data") {
			return // net/http guards itself against tiny chunks from strangers
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: %q; net/http reads %q, %v", raw, got, want, err)
		}
	})
}

func TestValidate(t *testing.T) {
	good := DefaultConfig()
	good.Origins = []Origin{{URL: "http://127.0.0.1:3000"}, {URL: "https://site.example/", Weight: 2}, {URL: "unix:/run/s.sock"}, {URL: "http://[::1]:80"}}
	if l := good.Validate(); len(l) > 0 {
		t.Errorf("good settings: %v", l)
	}
	bad := Config{Origins: []Origin{{URL: "ftp://x"}, {URL: "http://a/b"}, {URL: "unix:rel"}, {URL: "http://a:99999"}, {URL: "http://a", Weight: -1}},
		Host: "a b", CAFile: "/nonexistent", MaxInFlight: -1, Health: Health{Path: "x"}}
	var keys []string
	for _, p := range bad.Validate() {
		keys = append(keys, p.Key)
		if p.Hint == "" {
			t.Errorf("no hint: %v", p)
		}
	}
	want := "origins[0].url origins[1].url origins[2].url origins[3].url origins[4].weight host ca_file connect_timeout answer_timeout continue_timeout upgrade_idle health.every health.timeout max_in_flight max_streams max_waiting health.rise health.fall health.path"
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("problems with\n%s, want\n%s", got, want)
	}
	if l := DefaultConfig().Validate(); len(l) != 1 || l[0].Key != "origins" {
		t.Errorf("no origin: %v", l)
	}
}
