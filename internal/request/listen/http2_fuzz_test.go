package listen

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"seawall/internal/kit/clock"
	"seawall/internal/request/listen/h2"
	"seawall/internal/traffic"
)

// block encodes fields, name and value in turn.
func block(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return b.Bytes()
}

// asked is a field block with the usual pseudo-header fields before others.
func asked(pairs ...string) []byte {
	return block(append([]string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "a"}, pairs...)...)
}

// Which fields make a request, and which do not (RFC 9113, sections 8.2 and 8.3).
func TestHTTP2Fields(t *testing.T) {
	usual := []string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "example.org"}
	with := func(more ...string) []string { return append(append([]string(nil), usual...), more...) }
	for name, c := range map[string]struct {
		fields []string
		ends   bool
		ok     bool
	}{
		"usual":                 {usual, true, true},
		"a body":                {with("content-length", "3"), false, true},
		"Host instead":          {[]string{":method", "GET", ":scheme", "https", ":path", "/", "host", "a"}, true, true},
		"both the same":         {with("host", "EXAMPLE.org"), true, true},
		"websocket":             {[]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/", ":authority", "a"}, false, true},
		"two hosts":             {with("host", "other.org"), true, false},
		"no host":               {[]string{":method", "GET", ":scheme", "https", ":path", "/"}, true, false},
		"no path":               {[]string{":method", "GET", ":scheme", "https", ":authority", "a"}, true, false},
		"no scheme":             {[]string{":method", "GET", ":path", "/", ":authority", "a"}, true, false},
		"another scheme":        {[]string{":method", "GET", ":scheme", "ftp", ":path", "/", ":authority", "a"}, true, false},
		"a path of nothing":     {[]string{":method", "GET", ":scheme", "https", ":path", "", ":authority", "a"}, true, false},
		"an absolute path":      {[]string{":method", "GET", ":scheme", "https", ":path", "http://b/", ":authority", "a"}, true, false},
		"a blank in the path":   {[]string{":method", "GET", ":scheme", "https", ":path", "/a b", ":authority", "a"}, true, false},
		"a method of two words": {[]string{":method", "GET /", ":scheme", "https", ":path", "/", ":authority", "a"}, true, false},
		"CONNECT":               {[]string{":method", "CONNECT", ":authority", "a:443"}, false, false},
		"another protocol":      {[]string{":method", "CONNECT", ":protocol", "udp", ":scheme", "https", ":path", "/", ":authority", "a"}, false, false},
		"a protocol with GET":   {with(":protocol", "websocket"), true, false},
		"twice":                 {with(":path", "/"), true, false},
		"unknown pseudo":        {with(":status", "200"), true, false},
		"pseudo after others":   {[]string{":method", "GET", ":scheme", "https", ":path", "/", "accept", "*", ":authority", "a"}, true, false},
		"upper case":            {with("Accept", "*"), true, false},
		"a name with a colon":   {with("a:b", "c"), true, false},
		"connection":            {with("connection", "close"), true, false},
		"transfer-encoding":     {with("transfer-encoding", "chunked"), false, false},
		"upgrade":               {with("upgrade", "h2c"), true, false},
		"te":                    {with("te", "gzip"), true, false},
		"te: trailers":          {with("te", "trailers"), true, true},
		"a line end":            {with("a", "b\r\nc: d"), true, false},
		"a zero":                {with("a", "b\x00"), true, false},
		"blanks around":         {with("a", " b"), true, false},
		"two lengths":           {with("content-length", "1", "content-length", "1"), false, false},
		"no number":             {with("content-length", "+1"), false, false},
		"a length and no body":  {with("content-length", "1"), true, false},
	} {
		if x, ok := gatherAll(t, block(c.fields...), c.ends); ok != c.ok {
			t.Errorf("%s: taken %v", name, ok)
		} else if ok && (x.visit.HTTP != traffic.HTTP2 || x.visit.Path != "/" || x.visit.Host == "") {
			t.Errorf("%s: visit %+v", name, x.visit)
		}
	}
}

// gatherAll makes an exchange of a field block, as a connection would.
func gatherAll(t testing.TB, b []byte, ends bool) (*exchange, bool) {
	s := New(testConfig(), testDoor{}, noWatcher{}, nil, clock.New(), slog.New(slog.DiscardHandler))
	h := &http2conn{c: &conn{s: s, addr: "127.0.0.1:1"}, s: s}
	h.dec = hpack.NewDecoder(codingTable, h.emit)
	h.newGather(false)
	if _, err := h.dec.Write(b); err != nil || h.dec.Close() != nil {
		return nil, false
	}
	g := h.gather
	if g.fault || g.over || !g.finish(ends) {
		return nil, false
	}
	g.x.fill(g.buf.body)
	return g.x, true
}

