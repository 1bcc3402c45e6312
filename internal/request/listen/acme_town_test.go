package listen

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/freeport"
	"seawall/internal/mitigation"
	"seawall/internal/request/listen/acme/catest"
	"seawall/internal/traffic"
)

// said is a log that tests can read.
type said struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// town is a Seawall to be, with a name, a DNS server and two authorities.
type town struct {
	cfg                 Config
	dns                 *catest.DNS
	production, staging *catest.CA
	data                string
	log                 *said
}

const site = "www.example.test"

// newTown prepares all but Seawall. lifetime is that of certificates; 0: 90 days.
func newTown(t *testing.T, lifetime time.Duration) *town {
	t.Helper()
	w := &town{dns: catest.NewDNS(t, site), data: t.TempDir(), log: &said{}}
	at, err := freeport.Loopback(2)
	if err != nil {
		t.Fatal(err)
	}
	w.cfg = DefaultConfig()
	w.cfg.Addresses, w.cfg.TLS.Addresses = at[:1], at[1:]
	w.cfg.TLS.Handshakes.Burst = 1e6 // what waits for a certificate here asks all the time
	o := catest.Options{Plain: portOf(t, at[0]), Secure: portOf(t, at[1]), DNS: w.dns, Lifetime: lifetime}
	w.production, w.staging = catest.New(t, o), catest.New(t, o)
	a := &w.cfg.TLS.ACME
	a.Domains, a.Directory, a.Staging = []string{site}, w.production.Directory, w.staging.Directory
	a.Resolvers, a.Certbot = []string{w.dns.Addr}, t.TempDir()
	a.RenewEvery, a.Retry = 200*time.Millisecond, []time.Duration{200 * time.Millisecond}
	w.trust(t)
	return w
}

// trust has Seawall know the servers of both authorities.
func (w *town) trust(t *testing.T) {
	t.Helper()
	w.cfg.TLS.ACME.CAFile = filepath.Join(t.TempDir(), "roots.pem")
	var all []byte
	for _, c := range []*catest.CA{w.production, w.staging} {
		text, err := os.ReadFile(c.RootFile)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	if err := os.WriteFile(w.cfg.TLS.ACME.CAFile, all, 0o600); err != nil {
		t.Fatal(err)
	}
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// open starts Seawall; the returned function stops it.
func (w *town) open(t *testing.T, door Door) (*house, func()) {
	t.Helper()
	if l := w.cfg.Validate(); len(l) > 0 {
		t.Fatal(l.Err())
	}
	watch := &testWatcher{}
	s := New(w.cfg, door, watch, http.HandlerFunc(hello), clock.New(), slog.New(slog.NewTextHandler(w.log, nil)))
	s.Keep(w.data, nil)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background()) }()
	stop := sync.OnceFunc(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("it said:\n%s", w.log)
		}
	})
	return &house{s, watch, s.Addrs()[0].String()}, stop
}

// dial connects by HTTPS, whatever the certificate is.
func (w *town) dial(t *testing.T) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", w.cfg.TLS.Addresses[0], &tls.Config{ServerName: site, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// leaf is the certificate that the site is served with.
func (w *town) leaf(t *testing.T) *x509.Certificate {
	t.Helper()
	c := w.dial(t)
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// certified says whether the site has a certificate of the authority's.
func (w *town) certified(t *testing.T) bool {
	t.Helper()
	c := w.dial(t)
	defer c.Close()
	chain := c.ConnectionState().PeerCertificates
	o := x509.VerifyOptions{Roots: w.production.Roots, Intermediates: x509.NewCertPool(), DNSName: site}
	for _, one := range chain[1:] {
		o.Intermediates.AddCert(one)
	}
	_, err := chain[0].Verify(o)
	return err == nil
}

// served200 says that a request gets an answer over a connection.
func served200(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+site+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if r, _ := answer(t, bufio.NewReader(c), "GET"); r.StatusCode != 200 {
		t.Error(r.Status)
	}
}

// lockedDoor lets nobody in.
func lockedDoor() testDoor {
	return testDoor{decide: func(*traffic.Visit) mitigation.Verdict {
		return mitigation.Verdict{Action: mitigation.Drop, Reason: mitigation.ReasonBan}
	}}
}
