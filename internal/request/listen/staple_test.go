package listen

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// responder answers for an authority.
type responder struct {
	*httptest.Server
	a *authority

	mu    sync.Mutex
	asked int
	reply func(r *ocsp.Response) (raw []byte) // nil: as r says, signed by the authority
	until time.Time
}

func newResponder(t *testing.T, a *authority) *responder {
	p := &responder{a: a, until: time.Now().Add(time.Hour)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked++
		body, _ := io.ReadAll(r.Body)
		q, err := ocsp.ParseRequest(body)
		if err != nil || r.Header.Get("Content-Type") != "application/ocsp-request" {
			http.Error(w, "no question", http.StatusBadRequest)
			return
		}
		says := ocsp.Response{Status: ocsp.Good, SerialNumber: q.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: p.until}
		raw, err := ocsp.CreateResponse(a.cert, a.cert, says, a.key)
		if p.reply != nil {
			raw, err = p.reply(&says), nil
		}
		if err != nil || raw == nil {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(raw)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *responder) answers(reply func(*ocsp.Response) []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply = reply
}

func (p *responder) times() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// issueNaming writes a certificate that names a responder, with its chain.
func (a *authority) issueNaming(t *testing.T, url string) Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(77), DNSNames: []string{"example.org"}, OCSPServer: []string{url},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := Certificate{File: filepath.Join(a.dir, "chain.pem"), Key: filepath.Join(a.dir, "chain.key")}
	var chain []byte
	for _, one := range [][]byte{der, a.cert.Raw} {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one})...)
	}
	if err := os.WriteFile(c.File, chain, 0o600); err != nil {
		t.Fatal(err)
	}
	a.write(t, c.Key, "PRIVATE KEY", secret)
	return c
}

// What the authority says of a certificate is sent along in handshakes.
func TestStapled(t *testing.T) {
	a := newAuthority(t)
	p := newResponder(t, a)
	h := start(t, tlsConfig(a.issueNaming(t, p.URL)), testDoor{}, hello)
	eventually(t, "a staple", func() bool {
		c := h.handshake(t, a, "example.org")
		defer c.Close()
		raw := c.OCSPResponse()
		if raw == nil {
			return false
		}
		r, err := ocsp.ParseResponseForCert(raw, c.ConnectionState().PeerCertificates[0], a.cert)
		if err != nil || r.Status != ocsp.Good {
			t.Fatalf("the staple: %v", err)
		}
		return true
	})
	if n := p.times(); n != 1 {
		t.Errorf("the responder was asked %d times", n)
	}
}

// A staple is renewed halfway, kept while the responder is broken, and not served
// after its end; one that is not right is never served.
func TestStapleInTime(t *testing.T) {
	a := newAuthority(t)
	p := newResponder(t, a)
	store := &certs{list: []Certificate{a.issueNaming(t, p.URL)}}
	now := time.Now()
	if l := store.load(now); len(l) > 0 {
		t.Fatal(l.Err())
	}
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	look := func(at time.Duration) bool {
		t.Helper()
		store.stapleDue(t.Context(), http.DefaultClient, now.Add(at), log)
		c, err := store.get(&tls.ClientHelloInfo{ServerName: "example.org"})
		if err != nil {
			t.Fatal(err)
		}
		return c.OCSPStaple != nil
	}
	for _, step := range []struct {
		at     time.Duration
		broken bool
		has    bool
		asked  int // in all
	}{
		{0, false, true, 1},
		{20 * time.Minute, true, true, 1},
		{31 * time.Minute, true, true, 2},
		{31*time.Minute + 10*time.Second, true, true, 2},
		{33 * time.Minute, true, true, 3},
		{59*time.Minute + 30*time.Second, true, false, 4},
		{2 * time.Hour, true, false, 5},
	} {
		p.answers(nil)
		if step.broken {
			p.answers(func(*ocsp.Response) []byte { return nil })
		}
		if has, n := look(step.at), p.times(); has != step.has || n != step.asked {
			t.Errorf("after %v: stapled %v, asked %d times; want %v, %d", step.at, has, n, step.has, step.asked)
		}
	}
	if n := strings.Count(said.String(), "\n"); n != 1 {
		t.Errorf("%d lines about the same: %s", n, &said)
	}
	p.mu.Lock()
	p.reply, p.until = nil, now.Add(24*time.Hour)
	p.mu.Unlock()
	if !look(10 * time.Hour) {
		t.Error("no staple when the responder works again")
	}

	stranger := newAuthority(t)
	sign := func(by *authority, key crypto.Signer, change func(*ocsp.Response)) func(*ocsp.Response) []byte {
		return func(r *ocsp.Response) []byte {
			change(r)
			raw, err := ocsp.CreateResponse(a.cert, by.cert, *r, key)
			if err != nil {
				t.Error(err)
			}
			return raw
		}
	}
	helper := a.appoint(t)
	for what, reply := range map[string]func(*ocsp.Response) []byte{
		"revoked":        sign(a, a.key, func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, now }),
		"unknown":        sign(a, a.key, func(r *ocsp.Response) { r.Status = ocsp.Unknown }),
		"another's":      sign(a, a.key, func(r *ocsp.Response) { r.SerialNumber = big.NewInt(78) }),
		"ended":          sign(a, a.key, func(r *ocsp.Response) { r.NextUpdate = now.Add(-time.Minute) }),
		"of tomorrow":    sign(a, a.key, func(r *ocsp.Response) { r.ThisUpdate = now.Add(24 * time.Hour) }),
		"by a stranger":  sign(stranger, stranger.key, func(*ocsp.Response) {}),
		"by a customer":  sign(helper, helper.key, func(r *ocsp.Response) { r.Certificate = helper.cert }),
		"no OCSP at all": func(*ocsp.Response) []byte { return []byte("<html>sign in to the network</html>") },
		"endless":        func(*ocsp.Response) []byte { return make([]byte, 1<<20) },
	} {
		p.answers(reply)
		store.staples = nil
		if look(0) {
			t.Errorf("an answer that is %s is served", what)
		}
	}
}

// appoint makes a certificate of the authority's that may not answer for it.
func (a *authority) appoint(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(5), Subject: pkix.Name{CommonName: "customer"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: soon(),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key}
}
