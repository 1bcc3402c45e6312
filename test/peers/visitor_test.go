package peers

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// clientTLS is what the load's own connections offer. The cache makes them ask
// for tickets, as other clients do, and never has one: each handshake is whole.
func clientTLS(protocols ...string) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, ServerName: "localhost", MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519}, NextProtos: protocols, ClientSessionCache: forgetful{},
	}
}

type forgetful struct{}

func (forgetful) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (forgetful) Put(string, *tls.ClientSessionState)        {}

// whole says what is wrong with a handshake.
func whole(s tls.ConnectionState) error {
	if s.DidResume || s.Version != tls.VersionTLS13 || s.CipherSuite != tls.TLS_AES_128_GCM_SHA256 || s.CurveID != tls.X25519 {
		return fmt.Errorf("resumed %v, %s, %s, %s", s.DidResume, tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite), s.CurveID)
	}
	return nil
}

// visitor asks one shield, one request after the other.
type visitor struct {
	client *http.Client
	v      version
	s      *shield
	accept string
	dials  atomic.Int32
}

type answer struct {
	status, length int
	contentType    string
}

func newVisitor(s *shield, v version, accept string) *visitor {
	w := &visitor{v: v, s: s, accept: accept}
	protocols := []string{"http/1.1"}
	if v == https2 {
		protocols = []string{"h2", "http/1.1"}
	}
	w.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: clientTLS(protocols...), ForceAttemptHTTP2: v == https2,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			w.dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}}
	return w
}

func (w *visitor) ask() (answer, error) {
	req, err := http.NewRequest("GET", w.v.url(w.s), nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", w.accept)
	req.Header.Set("Accept-Encoding", "identity") // the load does not unpack either
	resp, err := w.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if w.v == https2 && resp.ProtoMajor != 2 {
		return answer{}, fmt.Errorf("it speaks %s", resp.Proto)
	}
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, len(body), resp.Header.Get("Content-Type")}, err
}

// steady checks that a shield answers a number of requests as it should, all on
// one connection.
func (s *stand) steady(p *shield, v version, o options, n int) error {
	w := newVisitor(p, v, o.accept)
	defer w.client.CloseIdleConnections()
	for i := range n {
		a, err := w.ask()
		if err != nil {
			return err
		}
		if a.status != s.status || a.length != s.length {
			return fmt.Errorf("answer %d has status %d and %d bytes, not %d and %d", i+1, a.status, a.length, s.status, s.length)
		}
	}
	if d := w.dials.Load(); d != 1 {
		return fmt.Errorf("%d requests took %d connections", n, d)
	}
	return nil
}

// line is one HTTPS connection of a load, with HTTP/1.1.
type line struct {
	c *tls.Conn
	r *bufio.Reader
}

// dial connects from an address of loopback and makes a whole handshake.
func dial(p *shield, from net.IP) (line, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 20 * time.Second}
	raw, err := d.Dial("tcp", p.secure)
	if err != nil {
		return line{}, err
	}
	c := tls.Client(raw, clientTLS("http/1.1"))
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if err := c.Handshake(); err != nil {
		raw.Close()
		return line{}, err
	}
	if err := whole(c.ConnectionState()); err != nil {
		raw.Close()
		return line{}, err
	}
	return line{c, bufio.NewReaderSize(c, 2048)}, nil
}

// ask sends a request and reads the whole answer.
func (l line) ask(s *stand, accept string, last bool) error {
	text := "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: " + accept + "\r\n"
	if last {
		text += "Connection: close\r\n"
	}
	_ = l.c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(l.c, text+"\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(l.r, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != s.status || int(n) != s.length) {
		err = fmt.Errorf("status %d and %d bytes, not %d and %d", resp.StatusCode, n, s.status, s.length)
	}
	return err
}

// nth is one of many addresses of loopback, with 100 in a /24.
func nth(n int) net.IP {
	n %= 100 * 250 * 16
	return net.IPv4(127, byte(10+n/25_000), byte(n/100%250), byte(1+n%100))
}
