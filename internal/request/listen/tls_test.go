package listen

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	dir  string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool(), dir: t.TempDir()}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// issue writes a certificate and its key to files named after the first name.
func (a *authority) issue(t testing.TB, serial int64, until time.Time, names ...string) Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: names, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(a.dir, strings.ReplaceAll(names[0], "*", "any"))
	c := Certificate{File: base + ".pem", Key: base + ".key"}
	a.write(t, c.File, "CERTIFICATE", der)
	a.write(t, c.Key, "PRIVATE KEY", secret)
	return c
}

// write replaces a file as those do who renew certificates.
func (a *authority) write(t testing.TB, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func soon() time.Time { return time.Now().Add(time.Hour) }

// tlsConfig serves in clear text and, at the second address, by HTTPS.
func tlsConfig(certificates ...Certificate) Config {
	c := testConfig()
	c.TLS.Addresses, c.TLS.Certificates = []string{"127.0.0.1:0"}, certificates
	return c
}

func (h *house) secure() string { return h.Addrs()[1].String() }

// handshake connects by TLS; changes are made to the client's settings first.
func (h *house) handshake(t testing.TB, a *authority, name string, change ...func(*tls.Config)) *tls.Conn {
	t.Helper()
	cfg := &tls.Config{RootCAs: a.pool, ServerName: name}
	for _, do := range change {
		do(cfg)
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 20 * time.Second}, Config: cfg}
	c, err := d.Dial("tcp", h.secure())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*tls.Conn)
}

func fetch(t testing.TB, c net.Conn, raw string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(raw, " ")
	return answer(t, bufio.NewReader(c), method)
}

// Both versions are served, over one connection as many requests as one likes,
// bodies of many records both ways, refusals among them; older ones are not.
func TestHTTPS(t *testing.T) {
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
	cfg.TLS.HSTS = 24 * time.Hour
	h := start(t, cfg, testDoor{}, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	body := strings.Repeat("seawall ", 40_000)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := h.handshake(t, a, "example.org", func(c *tls.Config) {
			c.MinVersion, c.MaxVersion, c.NextProtos = version, version, []string{"spdy/3", "http/1.1"}
		})
		if st := c.ConnectionState(); st.NegotiatedProtocol != "http/1.1" {
			t.Errorf("%x: %q is spoken", version, st.NegotiatedProtocol)
		}
		for range 3 {
			r, got := fetch(t, c, "POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
			if r.StatusCode != 200 || got != body || r.Header.Get("Strict-Transport-Security") != "max-age=86400" {
				t.Errorf("%x: %d, %d bytes, %v", version, r.StatusCode, len(got), r.Header)
			}
			if r, got := fetch(t, c, "GET /refuse HTTP/1.1\r\nHost: example.org\r\n\r\n"); r.StatusCode != 429 || got != "too much\n" {
				t.Errorf("%x: %d %q", version, r.StatusCode, got)
			}
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%x: the end is %v", version, err)
		}
	}
	for _, s := range h.watch.wait(t, 12) {
		if !s.visit.Secure || s.visit.Client.String() != "127.0.0.1" {
			t.Errorf("visit %+v", s.visit)
		}
	}
	old := tls.Dialer{Config: &tls.Config{RootCAs: a.pool, ServerName: "example.org", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}
	if c, err := old.Dial("tcp", h.secure()); err == nil {
		c.Close()
		t.Error("TLS 1.1 is spoken")
	}
	eventually(t, "the count of handshakes", func() bool {
		st := h.Stats()
		return st.Handshakes == 2 && st.HandshakesLost == 1
	})
}

// TLS 1.2 may be done without.
func TestNewestOnly(t *testing.T) {
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
	cfg.TLS.MinVersion = "1.3"
	h := start(t, cfg, testDoor{}, hello)
	old := tls.Dialer{Config: &tls.Config{RootCAs: a.pool, ServerName: "example.org", MaxVersion: tls.VersionTLS12}}
	if c, err := old.Dial("tcp", h.secure()); err == nil {
		c.Close()
		t.Error("TLS 1.2 is spoken")
	}
	h.handshake(t, a, "example.org")
}

// A client that comes again resumes, with no certificate sent.
func TestResumption(t *testing.T) {
	a := newAuthority(t)
	h := start(t, tlsConfig(a.issue(t, 2, soon(), "example.org")), testDoor{}, hello)
	cache := tls.NewLRUClientSessionCache(4)
	for i := range 2 {
		c := h.handshake(t, a, "example.org", func(c *tls.Config) { c.ClientSessionCache = cache })
		if r, _ := fetch(t, c, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); r.StatusCode != 200 {
			t.Errorf("%d", r.StatusCode)
		}
		if got := c.ConnectionState().DidResume; got != (i == 1) {
			t.Errorf("connection %d resumed: %v", i, got)
		}
		c.Close()
	}
}

// Who comes in clear text is sent on, with the same request; certificate
// authorities are not, nor is anybody sent to a name that is not ours.
func TestRedirect(t *testing.T) {
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 2, soon(), "*.example.org", "example.org"))
	cfg.TLS.Redirect = true
	h := start(t, cfg, testDoor{}, hello)
	_, port, _ := net.SplitHostPort(h.secure())
	for _, c := range []struct{ request, want string }{
		{"GET /a%20b//c?x=1&y=%2f HTTP/1.1\r\nHost: example.org\r\n\r\n", "https://example.org:" + port + "/a%20b//c?x=1&y=%2f"},
		{"GET /a/../%63?%63 HTTP/1.1\r\nHost: example.org\r\n\r\n", "https://example.org:" + port + "/a/../%63?%63"},
		{"POST / HTTP/1.1\r\nHost: Shop.Example.org:80\r\nContent-Length: 3\r\n\r\nabc", "https://shop.example.org:" + port + "/"},
		{"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", "https://example.org:" + port + "/"},
		{"GET //evil.test/x HTTP/1.1\r\nHost: example.org\r\n\r\n", "https://example.org:" + port + "//evil.test/x"},
		{"GET http://evil.test/x HTTP/1.1\r\nHost: evil.test\r\n\r\n", "https://example.org:" + port + "/x"},
		{"GET / HTTP/1.0\r\n\r\n", "https://example.org:" + port + "/"},
		{"GET /.well-known/acme-challenge/token HTTP/1.1\r\nHost: example.org\r\n\r\n", ""},
	} {
		r, body := fetch(t, h.dial(t), c.request)
		if c.want == "" {
			if r.StatusCode != 200 || body != "hello" {
				t.Errorf("%q: %d %q", c.request, r.StatusCode, body)
			}
			continue
		}
		if r.StatusCode != 307 || r.Header.Get("Location") != c.want || body != "" {
			t.Errorf("%q: %d to %q, not %q", c.request, r.StatusCode, r.Header.Get("Location"), c.want)
		}
	}
	if r, _ := fetch(t, h.dial(t), "GET /refuse HTTP/1.1\r\nHost: example.org\r\n\r\n"); r.StatusCode != 429 {
		t.Errorf("who is refused is answered %d", r.StatusCode)
	}
	if r, body := fetch(t, h.handshake(t, a, "example.org"), "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); r.StatusCode != 200 || body != "hello" || r.Header.Get("Strict-Transport-Security") != "" {
		t.Errorf("by HTTPS: %d %q %v", r.StatusCode, body, r.Header)
	}
}