// FuzzHTTP2Fields: whatever passes can be made a request that says the same, and
// written as one of HTTP/1.1 it passes as well: nothing can hide in it.
func FuzzHTTP2Fields(f *testing.F) {
	f.Add(asked("cookie", "a=b", "cookie", "c=d"), true)
	f.Add(asked("content-length", "3", "te", "trailers"), false)
	f.Add(block(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/chat", ":authority", "a"), false)
	f.Fuzz(func(t *testing.T, b []byte, ends bool) {
		x, ok := gatherAll(t, b, ends)
		if !ok {
			return
		}
		if err := x.standard(); err != nil {
			t.Fatalf("it cannot be made a request: %v", err)
		}
		r := x.req.http
		var one strings.Builder
		one.WriteString(r.Method + " " + r.RequestURI + " HTTP/1.1\r\nHost: " + r.Host + "\r\n")
		fields := 1
		for k, vv := range r.Header {
			for _, v := range vv {
				fields++
				one.WriteString(k + ": " + v + "\r\n")
			}
		}
		one.WriteString("\r\n")
		var h head
		h.reset(60<<10, 1000)
		if done, fa := h.scan([]byte(one.String())); !done || fa != faultNone || len(h.fields) != fields {
			t.Fatalf("in HTTP/1.1 that is %v, with %d fields for %d:\n%q", fa, len(h.fields), fields, one.String())
		}
		if h.length >= 0 && x.head.length >= 0 && h.length != x.head.length {
			t.Fatalf("length %d, in HTTP/1.1 %d", x.head.length, h.length)
		}
	})
}

// FuzzHTTP2: whatever is sent, nothing breaks, what is answered are frames, and the
// connection comes to its end.
func FuzzHTTP2(f *testing.F) {
	frames := func(write func(*http2.Framer)) []byte {
		var b bytes.Buffer
		b.WriteString(h2.Preface)
		fr := http2.NewFramer(&b, nil)
		fr.AllowIllegalWrites = true
		write(fr)
		return b.Bytes()
	}
	f.Add(frames(func(fr *http2.Framer) {
		_ = fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: asked(), EndStream: true, EndHeaders: true, PadLength: 3})
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: asked("content-length", "5"), EndHeaders: true})
		_ = fr.WriteDataPadded(3, false, []byte("ab"), []byte{0, 0})
		_ = fr.WriteWindowUpdate(1, 100)
		_ = fr.WriteData(3, false, []byte("cde"))
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block("a", "b"), EndStream: true, EndHeaders: true})
		_ = fr.WriteRSTStream(1, http2.ErrCodeCancel)
		_ = fr.WritePing(false, [8]byte{1})
	}))
	f.Add(frames(func(fr *http2.Framer) {
		_ = fr.WriteSettings()
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: asked()[:3]})
		_ = fr.WriteContinuation(1, true, asked()[3:])
		_ = fr.WritePriority(3, http2.PriorityParam{StreamDep: 1})
		_ = fr.WriteGoAway(0, http2.ErrCodeNo, nil)
		_ = fr.WriteRawFrame(0x77, 3, 9, []byte("what"))
	}))
	cfg := testConfig()
	cfg.H2C = true
	cfg.HeadTimeout, cfg.IdleTimeout, cfg.Grace = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	h := start(f, cfg, testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		go func() {
			_, _ = c.Write(raw)
			_ = c.(*net.TCPConn).CloseWrite()
		}()
		if !bytes.HasPrefix(raw, []byte(h2.Preface[:4])) {
			_, _ = io.Copy(io.Discard, c)
			return
		}
		fr := http2.NewFramer(io.Discard, c)
		for {
			if _, err := fr.ReadFrame(); err != nil {
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					t.Fatal("the connection stays open")
				}
				if err != io.EOF && !isReset(err) {
					t.Fatalf("what is answered is no frame: %v", err)
				}
				break
			}
		}
		if n := h.Stats().Panics; n != 0 {
			t.Fatalf("%d panics", n)
		}
	})
}

func isReset(err error) bool {
	return strings.Contains(err.Error(), "reset by peer") || err == io.ErrUnexpectedEOF || strings.Contains(err.Error(), "broken pipe")
}
