package listen

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"seawall/internal/kit/problem"
	"seawall/internal/kit/stamp"
	"seawall/internal/request/listen/acme"
)

// certsEvery is how often the files of certificates are looked at.
const certsEvery = 5 * time.Second

// certs are the certificates that are served. They are read from files, and read
// again when those change; while the new ones are not right the old ones stay.
type certs struct {
	list  []Certificate
	auto  *acme.Keeper // nil: all are from files; set before anybody is served
	names atomic.Pointer[byName]

	mu    sync.Mutex
	read  []stamp.Stamp      // of the files that were read last, whether they were right or not
	last  []*tls.Certificate // the last right one of each of list
	wrong string             // what was wrong with them; "" nothing

	staples map[[32]byte]*staple // by the certificate's SHA-256
}

// byName finds certificates by the name asked for. It is never changed.
type byName struct {
	exact map[string][]*tls.Certificate // "*.example.org" as well
	all   []*tls.Certificate
}

// with lists the certificates that have a name, in lower case, or its pattern.
func (n *byName) with(name string) []*tls.Certificate {
	if list := n.exact[name]; len(list) > 0 {
		return list
	}
	_, domain, _ := strings.Cut(name, ".")
	return n.exact["*."+domain]
}

func (c *certs) stamps() (list []stamp.Stamp) {
	for _, one := range c.list {
		list = append(list, stamp.Of(one.File), stamp.Of(one.Key))
	}
	return list
}

// load reads all files. What is wrong with any of them is in the list, by keys of
// the configuration; the one that was read before stays in its place, if there is
// one. Nothing is changed as long as one has neither.
func (c *certs) load(now time.Time) (l problem.List) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = c.stamps()
	if c.last == nil {
		c.last = make([]*tls.Certificate, len(c.list))
	}
	for i, one := range c.list {
		key := "tls.certificates[" + strconv.Itoa(i) + "]"
		cert, err := one.load()
		switch {
		case err != nil:
			l.Add(key, certAdvice(err), "%v", err)
			continue
		case now.After(cert.Leaf.NotAfter):
			l.Add(key+".file", "renew it", "%s has ended at %s", one.File, cert.Leaf.NotAfter.Format(time.RFC3339))
			if c.last[i] != nil {
				continue
			}
		}
		c.last[i] = cert
	}
	c.wrong = ""
	if len(l) > 0 {
		c.wrong = l.Err().Error()
	}
	if slices.Contains(c.last, nil) {
		return l
	}
	c.publish(now)
	return l
}

// publish has what was read served, with the staples there are. It needs mu.
func (c *certs) publish(now time.Time) {
	next := &byName{exact: map[string][]*tls.Certificate{}}
	for _, cert := range c.last {
		cert = c.stapled(cert, now)
		next.all = append(next.all, cert)
		for _, name := range cert.Leaf.DNSNames {
			name = strings.ToLower(name)
			next.exact[name] = append(next.exact[name], cert)
		}
	}
	c.names.Store(next)
}

// usable says that there is a certificate for each, be it one that has ended: then
// browsers warn, and the other sites are served all the same.
func (c *certs) usable() bool { return c.names.Load() != nil }

// load reads one certificate with its key.
func (c Certificate) load() (*tls.Certificate, error) {
	chain, err := os.ReadFile(c.File)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %s", c.File, c.Key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", c.File, err)
		}
	}
	return &cert, nil
}

func certAdvice(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "write the path of a file that is there"
	case errors.Is(err, fs.ErrPermission):
		return "let the user that runs Seawall read it"
	}
	return "name a certificate in PEM (fullchain.pem) and its own key (privkey.pem)"
}

// CheckCertificates says what is wrong with the files that a configuration names.
func (c Config) CheckCertificates(now time.Time) problem.List {
	store := certs{list: c.TLS.Certificates}
	l := store.load(now)
	l.Under("tls.acme", c.TLS.ACME.Check())
	return l
}

// follow reads the files again when they have changed, until stop.
func (c *certs) follow(stop <-chan struct{}, log *slog.Logger) {
	t := time.NewTicker(certsEvery)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-t.C:
			c.refresh(now, log)
		}
	}
}

func (c *certs) refresh(now time.Time, log *slog.Logger) {
	c.mu.Lock()
	was := c.wrong
	// What was wrong may be mended without a change of the file: its rights.
	again := was != "" || !slices.Equal(c.stamps(), c.read)
	c.mu.Unlock()
	if !again {
		return
	}
	l := c.load(now)
	switch {
	case len(l) == 0:
		log.Info("the certificates have changed, and the new ones are used")
	case l.Err().Error() != was:
		for _, p := range l {
			log.Error("a certificate is not used; the one before it stays", "what", p.What, "do", p.Hint)
		}
	}
}

// get finds the certificate for a handshake: of those in files that have the name,
// the first that the client can use, or else the one that was got for it.
func (c *certs) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if acme.Asks(hello) {
		return c.auto.Proof(hello)
	}
	n, name := c.names.Load(), strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	list := n.with(name)
	if len(list) == 0 {
		if one := c.auto.Certificate(name); one != nil {
			return one, nil
		}
		if list = n.all; len(list) == 0 {
			return c.auto.First(), nil
		}
	}
	for _, one := range list {
		if hello.SupportsCertificate(one) == nil {
			return one, nil
		}
	}
	return list[0], nil
}