// Who speaks clear text where HTTPS is spoken is told so; other nonsense, and who
// says nothing, is let go in time.
func TestNoHandshake(t *testing.T) {
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
	cfg.HeadTimeout = 300 * time.Millisecond
	h := start(t, cfg, testDoor{}, hello)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", h.secure())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	if r, body := fetch(t, dial(), "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); r.StatusCode != 400 || !strings.Contains(body, "https://") {
		t.Errorf("%d %q", r.StatusCode, body)
	}
	for _, first := range []string{"", "\x16\x03\x01\x02\x00", "\x16\x03\x01\x00\x04\x01\xff\xff\xff", strings.Repeat("x", 100)} {
		c := dial()
		if _, err := io.WriteString(c, first); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(c); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") || bytes.Contains(rest, []byte("HTTP")) {
			t.Errorf("%q: %q, %v", first, rest, err)
		}
	}
	eventually(t, "all to be gone", func() bool { return h.Stats().Open == 0 })
	if n := len(h.watch.all()); n != 0 {
		t.Errorf("%d visits without a handshake", n)
	}
}

// An answer that breaks off does not end as if it were whole.
func TestBrokenAnswerByHTTPS(t *testing.T) {
	a := newAuthority(t)
	h := start(t, tlsConfig(a.issue(t, 2, soon(), "example.org")), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "a part")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/broken" {
			panic(http.ErrAbortHandler)
		}
	})
	for path, proper := range map[string]bool{"/broken": false, "/whole": true} {
		c := h.handshake(t, a, "example.org")
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.0\r\nHost: example.org\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if (err == nil) != proper || !bytes.HasSuffix(got, []byte("a part")) && proper {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

// A PROXY header comes before the handshake.
func TestProxyHeaderBeforeHTTPS(t *testing.T) {
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
	cfg.ProxyProtocol, cfg.TrustedProxies = ProxyRequired, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	h := start(t, cfg, testDoor{}, hello)
	raw, err := net.Dial("tcp", h.secure())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	// Header and handshake arrive together.
	c := tls.Client(&prefixed{raw, []byte("PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n")}, &tls.Config{RootCAs: a.pool, ServerName: "example.org"})
	if r, body := fetch(t, c, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); r.StatusCode != 200 || body != "hello" {
		t.Errorf("%d %q", r.StatusCode, body)
	}
	if v := h.watch.wait(t, 1)[0].visit; v.Client.String() != "203.0.113.9" || !v.Secure {
		t.Errorf("visit %+v", v)
	}
}

// prefixed sends something before its first bytes, in one write.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	if p.first == nil {
		return p.Conn.Write(b)
	}
	n, err := p.Conn.Write(append(p.first, b...))
	n -= len(p.first)
	p.first = nil
	return max(n, 0), err
}

