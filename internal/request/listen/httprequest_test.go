package listen

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"testing"
	"time"

	"seawall/internal/kit/clock"
)

// FuzzStandardAgainstNetHTTP: what rooms get of a request is what net/http would
// have made of it, its body and trailers among it.
func FuzzStandardAgainstNetHTTP(f *testing.F) {
	for _, m := range malformedRequests() {
		if len(m.raw) < 2000 {
			f.Add([]byte(m.raw))
		}
	}
	for _, s := range []string{
		"GET http://A.b:80/x%20y?%zz HTTP/1.1\r\nHost: a.B:80\r\nA: \xff\r\na:  c \r\nsec-ch-ua: x\r\n\r\n",
		"POST //a/../b HTTP/1.1\r\nHost: [::1]:8\r\nTransfer-Encoding: Chunked\r\nTrailer: A,B\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nA: b\r\n\r\nGET /",
		"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab",
		"GET /a? HTTP/1.1\r\nHost: a\r\nte: trailers\r\nDNT: 1\r\n\r\n", "GET /a'b(c)!*[] HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /%2fa;b=c:d@e$&+, HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	s := New(testConfig(), testDoor{}, noWatcher{}, nil, clock.New(), slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := &conn{s: s, addr: "127.0.0.1:1", buf: bytes.Clone(raw), w: len(raw)}
		x := s.newExchange(c)
		if done, fa := x.head.scan(raw); !done || fa != faultNone {
			return
		}
		x.fill(raw[:x.head.size])
		if err := x.standard(); err != nil {
			t.Fatalf("head lets pass what cannot be made a request: %v", err)
		}
		ours := x.req.http
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			t.Fatalf("net/http says %v", err)
		}
		if _, both := ours.Header["Cache-Control"]; want.Header.Get("Pragma") == "no-cache" && !both {
			delete(want.Header, "Cache-Control") // net/http adds one
		}
		if ours.Method != want.Method || ours.RequestURI != want.RequestURI || ours.Host != want.Host || ours.Proto != want.Proto ||
			ours.ProtoMajor != want.ProtoMajor || ours.ProtoMinor != want.ProtoMinor || ours.Close != want.Close ||
			ours.ContentLength != want.ContentLength || !reflect.DeepEqual(ours.URL, want.URL) ||
			!reflect.DeepEqual(ours.TransferEncoding, want.TransferEncoding) {
			t.Fatalf("ours  %+v %+v\nnet/http %+v %+v", ours, ours.URL, want, want.URL)
		}
		if x.head.length < 0 { // else it means nothing, and net/http takes no notice
			if !reflect.DeepEqual(ours.Trailer, want.Trailer) {
				t.Fatalf("trailers %v, net/http %v", ours.Trailer, want.Trailer)
			}
		} else {
			delete(want.Header, "Trailer")
		}
		if !reflect.DeepEqual(ours.Header, want.Header) {
			t.Fatalf("fields %q\nnet/http %q", ours.Header, want.Header)
		}
		if x.head.body() && wholeBody(&x.head, raw[x.head.size:]) {
			compareRead(t, c, x, want)
		}
	})
}

// wholeBody says whether rest begins with all of the body, well formed.
func wholeBody(h *head, rest []byte) bool {
	if h.length >= 0 {
		return h.length <= int64(len(rest))
	}
	var k chunks
	k.advance(rest)
	return k.fault == faultNone && k.state == chunkEnd
}

func compareRead(t *testing.T, c *conn, x *exchange, want *http.Request) {
	x.req.one = body1{c: c, q: x.req}
	x.req.reads(&x.req.one, c.wake)
	c.r = x.head.size
	c.beginBody(&x.head)
	got, err := io.ReadAll(x.req.http.Body)
	if err != nil {
		t.Fatalf("a body that is whole: %v", err)
	}
	data, err := io.ReadAll(want.Body)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("body %q, net/http %q (%v)", got, data, err)
	}
	if x.head.length < 0 && !reflect.DeepEqual(x.req.http.Trailer, want.Trailer) {
		t.Fatalf("trailers %q, net/http %q", x.req.http.Trailer, want.Trailer)
	}
}

// Contexts made from a request's own end with it, without a goroutine that waits.
func TestLife(t *testing.T) {
	var l life
	child, cancel := context.WithCancel(&l)
	defer cancel()
	ran := make(chan int, 3)
	stops := make([]func() bool, 3)
	for i := range stops {
		stops[i] = context.AfterFunc(&l, func() { ran <- i })
	}
	if !stops[0]() || stops[0]() {
		t.Error("a function that was to run can be stopped once")
	}
	if l.Err() != nil || child.Err() != nil {
		t.Error("it has ended before its end")
	}
	l.end()
	l.end()
	for range 2 {
		select {
		case i := <-ran:
			if i == 0 {
				t.Error("the stopped function ran")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a function did not run")
		}
	}
	<-l.Done()
	<-child.Done()
	if l.Err() != context.Canceled || stops[1]() {
		t.Errorf("after its end: %v", l.Err())
	}
	late := make(chan bool)
	context.AfterFunc(&l, func() { close(late) })
	<-late
}
