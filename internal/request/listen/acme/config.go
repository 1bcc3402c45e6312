package acme

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"seawall/internal/kit/problem"
)

// Config is the room's settings.
type Config struct {
	// Domains to get certificates for, one each; none: nothing is done.
	Domains []string `yaml:"domains"`
	// Email is told to the authority, which may warn of things to come. May be empty.
	Email string `yaml:"email"`
	// Directory is where the authority is to be found.
	Directory string `yaml:"directory"`
	// Staging is a directory to try first, whose certificates nobody trusts; "":
	// Let's Encrypt's where Directory is theirs, else none; "none": none.
	Staging string `yaml:"staging"`
	// CAFile has the roots in PEM that a private authority's own server is known
	// by; "": the system's.
	CAFile string `yaml:"ca_file"`
	// Storage is the folder for accounts, keys and certificates; several Seawalls
	// may share it; "": acme in the data folder.
	Storage string `yaml:"storage"`
	// Certbot is the folder with a folder for each certificate of certbot's.
	Certbot string `yaml:"certbot"`
	// Resolvers are the DNS servers to look names up at, host:port; none: the system's.
	Resolvers []string `yaml:"resolvers"`

	// RenewEvery is how often it is looked whether a certificate is to be renewed,
	// and Retry how long to wait after each failure in a row; the last one repeats.
	RenewEvery time.Duration   `yaml:"-"`
	Retry      []time.Duration `yaml:"-"`
}

const (
	letsEncrypt        = certmagic.LetsEncryptProductionCA
	letsEncryptStaging = certmagic.LetsEncryptStagingCA
	none               = "none"
)

// mostDomains is how many names one Seawall gets certificates for. Let's Encrypt
// gives 50 new ones a week for one registered domain.
const mostDomains = 100

// DefaultConfig asks Let's Encrypt, for no name.
func DefaultConfig() Config {
	return Config{
		Directory:  letsEncrypt,
		Certbot:    "/etc/letsencrypt/live",
		RenewEvery: 10 * time.Minute,
		Retry: []time.Duration{
			time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
			time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour,
		},
	}
}

// On says whether there is anything to do.
func (c Config) On() bool { return len(c.Domains) > 0 }

// staging is the directory to try first; "" none.
func (c Config) staging() string {
	switch {
	case c.Staging == none:
		return ""
	case c.Staging == "" && c.Directory == letsEncrypt:
		return letsEncryptStaging
	}
	return c.Staging
}

// Validate says all that is wrong.
func (c Config) Validate() problem.List {
	var l problem.List
	seen := map[string]bool{}
	for i, d := range c.Domains {
		key := "domains[" + strconv.Itoa(i) + "]"
		if what, hint := domainFault(d); what != "" {
			l.Add(key, hint, "%q %s", d, what)
		} else if seen[d] {
			l.Add(key, "leave it out", "%q is there twice", d)
		}
		seen[d] = true
	}
	if len(c.Domains) > mostDomains {
		l.Add("domains", "write at most "+strconv.Itoa(mostDomains), "there are %d names", len(c.Domains))
	}
	if c.Email != "" {
		if a, err := mail.ParseAddress(c.Email); err != nil || a.Address != c.Email {
			l.Add("email", "write an address such as help@example.org, or leave it out", "%q is no mail address", c.Email)
		}
	}
	for key, dir := range map[string]string{"directory": c.Directory, "staging": c.Staging} {
		if key == "staging" && (dir == "" || dir == none) {
			continue
		}
		if u, err := url.Parse(dir); err != nil || u.Scheme != "https" || u.Host == "" {
			l.Add(key, "write the https:// address that the authority gives for ACME, or leave it out", "%q is no such address", dir)
		}
	}
	for i, r := range c.Resolvers {
		if _, err := netip.ParseAddrPort(r); err != nil {
			l.Add("resolvers["+strconv.Itoa(i)+"]", "write one such as 192.0.2.53:53", "%q is no address with a port", r)
		}
	}
	return l
}

// domainFault says why a name cannot have a certificate this way.
func domainFault(d string) (what, hint string) {
	const plain = "write a name such as www.example.org"
	switch {
	case strings.HasPrefix(d, "*."):
		return "has an asterisk, which needs a proof by DNS that is not made here", "write each name out, or use certificate files for this one"
	case strings.ContainsAny(d, "/:"):
		return "is more than a name", plain
	case !strings.Contains(d, ".") || len(d) > 253:
		return "is no name that the internet knows", plain
	case d != strings.ToLower(d):
		return "has capital letters", "write " + strings.ToLower(d)
	}
	if _, err := netip.ParseAddr(d); err == nil {
		return "is an address", plain
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "is no name that the internet knows", plain
		}
		for _, r := range label {
			switch {
			case r > 127:
				return "has letters that are not ASCII", "write it as DNS has it, beginning with xn--"
			case !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-'):
				return "is no name that the internet knows", plain
			}
		}
	}
	return "", ""
}

// Check says what is wrong with the files that are named.
func (c Config) Check() problem.List {
	var l problem.List
	if _, err := c.roots(); err != nil {
		l.Add("ca_file", "name a file with the authority's root in PEM that Seawall may read", "%v", err)
	}
	if info, err := os.Stat(c.Storage); c.Storage != "" && err == nil && !info.IsDir() {
		l.Add("storage", "name a folder that Seawall may write to", "%s is a file", c.Storage)
	}
	return l
}

// roots are those to know the authority's server by; nil: the system's.
func (c Config) roots() (*x509.CertPool, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %w", c.CAFile, errors.New("there is no certificate in it"))
	}
	return pool, nil
}
