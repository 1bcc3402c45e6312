package listen

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"seawall/internal/kit/socket"
	"seawall/internal/request/listen/acme"
	"seawall/internal/request/listen/h2"
)

// newTLS is how handshakes are made. The cipher suites, curves and their order
// are Go's, which follow what is known to be safe; for session tickets see tickets.
func newTLS(cfg TLS, store *certs) *tls.Config {
	c := &tls.Config{
		GetCertificate: store.get,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
	}
	if cfg.HTTP2 {
		c.NextProtos = []string{protocol2, "http/1.1"}
	}
	if cfg.MinVersion == version13 {
		c.MinVersion = tls.VersionTLS13
	}
	if cfg.ACME.On() {
		c.NextProtos = append(c.NextProtos, acme.Protocol)
		store.endStandIns(c)
	}
	return c
}

// How many bytes may come in before anything is deciphered: TLS keeps what it
// cannot judge yet. A handshake takes some 4 KiB; later a record has at most
// 16 KiB, and more than one may be read at a time.
const (
	mostGreeting = 16 << 10
	mostUnread   = 40 << 10
)

var errUnread = errors.New("listen: too many bytes of TLS that say nothing")

// wire is what TLS sees of the socket. What was read behind a PROXY header comes
// first. All that TLS sends, answers or not, is held to the least rate.
type wire struct {
	*socket.Conn
	c     *conn
	first []byte
	taken int // bytes since something was deciphered last; the reader's own
	most  int

	// While the handshake lasts; its goroutine's own.
	greeted   bool // its hello was accepted
	computing bool // it holds a place at the gate
	line      int  // by which it came to that
	mute      bool // nothing is to be sent
}

func (w *wire) Read(p []byte) (int, error) {
	if w.taken >= w.most {
		return 0, errUnread
	}
	p = p[:min(len(p), w.most-w.taken)]
	var n int
	var err error
	if len(w.first) > 0 {
		n = copy(p, w.first)
		w.first = w.first[n:]
	} else {
		w.rest()
		n, err = w.Conn.Read(p)
		w.goOn()
	}
	w.taken += n
	return n, err
}

// Write is called by TLS under a lock of its own.
func (w *wire) Write(p []byte) (int, error) {
	if w.mute {
		return len(p), nil
	}
	w.rest()
	return w.c.send(p)
}

// rest gives back the place at the gate, before the handshake waits for the client.
func (w *wire) rest() {
	if w.computing {
		w.computing = false
		w.c.s.greeter.gate.leave(w.line)
	}
}

// goOn takes a place again for what the client answered.
func (w *wire) goOn() {
	if w.greeted {
		w.computing, w.line = w.c.s.greeter.gate.enter(gateBegun, 0), gateBegun
	}
}

// handshake makes the connection one of TLS, on the connection's own goroutine
// and within the time of a first head.
func (c *conn) handshake() error {
	first := append([]byte(nil), c.buf[c.r:c.w]...)
	c.r, c.w = 0, 0
	w := &wire{Conn: c.tcp.Load(), c: c, first: first, most: mostGreeting}
	t := tls.Server(w, c.s.tls)
	if !c.enter(phaseNew, c.accepted+ms(c.s.cfg.HeadTimeout)) {
		return io.EOF
	}
	err := t.Handshake()
	w.rest()
	w.greeted = false
	if err != nil && !w.mute {
		c.s.count.handshakesFailed.Add(1)
		if c.ja4 != "" { // else there was no hello
			c.unmade()
		}
	}
	if !c.enter(phaseBusy, 0) {
		return io.EOF
	}
	if err != nil {
		c.sayHTTPS(err)
		return err
	}
	c.s.count.handshakes.Add(1)
	if c.s.certs.auto != nil && t.ConnectionState().NegotiatedProtocol == acme.Protocol {
		return io.EOF // the handshake was the answer
	}
	w.taken, w.most = 0, mostUnread
	c.wire = w
	c.tls.Store(t)
	return nil
}

// sayHTTPS tells who came in clear text where HTTPS is spoken.
func (c *conn) sayHTTPS(err error) {
	var record tls.RecordHeaderError
	if !errors.As(err, &record) || record.Conn == nil || !looksLikeHTTP(record.RecordHeader) {
		return
	}
	const text = "this port speaks HTTPS: write https:// instead of http://\n"
	_ = c.tcp.Load().SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(c.tcp.Load(), "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "+
		strconv.Itoa(len(text))+"\r\nConnection: close\r\n\r\n"+text)
	c.linger()
}

// looksLikeHTTP says whether the first bytes are those of a method.
func looksLikeHTTP(b [5]byte) bool {
	switch string(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "PATCH", "DELET":
		return true
	}
	return false
}

// speaks2 says whether the handshake agreed on HTTP/2.
func (c *conn) speaks2() bool {
	t := c.tls.Load()
	return t != nil && t.ConnectionState().NegotiatedProtocol == protocol2
}

// begins2 says whether a connection in clear text begins with HTTP/2.
func (c *conn) begins2() bool {
	for c.w-c.r < 4 {
		if c.otherwise() || c.fill() != nil {
			return false
		}
	}
	return string(c.buf[c.r:c.r+4]) == h2.Preface[:4]
}

// otherwise says that what has come so far is the beginning of something else.
func (c *conn) otherwise() bool { return !strings.HasPrefix(h2.Preface, string(c.buf[c.r:c.w])) }

// protocol2 is HTTP/2 in ALPN.
const protocol2 = "h2"

// read reads what the client sent, deciphered.
func (c *conn) read(p []byte) (int, error) {
	if t := c.tls.Load(); t != nil {
		n, err := t.Read(p)
		if n > 0 {
			c.wire.taken = 0
		}
		return n, err
	}
	return c.tcp.Load().Read(p)
}

// moves says whether the request is to be asked again by HTTPS.
func (x *exchange) moves() bool {
	s := x.s
	return s.cfg.TLS.Redirect && !x.visit.Secure && !strings.HasPrefix(x.visit.Path, acme.Path) && s.certs.ready(x.visit.Host)
}

// move sends the client to the same page by HTTPS. Nobody is sent to a name that
// is not ours, whatever Host says.
func (x *exchange) move() {
	s := x.s
	host := x.visit.Host
	if !s.certs.has(host) {
		host = s.certs.first()
	}
	if host == "" {
		x.answerPlain(http.StatusNotFound, "this site is to be had by https:// and its name only\n")
		return
	}
	if s.securePort != "443" {
		host = net.JoinHostPort(host, s.securePort)
	}
	path, query := splitTarget(x.head.target.in(x.text), int(x.head.pathFrom))
	if !strings.HasPrefix(path, "/") { // OPTIONS *
		path = "/"
	}
	to := url.URL{Scheme: "https", Host: host, Opaque: "//" + host + path, RawQuery: query}
	h := x.Header()
	h["Location"] = []string{to.String()}
	h["Content-Length"] = []string{"0"}
	// Asked again the same way, with the same body; not for ever, or it could not
	// be taken back.
	x.begin(http.StatusTemporaryRedirect)
}

// strict tells browsers to come by HTTPS only, where that is wanted and the site
// does not say it itself (RFC 6797), and that HTTP/3 is spoken (RFC 7838).
func (x *exchange) strict() {
	if alt := x.c.altSvc(); alt != nil && !x.says("Alt-Svc") {
		x.Header()["Alt-Svc"] = alt
	}
	if s := x.c.s; x.c.https && s.hsts != nil && !x.says("Strict-Transport-Security") {
		x.Header()["Strict-Transport-Security"] = s.hsts
	}
}
