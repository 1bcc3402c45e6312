package listen

import (
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"

	"seawall/internal/traffic"
)

// request is the standard form of a request, for the rooms, in one piece of
// memory. It is not used again: a room may keep it.
type request struct {
	http *http.Request
	base http.Request
	url  url.URL
	life life
	body countedBody
	one  body1
	// said is what the client was told first: 1 that it may send the body, 2 the
	// answer.
	said atomic.Uint32
}

// standard makes the standard form. It fails where net/url does not understand a
// target that head let pass, which FuzzHeadAgainstNetHTTP shows not to be.
//
// Its body is to be given by reads.
func (x *exchange) standard() error {
	h := &x.head
	q := new(request)
	r := &q.base
	if err := x.fillURL(&q.url); err != nil {
		return err
	}
	*r = http.Request{
		Method: x.visit.Method, URL: &q.url, RequestURI: h.target.in(x.text),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: int(h.minor),
		Host: h.host.in(x.text), Header: x.httpHeader(), RemoteAddr: x.c.remote(),
		ContentLength: h.length, Body: http.NoBody, Close: h.closes, TLS: x.c.tlsState(),
	}
	switch x.visit.HTTP {
	case traffic.HTTP10:
		r.Proto = "HTTP/1.0"
	case traffic.HTTP2:
		if h.upgrades {
			break // made to look like one of HTTP/1.1
		}
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	case traffic.HTTP3:
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/3.0", 3, 0
	}
	if !h.originForm && h.pathFrom > 0 { // an absolute target names the host
		r.Host = q.url.Host
	}
	if h.body() {
		r.Body = &q.body
		if h.length < 0 && r.ProtoMajor == 1 {
			r.TransferEncoding = []string{"chunked"}
		}
	}
	delete(r.Header, "Host")
	delete(r.Header, "Transfer-Encoding")
	if names, ok := r.Header["Trailer"]; ok {
		delete(r.Header, "Trailer")
		r.Trailer = trailersOf(names)
	}
	q.http = r.WithContext(&q.life)
	x.req, x.life = q, &q.life
	return nil
}

// reads says where the body comes from, and what has a read return.
func (q *request) reads(from io.Reader, stop func()) { q.body.body, q.body.stop = from, stop }

// trailersOf makes what Request.Trailer is before the body was read.
func trailersOf(names []string) (t http.Header) {
	for _, list := range names {
		for name := range strings.SplitSeq(list, ",") {
			if name = textproto.TrimString(name); name != "" {
				if t == nil {
					t = http.Header{}
				}
				t[textproto.CanonicalMIMEHeaderKey(name)] = nil
			}
		}
	}
	return t
}

// fillURL does what url.ParseRequestURI does, and what nearly all targets need
// without it.
func (x *exchange) fillURL(u *url.URL) error {
	target := x.head.target.in(x.text)
	if x.head.pathFrom == 0 && !x.respelt && plainPath(x.visit.Path) && target != "*" {
		u.Path, u.RawQuery = x.visit.Path, x.visit.RawQuery
		u.ForceQuery = u.RawQuery == "" && target[len(target)-1] == '?'
		return nil
	}
	full, err := url.ParseRequestURI(target)
	if err != nil {
		return err
	}
	*u = *full
	return nil
}

// plainPath says whether a path means what it says, with nothing escaped and
// nothing that would have to be.
func plainPath(p string) bool {
	for i := range len(p) {
		c := p[i]
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' {
			continue
		}
		switch c {
		case '/', '-', '_', '.', '~', '$', '&', '+', ',', ':', ';', '=', '@':
		default:
			return false
		}
	}
	return len(p) > 0 && p[0] == '/'
}

// httpHeader makes the fields' standard form.
func (x *exchange) httpHeader() http.Header {
	fields := x.head.fields
	h := make(http.Header, len(fields))
	values := make([]string, len(fields)) // one piece for all that come once
	for i := range fields {
		f := &fields[i]
		k := canonicalName(f.name.in(x.text))
		v := f.value.in(x.text)
		if old, ok := h[k]; ok {
			h[k] = append(old, v)
			continue
		}
		values[i] = v
		h[k] = values[i : i+1 : i+1]
	}
	return h
}

// canonicalName is http.CanonicalHeaderKey, without an allocation also for those
// lower-case names that browsers send and the library does not know.
func canonicalName(name string) string {
	switch name {
	case "sec-fetch-site":
		return "Sec-Fetch-Site"
	case "sec-fetch-mode":
		return "Sec-Fetch-Mode"
	case "sec-fetch-user":
		return "Sec-Fetch-User"
	case "sec-fetch-dest":
		return "Sec-Fetch-Dest"
	case "sec-ch-ua":
		return "Sec-Ch-Ua"
	case "sec-ch-ua-mobile":
		return "Sec-Ch-Ua-Mobile"
	case "sec-ch-ua-platform":
		return "Sec-Ch-Ua-Platform"
	case "upgrade-insecure-requests":
		return "Upgrade-Insecure-Requests"
	case "priority":
		return "Priority"
	case "dnt":
		return "Dnt"
	case "te":
		return "Te"
	case "origin":
		return "Origin"
	case "sec-gpc":
		return "Sec-Gpc"
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}