// A protocol that takes over a connection has it deciphered.
func TestUpgradeByHTTPS(t *testing.T) {
	a := newAuthority(t)
	h := start(t, tlsConfig(a.issue(t, 2, soon(), "example.org")), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		c, brw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(c, brw)
	})
	c := h.handshake(t, a, "example.org")
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.org\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nping"); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	if r, err := http.ReadResponse(br, nil); err != nil || r.StatusCode != 101 {
		t.Fatalf("%v, %v", r, err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(br, got); err != nil || string(got) != "ping" {
		t.Errorf("%q, %v", got, err)
	}
}

// Banned clients' connections are closed, and draining closes those that wait.
func TestClosingHTTPS(t *testing.T) {
	a := newAuthority(t)
	h := start(t, tlsConfig(a.issue(t, 2, soon(), "example.org")), testDoor{}, hello)
	c := h.handshake(t, a, "example.org")
	if r, _ := fetch(t, c, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); r.StatusCode != 200 {
		t.Fatal(r.StatusCode)
	}
	idle := h.handshake(t, a, "example.org")
	eventually(t, "both handshakes", func() bool { return h.Stats().Handshakes == 2 })
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, c := range []*tls.Conn{c, idle} {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%d: the end is %v", i, err)
		}
	}
}

// Nobody can have us keep what says nothing: a hello that does not end, or more
// bytes than a record has of which nothing is deciphered.
func TestEndlessHandshake(t *testing.T) {
	a := newAuthority(t)
	h := start(t, tlsConfig(a.issue(t, 2, soon(), "example.org")), testDoor{}, hello)
	c, err := net.Dial("tcp", h.secure())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second)) // half of what a head may take
	hello := append([]byte{1, 0, 0xff, 0xf0}, make([]byte, 8000)...)
	for len(hello) > 0 {
		n := min(len(hello), 4000)
		if _, err := c.Write(append([]byte{22, 3, 1, byte(n >> 8), byte(n)}, hello[:n]...)); err != nil {
			break
		}
		hello = hello[n:]
		if len(hello) < 4000 {
			hello = make([]byte, 8000) // it never ends
		}
		if h.Stats().HandshakesLost > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	eventually(t, "it to be let go", func() bool { st := h.Stats(); return st.HandshakesLost == 1 && st.Open == 0 })

	w := &wire{first: make([]byte, 2*mostUnread), most: mostUnread}
	if n, err := io.Copy(io.Discard, struct{ io.Reader }{w}); n != mostUnread || err != errUnread {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Who takes an answer too slowly is cut under TLS as well; and who was ended and
// is still there after long, whatever holds it.
func TestSlowReaderByHTTPS(t *testing.T) {
	a := newAuthority(t)
	cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
	cfg.Grace, cfg.MinRate = 300*time.Millisecond, 1<<20
	h := start(t, cfg, testDoor{}, func(w http.ResponseWriter, r *http.Request) {
		for range 1000 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	c := h.handshake(t, a, "example.org")
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it to be cut", func() bool { st := h.Stats(); return st.Timeouts["write"] == 1 && st.Open == 0 })

	h = start(t, tlsConfig(a.issue(t, 2, soon(), "example.org")), testDoor{}, hello)
	h.handshake(t, a, "example.org")
	eventually(t, "the handshake", func() bool { return h.Stats().Handshakes == 1 })
	h.each(func(c *conn) {
		now := h.coarse()
		c.bury(now)
		if c.bury(now + lastAnswer); h.Stats().Open != 1 {
			t.Error("it is closed before its time")
		}
		c.bury(now + lastAnswer + 1)
	})
	if n := h.Stats().Open; n != 0 {
		t.Errorf("%d are left", n)
	}
}
