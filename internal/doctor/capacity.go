package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Measured is what one processor of this machine can do in a second, with
// nothing else running. What could not be measured is 0, and Failed says why.
type Measured struct {
	Drop     float64 `json:"drop"`      // packets that the filter drops, the driver's own work apart
	Refuse   float64 `json:"refuse"`    // requests that Seawall refuses
	Serve    float64 `json:"serve"`     // requests that it passes on to a site that answers at once
	TLSECDSA float64 `json:"tls_ecdsa"` // full handshakes with an ECDSA P-256 key
	TLSRSA   float64 `json:"tls_rsa"`   // and with an RSA key of 2,048 bits

	Failed map[string]string `json:"failed,omitempty"` // by the name of the figure
}

// blockedSources is how many take turns while dropping is measured: a botnet of
// the common size.
const blockedSources = 10_000

// measure takes each figure in turn.
func measure(ctx context.Context, e Env, each time.Duration) Measured {
	m := Measured{Failed: map[string]string{}}
	failed := func(name string, err error) {
		if err != nil {
			m.Failed[name] = oneLine(err)
		}
	}
	if own := e.capabilities("self"); own.known && !own.mayFilter() {
		failed("drop", errors.New("whoever runs this has no right to load programs"))
	} else if e.Kernel != nil {
		e.say("measuring packets dropped (in the kernel's test bench)")
		cost, err := e.Kernel.DropCost(blockedSources, each)
		if err == nil {
			m.Drop = float64(time.Second) / float64(cost)
		}
		failed("drop", err)
	}
	if ctx.Err() == nil && e.Shield != nil {
		e.say("measuring requests refused and served (a Seawall of its own, on loopback)")
		var err error
		m.Refuse, m.Serve, err = e.requests(ctx, each)
		failed("requests", err)
	}
	for _, k := range []struct {
		name string
		into *float64
		key  func() (signer, error)
	}{
		{"tls_ecdsa", &m.TLSECDSA, func() (signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
		{"tls_rsa", &m.TLSRSA, func() (signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }},
	} {
		if ctx.Err() != nil {
			break
		}
		e.say("measuring TLS handshakes (" + strings.ToUpper(strings.TrimPrefix(k.name, "tls_")) + ")")
		key, err := k.key()
		if err == nil {
			*k.into, err = handshakes(ctx, key, each)
		}
		failed(k.name, err)
	}
	if len(m.Failed) == 0 {
		m.Failed = nil
	}
	return m
}

// perVisitor is how many requests a second a reader makes while reading; the
// demo's visitors do the same.
const perVisitor = 2

// perBot is how many a second each source of the demo's heavy flood makes.
const perBot = 50

// findings says what the figures mean.
func (m Measured) findings(cpus int) []Finding {
	n := notes{subject: fmt.Sprintf("capacity of one of %s", count(cpus, "processor"))}
	if cpus == 1 {
		n.subject = "capacity of the one processor"
	}
	if m.Drop > 0 {
		n.good("the filter takes %.0f ns to drop a packet from a blocked source: %s packets/s at most, fewer by the driver's own work on each. A line of 1 Gbit/s brings up to %s", 1e9/m.Drop, about(m.Drop), about(packetsOf(1000)))
	}
	if m.Refuse > 0 {
		n.good("refuses %s requests/s: %s bots at %d requests/s each", about(m.Refuse), about(m.Refuse/perBot), perBot)
	}
	if m.Serve > 0 {
		n.good("passes on %s requests/s: about %s visitors at %d requests/s each, if the site itself bears it", about(m.Serve), about(m.Serve/perVisitor), perVisitor)
	}
	if m.TLSECDSA > 0 {
		n.good("opens %s TLS connections/s with an ECDSA key: so many new visitors a second, and so many bots", about(m.TLSECDSA))
	}
	if m.TLSRSA > 0 {
		const slower = 2 // times, from which a change of keys is worth the trouble
		if m.TLSECDSA > slower*m.TLSRSA {
			n.poor(tidy, "if your certificate is an RSA one (`openssl x509 -in fullchain.pem -noout -text` says), have an ECDSA P-256 one issued: `certbot certonly --key-type ecdsa`",
				"opens %s TLS connections/s with an RSA key: a flood of handshakes wins %.1f times as early as with ECDSA", about(m.TLSRSA), m.TLSECDSA/m.TLSRSA)
		} else {
			n.good("opens %s TLS connections/s with an RSA key", about(m.TLSRSA))
		}
	}
	for _, f := range []struct{ name, what, do string }{
		{"drop", "packets dropped", "`sudo seawall doctor` has the rights; without a kernel for it, see above"},
		{"requests", "requests refused and served", "see the reason"},
		{"tls_ecdsa", "TLS handshakes with ECDSA", "see the reason"},
		{"tls_rsa", "TLS handshakes with RSA", "see the reason"},
	} {
		if why, ok := m.Failed[f.name]; ok {
			n.missing(unknown, f.do, "%s could not be measured: %s", f.what, why)
		}
	}
	return n.list
}
