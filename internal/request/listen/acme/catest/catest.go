// Package catest is a certificate authority and a DNS server for tests, both on
// loopback: Pebble, the authority that Let's Encrypt made for that purpose.
//
// In: names and the ports to prove them at. Out: a directory, and what was asked.
// Tests alone import it. Everything ends with the test.
package catest

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// Identity is what CAA records name the authority by.
const Identity = "ca.test"

// CA is an authority.
type CA struct {
	Directory string         // its address
	RootFile  string         // for ca_file: what its own server is known by
	Roots     *x509.CertPool // of the certificates that it gives
	orders    atomic.Int64
}

// Options are how an authority asks and what it gives.
type Options struct {
	Plain, Secure int // ports to ask at, on 127.0.0.1; 0: one where nobody listens
	DNS           *DNS
	Lifetime      time.Duration // of certificates; 0: 90 days
}

// New starts an authority.
func New(t testing.TB, o Options) *CA {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	t.Setenv("PEBBLE_AUTHZREUSE", "0")
	if o.Lifetime == 0 {
		o.Lifetime = 90 * 24 * time.Hour
	}
	for _, p := range []*int{&o.Plain, &o.Secure} {
		if *p == 0 {
			*p = 1 // tcpmux, which nobody has
		}
	}
	quiet, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: uint64(o.Lifetime / time.Second)}})
	c := &CA{Roots: x509.NewCertPool(), RootFile: filepath.Join(t.TempDir(), "root.pem")}
	c.Roots.AddCert(authority.GetRootCert(0).Cert)
	front := wfe.New(quiet, store, va.New(quiet, o.Plain, o.Secure, false, o.DNS.Addr, store), authority, []string{Identity}, false, false, 1, 1)
	handler := front.Handler()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/order-plz" {
			c.orders.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	c.Directory = s.URL + wfe.DirectoryPath
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(c.RootFile, root, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// Orders is how many certificates were asked for.
func (c *CA) Orders() int { return int(c.orders.Load()) }

// DNS is a server of names, all of which lead to 127.0.0.1.
type DNS struct {
	Addr string // host:port

	mu    sync.Mutex
	names map[string][]string
}

// NewDNS starts one that knows names and nothing else.
func NewDNS(t testing.TB, names ...string) *DNS {
	t.Helper()
	d := &DNS{names: map[string][]string{}}
	for _, n := range names {
		d.names[n] = []string{"A 127.0.0.1"}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // Pebble asks by TCP
	if err != nil {
		t.Fatal(err)
	}
	d.Addr = l.Addr().String()
	pc, err := net.ListenPacket("udp", d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: d}, {Listener: l, Handler: d}} {
		go func() { _ = s.ActivateAndServe() }() // ends with Shutdown
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return d
}

// Set gives a name records, such as `CAA 0 issue "ca.test"`; one "SERVFAIL" has all
// questions for it fail.
func (d *DNS) Set(name string, records ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[name] = records
}

// ServeDNS answers one question.
func (d *DNS) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	name := strings.TrimSuffix(strings.ToLower(q.Question[0].Name), ".")
	records, known := d.names[name]
	if !known {
		m.Rcode = dns.RcodeNameError
	}
	for _, text := range records {
		if kind, _, _ := strings.Cut(text, " "); kind == "SERVFAIL" {
			m.Rcode = dns.RcodeServerFailure
			continue
		}
		rr, err := dns.NewRR(name + ". 60 IN " + text)
		if err == nil && rr.Header().Rrtype == q.Question[0].Qtype {
			m.Answer = append(m.Answer, rr)
		}
	}
	_ = w.WriteMsg(m)
}
