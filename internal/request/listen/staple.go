package listen

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// staple is what a certificate's authority says of it (OCSP, RFC 6960): sent along
// in handshakes, it saves visitors from asking, and the authority from learning who
// they are.
type staple struct {
	raw    []byte    // nil: none that may be served
	until  time.Time // of raw
	next   time.Time // when to ask again
	failed int       // times in a row
}

const (
	stapleEvery = 5 * time.Second // between two looks at what is due
	stapleSpare = time.Minute     // before its end a staple is served no more
	stapleMost  = 64 << 10        // bytes of an answer; 500 to 2000 are usual
	stapleSlow  = 10 * time.Second
	retryFirst  = time.Minute
	retryMost   = time.Hour
)

// stapled is the certificate with its staple, if there is one. It needs mu.
func (c *certs) stapled(cert *tls.Certificate, now time.Time) *tls.Certificate {
	s := c.staples[sha256.Sum256(cert.Leaf.Raw)]
	if s == nil || s.raw == nil || now.After(s.until.Add(-stapleSpare)) {
		return cert
	}
	with := *cert
	with.OCSPStaple = s.raw
	return &with
}

// staple asks for staples and renews them halfway to their end, until stop. What
// cannot be had is not served, and keeps nobody waiting.
func (c *certs) staple(stop <-chan struct{}, log *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with stop, which ends us
		<-stop
		cancel()
	}()
	client := &http.Client{Timeout: stapleSlow, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	t := time.NewTicker(stapleEvery)
	defer t.Stop()
	for now := time.Now(); ; {
		c.stapleDue(ctx, client, now, log)
		select {
		case <-stop:
			return
		case now = <-t.C:
		}
	}
}

// stapleDue asks for all that is due, and has served what has changed.
func (c *certs) stapleDue(ctx context.Context, client *http.Client, now time.Time, log *slog.Logger) {
	c.mu.Lock()
	list := slices.Clone(c.last)
	old := c.staples
	c.mu.Unlock()
	next, changed := map[[32]byte]*staple{}, false
	for _, cert := range list {
		if cert == nil || len(cert.Leaf.OCSPServer) == 0 || len(cert.Certificate) < 2 || now.After(cert.Leaf.NotAfter) {
			continue
		}
		id := sha256.Sum256(cert.Leaf.Raw)
		s := old[id]
		if s == nil {
			s = &staple{}
		}
		if !now.Before(s.next) {
			s = s.renewed(ctx, client, cert, now, log)
			changed = true
		}
		if s.raw != nil && now.After(s.until.Add(-stapleSpare)) {
			gone := *s
			gone.raw, changed, s = nil, true, &gone
		}
		next[id] = s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.staples = next
	if changed && c.usable() {
		c.publish(now)
	}
}

// renewed asks once. On failure what there was stays.
func (s *staple) renewed(ctx context.Context, client *http.Client, cert *tls.Certificate, now time.Time, log *slog.Logger) *staple {
	next := *s
	raw, r, err := askOCSP(ctx, client, cert)
	if err == nil && (now.Before(r.ThisUpdate.Add(-time.Hour)) || !now.Before(r.NextUpdate)) {
		err = fmt.Errorf("it holds from %s to %s, which is not now", r.ThisUpdate.Format(time.RFC3339), r.NextUpdate.Format(time.RFC3339))
	}
	if err != nil {
		next.failed++
		next.next = now.Add(min(retryMost, retryFirst<<min(next.failed-1, 10)))
		if next.failed == 1 && ctx.Err() == nil {
			log.Warn("the authority does not confirm a certificate just now; it is served without that", "names", cert.Leaf.DNSNames,
				"responder", cert.Leaf.OCSPServer[0], "err", err)
		}
		return &next
	}
	next.failed = 0
	if r.Status != ocsp.Good {
		log.Error("a certificate is no longer good, says its authority: browsers will refuse it",
			"names", cert.Leaf.DNSNames, "do", "get a new one")
		next.raw, next.next = nil, now.Add(retryMost)
		return &next
	}
	next.raw, next.until = raw, r.NextUpdate
	next.next = now.Add(max(retryFirst, r.NextUpdate.Sub(now)/2))
	return &next
}

// askOCSP asks the responder that the certificate names.
func askOCSP(ctx context.Context, client *http.Client, cert *tls.Certificate) ([]byte, *ocsp.Response, error) {
	issuer, err := x509.ParseCertificate(cert.Certificate[1])
	if err != nil {
		return nil, nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	question, err := ocsp.CreateRequest(cert.Leaf, issuer, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("make the question: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cert.Leaf.OCSPServer[0], bytes.NewReader(question))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, stapleMost))
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, errors.New("it answers " + resp.Status)
	}
	r, err := ocsp.ParseResponseForCert(raw, cert.Leaf, issuer)
	if err != nil {
		return nil, nil, err
	}
	// Another than the authority itself may answer only if it is appointed to that;
	// browsers end the connection over an answer by who is not (RFC 6960, 4.2.2.2).
	if by := r.Certificate; by != nil && !by.Equal(issuer) && !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
		return nil, nil, errors.New("the answer is signed by who is not appointed to answer")
	}
	return raw, r, nil
}
