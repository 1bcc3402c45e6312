package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// Path is below which the authority asks in clear text (RFC 8555, section 8.3).
const Path = "/.well-known/acme-challenge/"

// Protocol is what it asks for by TLS (RFC 8737).
const Protocol = acmez.ACMETLS1Protocol

// Answer is what the authority must get for a request with this host (lower case,
// no port) and path; "" where nobody waits for that question.
func (k *Keeper) Answer(host, path string) string {
	if k == nil || !strings.HasPrefix(path, Path) || k.names[host] == nil {
		return ""
	}
	if c, ok := certmagic.GetACMEChallenge(host); ok && c.Type == acme.ChallengeTypeHTTP01 {
		if path == c.HTTP01ResourcePath() {
			return c.KeyAuthorization
		}
		return ""
	}
	if !k.mayLook() {
		return ""
	}
	r := &http.Request{Method: http.MethodGet, Host: host, URL: &url.URL{Path: path}}
	for _, i := range k.askers() {
		w := &answerWriter{header: http.Header{}}
		if i.HandleHTTPChallenge(w, r.WithContext(k.ctx)) {
			return w.text
		}
	}
	return ""
}

var errNoProof = errors.New("acme: nobody waits for a proof of this name")

// Proof is the certificate for a handshake that asks for Protocol.
func (k *Keeper) Proof(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if k == nil || k.names[strings.ToLower(hello.ServerName)] == nil {
		return nil, errNoProof
	}
	if c, ok := certmagic.GetACMEChallenge(hello.ServerName); ok {
		if c.Type != acme.ChallengeTypeTLSALPN01 {
			return nil, errNoProof
		}
		return k.magic.GetCertificate(hello)
	}
	if !k.mayLook() {
		return nil, errNoProof
	}
	for _, m := range []*certmagic.Config{k.magic, k.trialMagic} {
		if m == nil {
			continue
		}
		if c, err := m.GetCertificate(hello); err == nil {
			return c, nil
		}
	}
	return nil, errNoProof
}

// Asks says whether a handshake is the authority's question.
func Asks(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == Protocol
}

// mayLook says whether the storage may be asked for what another Seawall that
// shares it waits for. Anybody can ask for that: it is done twenty times a second
// at most.
func (k *Keeper) mayLook() bool {
	if k.cfg.Storage == "" {
		return false
	}
	now, last := time.Now().UnixMilli(), k.looked.Load()
	return now-last >= 50 && k.looked.CompareAndSwap(last, now)
}

func (k *Keeper) askers() (list []*certmagic.ACMEIssuer) {
	list = append(list, k.issuer.ACMEIssuer)
	if k.trial != nil {
		list = append(list, k.trial)
	}
	return list
}

// answerWriter keeps what certmagic answers.
type answerWriter struct {
	header http.Header
	text   string
}

func (w *answerWriter) Header() http.Header { return w.header }
func (w *answerWriter) WriteHeader(int)     {}
func (w *answerWriter) Write(p []byte) (int, error) {
	w.text += string(p)
	return len(p), nil
}

// event is told by certmagic. Of first certificates tend tells.
func (k *Keeper) event(_ context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	if data["renewal"] != true || k.names[name] == nil {
		return nil
	}
	switch event {
	case "cert_obtained":
		k.log.Info("a certificate was renewed", "name", name)
	case "cert_failed":
		if err, _ := data["error"].(error); err != nil && !errors.Is(err, context.Canceled) {
			k.tell(name, err, 0)
		}
	}
	return nil
}
