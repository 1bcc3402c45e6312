package listen

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func scanAll(raw string) (head, bool, fault) {
	var h head
	h.reset(16<<10, 100)
	done, f := h.scan([]byte(raw))
	return h, done, f
}

func TestHeadWhatItFound(t *testing.T) {
	raw := "POST http://Example.org:80/a?b HTTP/1.1\r\nhost: example.ORG:80\r\nUser-Agent:  me \t\r\n" +
		"Connection: keep-alive, Upgrade\r\nUPGRADE: websocket\r\nContent-Length: 0012\r\nExpect: 100-Continue\r\nEmpty:\r\n\r\nrest"
	h, done, f := scanAll(raw)
	if !done || f != faultNone {
		t.Fatal(done, f)
	}
	if got := raw[:h.size]; !strings.HasSuffix(got, "Empty:\r\n\r\n") {
		t.Errorf("head ends at %q", got)
	}
	path, query := splitTarget(h.target.in(raw), int(h.pathFrom))
	for what, pair := range map[string][2]string{
		"method": {h.method.in(raw), "POST"}, "path": {path, "/a"}, "query": {query, "b"},
		"host": {hostName(h.host.in(raw)), "example.org"}, "agent": {h.agent.in(raw), "me"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
	if h.length != 12 || h.upgrades || !h.expects || h.closes {
		t.Errorf("length %d upgrades %v expects %v closes %v", h.length, h.upgrades, h.expects, h.closes)
	}
}

// TestHeadUpgrade: a request with a body switches no protocols, since nobody
// could tell for certain where the one ends and the other begins.
func TestHeadUpgrade(t *testing.T) {
	for fields, want := range map[string]bool{
		"":                               true,
		"Content-Length: 0\r\n":          true,
		"Content-Length: 1\r\n":          false,
		"Transfer-Encoding: chunked\r\n": false,
	} {
		h, done, f := scanAll("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" + fields + "\r\n")
		if !done || f != faultNone || h.upgrades != want {
			t.Errorf("%q: %v %v, upgrades %v", fields, done, f, h.upgrades)
		}
	}
}

func TestHeadKeepAlive(t *testing.T) {
	for raw, closes := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n":                                     false,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: x , CLOSE\r\n\r\n":            true,
		"GET / HTTP/1.0\r\n\r\n":                                                true,
		"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n":                      false,
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n": true,
	} {
		if h, done, f := scanAll(raw); !done || f != faultNone || h.closes != closes {
			t.Errorf("%q: done %v fault %v closes %v, want %v", raw, done, f, h.closes, closes)
		}
	}
}

func TestHeaderOrder(t *testing.T) {
	order := func(lines string) uint64 {
		h, done, f := scanAll(lines + "\r\n")
		if !done || f != faultNone {
			t.Fatalf("%q: %v", lines, f)
		}
		return h.order
	}
	base := "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nAccept: y\r\n"
	is := order(base)
	for name, same := range map[string]string{
		"other values":   "GET /b HTTP/1.1\r\nHost: b\r\nUser-Agent: z\r\nAccept: w\r\n",
		"other case":     "POST / HTTP/1.1\r\nhost: a\r\nuser-agent: x\r\nACCEPT: y\r\n",
		"with a cookie":  base + "Cookie: a=b\r\n",
		"with relays":    "GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\nHost: a\r\nVia: 1.1 x\r\nUser-Agent: x\r\nAccept: y\r\nCF-Ray: 1\r\n",
		"reloaded":       base + "Cache-Control: no-cache\r\nPragma: no-cache\r\n",
		"with a referer": "GET / HTTP/1.1\r\nHost: a\r\nReferer: b\r\nUser-Agent: x\r\nAccept: y\r\n",
	} {
		if order(same) != is {
			t.Errorf("%s: differs", name)
		}
	}
	for name, other := range map[string]string{
		"other order":   "GET / HTTP/1.1\r\nUser-Agent: x\r\nHost: a\r\nAccept: y\r\n",
		"one more":      base + "Accept-Language: de\r\n",
		"one less":      "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\n",
		"other version": "GET / HTTP/1.0\r\nHost: a\r\nUser-Agent: x\r\nAccept: y\r\n",
	} {
		if order(other) == is {
			t.Errorf("%s: is the same", name)
		}
	}
	// A stable number: it is stored, and shared in a fleet.
	if want := uint64(0xf6f8513bbd1f151f); is != want {
		t.Errorf("the fingerprint is %#x, and was %#x", is, want)
	}
}

// FuzzHeadAgainstNetHTTP: what we accept, net/http accepts, with the same
// method, target, host, field values and body; and the same bytes in pieces
// give the same result.
func FuzzHeadAgainstNetHTTP(f *testing.F) {
	for _, m := range malformedRequests() {
		if len(m.raw) < 2000 {
			f.Add([]byte(m.raw))
		}
	}
	f.Add([]byte("GET http://A.b:80/x%20y?%zz HTTP/1.1\r\nHost: a.B:80\r\nPragma: no-cache\r\nA: \xff\r\na:  c \r\n\r\n"))
	f.Add([]byte("POST //a/../b HTTP/1.1\r\nHost: [::1]:8\r\nTransfer-Encoding: Chunked\r\nTrailer: A,B\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nA: b\r\n\r\nGET /"))
	f.Add([]byte("OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var h, g head
		h.reset(4<<10, 50)
		done, fa := h.scan(raw)
		g.reset(4<<10, 50)
		var gdone bool
		var gfa fault
		for i := 0; i <= len(raw) && !gdone && gfa == faultNone; i++ {
			gdone, gfa = g.scan(raw[:i])
		}
		if gdone != done || gfa != fa && (gfa != faultHeadSize && gfa != faultRequestLine) {
			t.Fatalf("in one piece: %v %v; byte by byte: %v %v", done, fa, gdone, gfa)
		}
		if !done || fa != faultNone {
			return
		}
		br := bufio.NewReader(bytes.NewReader(raw))
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("we accept, net/http says %v", err)
		}
		if r.Method != string(h.method.of(raw)) || r.RequestURI != string(h.target.of(raw)) {
			t.Fatalf("method %q target %q", r.Method, r.RequestURI)
		}
		// net/http takes the host of an absolute target, which we require to be
		// the same but for its case.
		if !strings.EqualFold(r.Host, string(h.host.of(raw))) {
			t.Fatalf("host %q, ours %q", r.Host, h.host.of(raw))
		}
		if r.ContentLength != h.length {
			t.Fatalf("length %d, ours %d", r.ContentLength, h.length)
		}
		x := exchange{head: h, text: string(raw[:h.size])}
		n := 0
		for name, values := range r.Header {
			n += len(values)
			if name == "Cache-Control" && x.Get("Pragma") != "" && x.Get(name) == "" {
				n -= len(values) // net/http adds one
				continue
			}
			ours := x.Values(name)
			if len(ours) != len(values) {
				t.Fatalf("%s: %q, ours %q", name, values, ours)
			}
			for i := range values {
				if values[i] != ours[i] {
					t.Fatalf("%s: %q, ours %q", name, values, ours)
				}
			}
		}
		for _, gone := range []string{"Host", "Transfer-Encoding"} {
			if r.Header.Get(gone) == "" {
				n += len(x.Values(gone))
			}
		}
		if h.length < 0 && r.Header["Trailer"] == nil {
			n += len(x.Values("Trailer"))
		}
		if n != len(h.fields) {
			t.Fatalf("net/http sees %d fields, we see %d", n, len(h.fields))
		}
		compareBodies(t, r, &h, raw)
	})
}

