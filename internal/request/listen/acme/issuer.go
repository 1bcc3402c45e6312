package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// issuer is certmagic's way to the authority, with what comes before it.
type issuer struct {
	*certmagic.ACMEIssuer
	k *Keeper
}

// issueMost is how long one try may take. Proofs are asked for within seconds; an
// authority that is busy may let an order wait for minutes.
const issueMost = 5 * time.Minute

// PreCheck never asks at the terminal, whoever started Seawall there.
func (i *issuer) PreCheck(ctx context.Context, names []string, _ bool) error {
	return i.ACMEIssuer.PreCheck(ctx, names, false)
}

// Issue gets one certificate, or says why not: its errors are troubles, but for
// the context's own at the end.
func (i *issuer) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	ctx, done, err := i.k.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	name := csr.DNSNames[0]
	cert, err := i.issue(ctx, csr, name)
	if err != nil && i.k.ctx.Err() != nil {
		return nil, context.Canceled
	}
	i.k.proven(name, err == nil)
	return cert, err
}

func (i *issuer) issue(ctx context.Context, csr *x509.CertificateRequest, name string) (*certmagic.IssuedCertificate, error) {
	skip, doubts, err := i.k.before(ctx, name)
	i.k.doubt(name, doubts)
	if err != nil {
		return nil, err
	}
	if t := i.k.trial; t != nil && !skip && !i.k.isProven(name) {
		err := t.PreCheck(ctx, csr.DNSNames, false)
		if err == nil {
			_, err = t.Issue(ctx, csr)
		}
		if err != nil {
			// A staging directory that is itself out of order keeps nobody from
			// having a certificate.
			if t := explain(err, i.k.cfg.staging()); t.aboutName() {
				return nil, t
			}
			i.k.log.Debug("the staging directory cannot be asked", "err", err)
		}
	}
	cert, err := i.ACMEIssuer.Issue(ctx, csr)
	if err != nil {
		return nil, explain(err, i.k.cfg.Directory)
	}
	return cert, nil
}

// GetRenewalInfo asks when a certificate is best renewed (RFC 9773).
func (i *issuer) GetRenewalInfo(ctx context.Context, cert certmagic.Certificate) (acme.RenewalInfo, error) {
	ctx, done, err := i.k.begin(ctx)
	if err != nil {
		return acme.RenewalInfo{}, err
	}
	defer done()
	return i.ACMEIssuer.GetRenewalInfo(ctx, cert)
}

// identities are the names that CAA records know the authority by.
func (k *Keeper) identities(ctx context.Context) ([]string, error) {
	c := acme.Client{Directory: k.cfg.Directory, HTTPClient: k.http, UserAgent: "Seawall"}
	dir, err := c.GetDirectory(ctx)
	if err != nil || dir.Meta == nil {
		return nil, err
	}
	return dir.Meta.CAAIdentities, nil
}

// begin counts a try in, so that Close can wait for it. It fails after Close.
func (k *Keeper) begin(ctx context.Context) (context.Context, func(), error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx.Err() != nil {
		return nil, nil, context.Canceled
	}
	k.running.Add(1)
	ctx, cancel := context.WithTimeout(ctx, issueMost)
	stop := context.AfterFunc(k.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		k.running.Done()
	}, nil
}

// proven notes whether the authority gave a certificate for a name the last time:
// the staging directory need not be asked then.
func (k *Keeper) proven(name string, yes bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.names[name].proven = yes
}

func (k *Keeper) isProven(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.names[name].proven
}

// doubt tells what may be wrong with a name, once as long as it stays the same.
func (k *Keeper) doubt(name string, list []*trouble) {
	var all string
	for _, t := range list {
		all += t.what + "\n"
	}
	k.mu.Lock()
	same := k.names[name].doubts == all
	k.names[name].doubts = all
	k.mu.Unlock()
	if same {
		return
	}
	for _, t := range list {
		k.log.Warn("the certificate authority may not reach the site", "name", name, "what", t.what, "means", t.means, "do", t.do)
	}
}

// tell says why there is no certificate. again is when the next try comes; 0: when
// certmagic looks after renewals.
func (k *Keeper) tell(name string, err error, again time.Duration) {
	var t *trouble
	if !errors.As(err, &t) {
		t = &trouble{what: lastly(err), means: "what was got cannot be kept, or asking could not begin",
			do: "see whether the disk is full and whether Seawall may write to " + k.folder}
	}
	next := "by and by, at least every six hours"
	if again > 0 {
		next = "in " + again.String()
	}
	meanwhile := "visitors who come by HTTPS are warned by their browsers"
	if c := k.now.Load().byName[name]; c != nil && c != k.standIn && time.Now().Before(c.Leaf.NotAfter) {
		meanwhile = "the one there is holds until " + c.Leaf.NotAfter.UTC().Format("2006-01-02 15:04 MST")
	}
	k.log.Error("no certificate could be had from the authority", "name", name,
		"what", t.what, "means", t.means, "do", t.do, "meanwhile", meanwhile, "again", next)
}
