package acme

import (
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/mholt/acmez/v3/acme"
)

// trouble is why there is no certificate, in words for whoever runs the site.
type trouble struct {
	what, means, do string
	cause           error // nil: we found out by ourselves
}

// mark begins the text of every trouble, so that certmagic's own lines about it
// are known in the log.
const mark = "no certificate: "

func (t *trouble) Error() string { return mark + t.what }
func (t *trouble) Unwrap() error { return t.cause }

// aboutName says whether the authority, when asked, was not content with the name
// or with what it found there.
func (t *trouble) aboutName() bool {
	p, ok := errors.AsType[acme.Problem](t.cause)
	return ok && p.Status < 500 && p.Type != acme.ProblemTypeRateLimited
}

// explain puts an error of the authority or of the way to it into words.
func explain(err error, directory string) *trouble {
	if t, ok := errors.AsType[*trouble](err); ok {
		return t
	}
	if p, ok := errors.AsType[acme.Problem](err); ok {
		t := explainProblem(p, authority(directory))
		t.cause = err
		return t
	}
	at := authority(directory)
	t := &trouble{what: at + " cannot be asked: " + lastly(err), cause: err,
		means: "the way from this server to the certificate authority is closed or the authority is down; no limit is used up by that",
		do:    "if it lasts, see whether `curl -I " + directory + "` on this server gets an answer, and let a firewall pass it"}
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknown):
		t.means = "what answers there is not known to be the authority"
		t.do = "name the root of a private authority in ca_file; with a public one, install the package ca-certificates, and ask your host who is in between"
	case errors.As(err, &invalid):
		t.means = "this server's clock is wrong, or what answers there is not the authority"
		t.do = "look at the clock with `timedatectl`, and let the server keep time"
	case errors.As(err, &dns):
		t.means = "this server cannot look names up"
		t.do = "see whether `getent hosts " + at + "` finds it; name servers stand in /etc/resolv.conf"
	}
	return t
}

// explainProblem is about what the authority answered (RFC 8555, section 6.7).
func explainProblem(p acme.Problem, at string) *trouble {
	t := &trouble{what: at + " says: " + p.Detail}
	switch strings.TrimPrefix(p.Type, acme.ProblemTypeNamespace) {
	case "connection", "tls":
		t.means = "the authority cannot reach this server under that name"
		t.do = "let everybody in at ports 80 and 443 in every firewall, your host's too; where the name has an AAAA record, by IPv6 as well"
	case "unauthorized", "incorrectResponse":
		t.means = "the authority reached another server, or something in between answered in place of Seawall"
		t.do = "point the name's A and AAAA records at this server alone; let a proxy in front pass on /.well-known/acme-challenge/"
	case "dns":
		t.means = "the authority cannot look the name up"
		t.do = "see in your DNS provider's settings whether the name exists and whether DNSSEC is in order"
	case "caa":
		t.means = "a CAA record of the domain allows other authorities or another account only"
		t.do = "add a CAA record for this authority, without accounturi, at your DNS provider"
	case "rateLimited":
		t.means = "too many certificates or failures were asked for lately, by this server or another for the same domain"
		t.do = "wait: it is tried again by itself; do not restart for it"
	case "rejectedIdentifier", "unsupportedIdentifier":
		t.means = "the authority does not give certificates for this name"
		t.do = "see whether the name is written right in listen.tls.acme.domains"
	case "invalidContact", "unsupportedContact":
		t.means = "the authority does not take the mail address"
		t.do = "correct or leave out listen.tls.acme.email"
	case "externalAccountRequired":
		t.means = "the authority gives certificates to customers with an account only"
		t.do = "use one that does not, such as Let's Encrypt, or certificate files"
	case "userActionRequired":
		t.means = "the authority wants its new terms agreed to"
		t.do = "follow the address that it names"
	default:
		t.means = "the authority did not do what it was asked"
		t.do = "wait: it is tried again by itself; if it lasts for a day, look at the authority's status page"
	}
	return t
}

// authority names it by its host.
func authority(directory string) string {
	if u, err := url.Parse(directory); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return directory
}

// lastly is the innermost of a chain of errors, without what each added.
func lastly(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}