// compareBodies: where our framing finds the whole body well formed, net/http
// reads it to the same end and finds the same bytes of data.
func compareBodies(t *testing.T, r *http.Request, h *head, raw []byte) {
	rest := raw[h.size:]
	want := h.length
	if h.length < 0 {
		var k chunks
		if k.advance(rest); k.fault != faultNone || k.state != chunkEnd {
			return
		}
		want = k.data
	} else if h.length > int64(len(rest)) {
		return
	}
	if n, err := io.Copy(io.Discard, r.Body); err != nil || n != want {
		t.Fatalf("net/http reads %d bytes of body (%v), we %d", n, err, want)
	}
}

func FuzzChunks(f *testing.F) {
	f.Add([]byte("3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\nrest"), uint8(1))
	f.Add([]byte("0\r\n\r\n"), uint8(2))
	f.Add([]byte("fffffffffffffff\r\n"), uint8(7))
	f.Fuzz(func(t *testing.T, raw []byte, step uint8) {
		var whole, parts chunks
		n := whole.advance(raw)
		m := 0
		for m < len(raw) {
			end := min(len(raw), m+int(step)+1)
			got := parts.advance(raw[m:end])
			if m += got; m < end {
				break
			}
		}
		if n != m || whole.fault != parts.fault || whole.state != parts.state || whole.data != parts.data {
			t.Fatalf("whole: %d %v %v %d; in parts: %d %v %v %d",
				n, whole.fault, whole.state, whole.data, m, parts.fault, parts.state, parts.data)
		}
		if whole.fault == faultNone && whole.state == chunkEnd {
			b, err := io.ReadAll(newChunkedReader(raw))
			if err != nil || int64(len(b)) != whole.data {
				t.Fatalf("net/http reads %d bytes (%v), we %d", len(b), err, whole.data)
			}
		}
	})
}

// newChunkedReader reads a chunked body as net/http does.
func newChunkedReader(raw []byte) io.Reader {
	head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), bytes.NewReader(raw))))
	if err != nil {
		panic(err)
	}
	return r.Body
}

func BenchmarkHeadScan(b *testing.B) {
	raw := []byte("GET /news/2026/03/a-long-title-of-an-article?page=2 HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive\r\n" +
		"sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n" +
		"Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: none\r\n" +
		"Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br\r\n" +
		"Accept-Language: de,en;q=0.9\r\nCookie: a=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n\r\n")
	var h head
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		h.reset(16<<10, 100)
		if done, f := h.scan(raw); !done || f != faultNone {
			b.Fatal(f)
		}
	}
}
