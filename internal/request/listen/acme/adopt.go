package acme

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"seawall/internal/kit/stamp"
)

// certbot finds certificates in the folder where certbot keeps one folder for each
// (fullchain.pem, privkey.pem), and reads them again when they change. It is touched
// by one goroutine.
type certbot struct {
	folder string
	log    *slog.Logger
	pairs  map[string]*pair // by the folder's name
	denied bool             // that it may not be read was told
}

// pair is a certificate with its key, as it was read.
type pair struct {
	stamps [2]stamp.Stamp
	cert   *tls.Certificate // nil: it was not right
}

// mostPairs bounds what is read.
const mostPairs = 1000

// look reads what has changed.
func (b *certbot) look() {
	if b.folder == "" {
		return
	}
	entries, err := os.ReadDir(b.folder)
	if err != nil {
		b.deny(err)
		b.pairs = nil
		return
	}
	old := b.pairs
	b.pairs = map[string]*pair{}
	for _, e := range entries[:min(len(entries), mostPairs)] {
		chain, key := filepath.Join(b.folder, e.Name(), "fullchain.pem"), filepath.Join(b.folder, e.Name(), "privkey.pem")
		stamps := [2]stamp.Stamp{stamp.Of(chain), stamp.Of(key)}
		if stamps[0] == (stamp.Stamp{}) && stamps[1] == (stamp.Stamp{}) {
			continue // README, or what may not be looked into
		}
		p := old[e.Name()]
		if p == nil || p.stamps != stamps {
			p = &pair{stamps: stamps}
			if p.cert, err = readPair(chain, key); err != nil {
				b.deny(err)
				if before := old[e.Name()]; before != nil {
					p.cert = before.cert // half renewed: the last right one stays
				}
			}
		}
		b.pairs[e.Name()] = p
	}
}

// deny tells once that there is something which may not be read.
func (b *certbot) deny(err error) {
	if b.denied || !errors.Is(err, fs.ErrPermission) {
		return
	}
	b.denied = true
	b.log.Warn("certbot's certificates are not used: they may not be read", "what", err,
		"means", "the authority is asked for certificates of Seawall's own", "do", "let Seawall's user read "+b.folder+", or leave it so")
}

func readPair(chain, key string) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", chain, err)
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, fmt.Errorf("read %s: %w", chain, err)
		}
	}
	return &cert, nil
}

// find returns the certificate for a name that ends last; nil none.
func (b *certbot) find(name string) (best *tls.Certificate) {
	for _, p := range b.pairs {
		if p.cert != nil && p.cert.Leaf.VerifyHostname(name) == nil &&
			(best == nil || p.cert.Leaf.NotAfter.After(best.Leaf.NotAfter)) {
			best = p.cert
		}
	}
	return best
}

// given up says that certbot has let a certificate come closer to its end than it
// does while it renews: it begins with a third of the life left, and tries twice a
// day.
func givenUp(c *x509.Certificate, now time.Time) bool {
	left, life := c.NotAfter.Sub(now), c.NotAfter.Sub(c.NotBefore)
	return left < min(life/4, 30*24*time.Hour)
}

// better chooses between certificates for the same name: one that is valid before
// one that has ended, then the earlier in the list. nil where all are.
func better(now time.Time, list ...*tls.Certificate) *tls.Certificate {
	list = slices.DeleteFunc(list, func(c *tls.Certificate) bool { return c == nil })
	for _, c := range list {
		if now.Before(c.Leaf.NotAfter) && !now.Before(c.Leaf.NotBefore) {
			return c
		}
	}
	if len(list) > 0 {
		return list[0]
	}
	return nil
}
