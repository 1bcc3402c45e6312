package listen

import (
	"strconv"
	"time"

	"seawall/internal/kit/problem"
	"seawall/internal/request/listen/acme"
)

// TLS is how HTTPS is served.
type TLS struct {
	// Addresses to serve HTTPS on, host:port; none: HTTPS is not served.
	Addresses []string `yaml:"addresses"`
	// Certificates for the sites. Who asks for a name that none has gets the first.
	Certificates []Certificate `yaml:"certificates"`
	// ACME gets certificates for names that have no files.
	ACME acme.Config `yaml:"acme"`
	// MinVersion is the oldest version of TLS that is spoken, 1.2 or 1.3.
	MinVersion string `yaml:"min_version"`
	// HTTP2 says that HTTP/2 is spoken with who offers it.
	HTTP2 bool `yaml:"http2"`
	// HTTP3 says that HTTP/3 is spoken as well, by UDP at the same addresses.
	HTTP3 bool `yaml:"http3"`
	// Redirect sends who comes in clear text to HTTPS, but for the questions of
	// certificate authorities.
	Redirect bool `yaml:"redirect"`
	// HSTS is how long browsers are told to come by HTTPS only; 0: they are not.
	HSTS time.Duration `yaml:"hsts"`
	// Handshakes is how many of them there can be.
	Handshakes Handshakes `yaml:"handshakes"`
}

// Certificate names the files of one, in PEM. They are read again when they change.
type Certificate struct {
	File string `yaml:"file"` // the certificate, and after it those that lead to a known authority
	Key  string `yaml:"key"`
}

const (
	version12 = "1.2"
	version13 = "1.3"
)

func (c TLS) validate(l *problem.List) {
	for i, a := range c.Addresses {
		if what := addressFault(a); what != "" {
			l.Add("tls.addresses["+strconv.Itoa(i)+"]", `write host:port, such as ":443"`, "%q %s", a, what)
		}
	}
	if len(c.Addresses) > 0 && len(c.Certificates) == 0 && !c.ACME.On() {
		l.Add("tls.certificates", "name at least one, with file and key, or write acme: {domains: [www.example.org]} beside it", "HTTPS needs a certificate")
	}
	l.Under("tls.acme", c.ACME.Validate())
	for i, one := range c.Certificates {
		key := "tls.certificates[" + strconv.Itoa(i) + "]"
		if one.File == "" || one.Key == "" {
			l.Add(key, "write {file: fullchain.pem, key: privkey.pem}", "a certificate has two files, file and key")
		}
	}
	if c.MinVersion != version12 && c.MinVersion != version13 {
		l.Add("tls.min_version", `write "1.2" or "1.3"`, "%q is no version of TLS that is spoken", c.MinVersion)
	}
	if c.HSTS != 0 && c.HSTS < time.Second || c.HSTS > 10*365*24*time.Hour {
		l.Add("tls.hsts", "write a time such as 4320h (180 days), or 0 for none", "%v is out of range", c.HSTS)
	}
	c.Handshakes.validate(l)
	if len(c.Addresses) > 0 {
		return
	}
	if len(c.Certificates) > 0 {
		l.Add("tls.addresses", `write [":443"]`, "there are certificates and no address to use them at")
	}
	if c.ACME.On() {
		l.Add("tls.addresses", `write [":443"]`, "certificates are to be had and there is no address to use them at")
	}
	if c.HTTP3 {
		l.Add("tls.http3", `write addresses: [":443"] beside it, or http3: false`, "HTTP/3 is spoken where HTTPS is, which is not served")
	}
	if c.Redirect {
		l.Add("tls.redirect", `write addresses: [":443"] beside it, or redirect: false`, "there is nowhere to send visitors to")
	}
	if c.HSTS != 0 {
		l.Add("tls.hsts", `write addresses: [":443"] beside it, or leave hsts out`, "browsers would be told to use HTTPS, which is not served")
	}
}
