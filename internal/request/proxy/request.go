package proxy

import (
	"bufio"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// targetOf returns the request target to send, exactly as the client wrote it;
// of an absolute one, the part after the authority. "" means that it cannot be
// sent.
func targetOf(r *http.Request) string {
	t := r.RequestURI
	if t == "" {
		t = r.URL.RequestURI()
	}
	if t != "" && t[0] != '/' && t != "*" {
		_, rest, ok := strings.Cut(t, "://")
		if !ok {
			return ""
		}
		if i := strings.IndexAny(rest, "/?"); i < 0 {
			t = "/"
		} else if t = rest[i:]; t[0] == '?' {
			t = "/" + t
		}
	}
	for i := range len(t) {
		if c := t[i]; c <= ' ' || c == 0x7f {
			return ""
		}
	}
	return t
}

// writeHead writes the request's head. A body of length comes with it (-1:
// chunked; 0: none).
func (x *exchange) writeHead(bw *bufio.Writer, host string, length int64) {
	bw.WriteString(x.method)
	bw.WriteByte(' ')
	bw.WriteString(x.target)
	bw.WriteString(" HTTP/1.1\r\n")
	field(bw, "Host", host)

	if x.straight != nil {
		x.writeStraight(bw)
	} else {
		x.writeStandard(bw, length)
	}
	if x.expects {
		bw.WriteString("Expect: 100-continue\r\n")
	}
	// "TE: trailers" is the one value that may pass (RFC 9110 10.1.4).
	switch {
	case x.upgrade != "":
		bw.WriteString("Connection: Upgrade\r\n")
		field(bw, "Upgrade", x.upgrade)
	case x.trailers:
		bw.WriteString("Connection: TE\r\nTE: trailers\r\n")
	}
	x.writeForwarded(bw)
	bw.WriteString("\r\n")
}

// writeStandard writes the fields of a request in the standard form.
func (x *exchange) writeStandard(bw *bufio.Writer, length int64) {
	r := x.r
	// Sorted, because a map has no order and the same request should always
	// look the same.
	var room [64]string
	keys := room[:0]
	for k := range r.Header {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if ours(k) {
			continue
		}
		for _, v := range r.Header[k] {
			field(bw, k, v)
		}
	}
	switch {
	case length > 0:
		lengthField(bw, length)
	case length < 0:
		bw.WriteString("Transfer-Encoding: chunked\r\n")
		if len(r.Trailer) > 0 {
			bw.WriteString("Trailer: ")
			sep := ""
			for k := range r.Trailer {
				if !ours(k) {
					bw.WriteString(sep)
					bw.WriteString(k)
					sep = ", "
				}
			}
			bw.WriteString("\r\n")
		}
	case len(r.Header["Content-Length"]) > 0, r.Method == http.MethodPost, r.Method == http.MethodPut, r.Method == http.MethodPatch:
		lengthField(bw, 0) // RFC 9110 8.6: a method that expects content says so
	}
}

// dropNamed takes out of a request's fields those that Connection names: they
// are of the client's connection only (RFC 9110 7.6.1). Its elements are looked
// up among the fields and not the other way round, since a head has room for
// thousands of them. What is ours is never sent on and may stay.
func dropNamed(h http.Header) {
	var buf [64]byte
	for _, list := range h["Connection"] {
		for e := range strings.SplitSeq(list, ",") {
			k := canonical(buf[:0], trim(e))
			if _, there := h[string(k)]; there && !ours(string(k)) {
				delete(h, string(k))
			}
		}
	}
}

// canonical appends a field name as http.Header writes it.
func canonical(dst []byte, name string) []byte {
	up := true
	for i := range len(name) {
		c := name[i]
		switch {
		case up && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case !up && 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		dst = append(dst, c)
		up = c == '-'
	}
	return dst
}

func field(bw *bufio.Writer, name, value string) {
	bw.WriteString(name)
	bw.WriteString(": ")
	if strings.IndexByte(value, '\n') >= 0 || strings.IndexByte(value, '\r') >= 0 {
		value = strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
	}
	bw.WriteString(value)
	bw.WriteString("\r\n")
}

func lengthField(bw *bufio.Writer, n int64) {
	bw.WriteString("Content-Length: ")
	bw.Write(strconv.AppendInt(bw.AvailableBuffer(), n, 10))
	bw.WriteString("\r\n")
}

// ours says whether a field is of this connection only (RFC 9110 7.6.1), or one
// that we write ourselves and that a client must not be able to write or, by
// naming it in Connection, remove. Programs behind CGI or WSGI cannot tell "_"
// from "-", so neither do we here.
func ours(name string) bool {
	if strings.IndexByte(name, '_') >= 0 {
		name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	}
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
		"Host", "Content-Length", "Expect",
		"Forwarded", "X-Real-Ip",
		"Proxy": // becomes HTTP_PROXY in CGI programs, CVE-2016-5385
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// writeForwarded says who asked, by which name and scheme (RFC 7239 and the
// older fields that everybody reads).
func (x *exchange) writeForwarded(bw *bufio.Writer) {
	client := x.client()
	if !client.IsValid() && x.r != nil {
		if ap, err := netip.ParseAddrPort(x.r.RemoteAddr); err == nil {
			client = ap.Addr()
		}
	}
	client = client.Unmap().WithZone("")
	scheme := "http"
	if x.visit != nil && x.visit.Secure || x.r != nil && x.r.TLS != nil {
		scheme = "https"
	}
	if client.IsValid() {
		bw.WriteString("X-Forwarded-For: ")
		bw.Write(client.AppendTo(bw.AvailableBuffer()))
		bw.WriteString("\r\n")
	}
	field(bw, "X-Forwarded-Host", x.host)
	field(bw, "X-Forwarded-Proto", scheme)
	bw.WriteString("Forwarded: ")
	if client.IsValid() {
		open, shut := "for=", ";"
		if client.Is6() {
			open, shut = `for="[`, `]";`
		}
		bw.WriteString(open)
		bw.Write(client.AppendTo(bw.AvailableBuffer()))
		bw.WriteString(shut)
	}
	if x.host != "" {
		bw.WriteString(`host="`)
		for i := range len(x.host) {
			switch c := x.host[i]; c {
			case '"', '\\':
				bw.WriteByte('\\')
				bw.WriteByte(c)
			case '\r', '\n':
			default:
				bw.WriteByte(c)
			}
		}
		bw.WriteString(`";`)
	}
	bw.WriteString("proto=")
	bw.WriteString(scheme)
	bw.WriteString("\r\n")
}

// upgradeOf returns the protocol that the client wants to change to; "" for
// none. HTTP/2 in clear text is not passed on: it would carry requests past the
// door, and RFC 9110 7.8 lets any server ignore the wish. With a body neither:
// nobody could tell for certain where it ends and the new protocol begins.
func upgradeOf(r *http.Request) string {
	if r.ContentLength != 0 || !anyToken(r.Header["Connection"], "upgrade") || r.ProtoMajor != 1 || r.ProtoMinor < 1 {
		return ""
	}
	vv := r.Header["Upgrade"]
	if len(vv) == 0 || anyToken(vv, "h2c") || anyToken(vv, "h2") {
		return ""
	}
	return strings.Join(vv, ", ")
}
