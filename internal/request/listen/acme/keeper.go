package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"

	"seawall/internal/kit/stamp"
)

// Keeper is the room. Make it with New, then Start, Close.
type Keeper struct {
	cfg    Config
	folder string // of the storage
	log    *slog.Logger
	http   *http.Client
	dns    resolver
	ground ground

	// Set by Start and not changed after.
	cache      *certmagic.Cache
	magic      *certmagic.Config
	issuer     *issuer
	trialMagic *certmagic.Config // nil: there is no staging directory
	trial      *certmagic.ACMEIssuer

	names   map[string]*state // the keys never change
	stored  map[string]*tls.Certificate
	certbot certbot // the goroutine's own, once started
	standIn *tls.Certificate
	now     atomic.Pointer[served]
	looked  atomic.Int64 // when the shared storage was last asked, Unix milliseconds

	ctx     context.Context
	end     context.CancelFunc
	tending sync.WaitGroup
	running sync.WaitGroup // tries; Add under mu
	slots   chan struct{}  // as many tries at a time
	mu      sync.Mutex     // guards what names points to
}

// state is what is known of a name.
type state struct {
	proven bool   // the authority gave a certificate the last time
	doubts string // what was last said to be doubtful
}

// served is which certificate each name gets. It is never changed.
type served struct {
	byName map[string]*tls.Certificate // all names, also those with the stand-in
	first  *tls.Certificate            // for who asks for no name of ours
	known  string                      // the first name with a certificate that is no stand-in; "" none
}

const (
	lookEvery = 5 * time.Second
	atATime   = 3
)

// New reads what there is. Where cfg.Storage is empty, data is the data folder.
func New(cfg Config, data string, log *slog.Logger) (*Keeper, error) {
	roots, err := cfg.roots()
	if err != nil {
		return nil, err
	}
	if cfg.RenewEvery <= 0 || len(cfg.Retry) == 0 {
		cfg.RenewEvery, cfg.Retry = DefaultConfig().RenewEvery, DefaultConfig().Retry
	}
	k := &Keeper{cfg: cfg, folder: cfg.Storage, log: log, dns: resolver{cfg.Resolvers},
		certbot: certbot{folder: cfg.Certbot, log: log}, slots: make(chan struct{}, atATime),
		names: map[string]*state{}, stored: map[string]*tls.Certificate{}}
	if k.folder == "" {
		k.folder = filepath.Join(data, "acme")
	}
	k.http = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
	if k.standIn, err = signSelf(cfg.Domains); err != nil {
		return nil, err
	}
	k.ctx, k.end = context.WithCancel(context.Background())
	for _, name := range cfg.Domains {
		k.names[name] = &state{}
		if c, err := readPair(k.files(name)); err == nil {
			k.stored[name] = c
			k.names[name].proven = true
		}
	}
	k.look(time.Now())
	return k, nil
}

// files are where certmagic keeps what it got for a name.
func (k *Keeper) files(name string) (chain, key string) {
	by := (&certmagic.ACMEIssuer{CA: k.cfg.Directory}).IssuerKey()
	return filepath.Join(k.folder, filepath.FromSlash(certmagic.StorageKeys.SiteCert(by, name))),
		filepath.Join(k.folder, filepath.FromSlash(certmagic.StorageKeys.SitePrivateKey(by, name)))
}

// Start looks after the certificates, until Close. plain and secure are the
// addresses that listen has bound.
func (k *Keeper) Start(plain, secure []net.Addr) {
	k.ground = newGround(plain, secure)
	z := zapLog(k.log)
	k.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return k.magic, nil },
		RenewCheckInterval: k.cfg.RenewEvery,
		Logger:             z,
	})
	// certmagic would listen by itself where it does not find the port in use.
	host, plainPort := port(k.ground.plain)
	other, securePort := port(k.ground.secure)
	switch {
	case plainPort == 0:
		host = other
	case host != other:
		host = "" // every address: that is in use as well
	}
	configure := func(directory string) (*certmagic.Config, *certmagic.ACMEIssuer) {
		magic := certmagic.New(k.cache, certmagic.Config{
			Storage: &certmagic.FileStorage{Path: k.folder}, Logger: z, OnEvent: k.event, Issuers: []certmagic.Issuer{},
			// Or it would wait for a responder without end.
			OCSP: certmagic.OCSPConfig{HTTPProxy: http.ProxyFromEnvironment}})
		return magic, certmagic.NewACMEIssuer(magic, certmagic.ACMEIssuer{
			CA: directory, Email: k.cfg.Email, Agreed: true, Logger: z,
			TrustedRoots: k.http.Transport.(*http.Transport).TLSClientConfig.RootCAs,
			ListenHost:   host, AltHTTPPort: plainPort, AltTLSALPNPort: securePort,
			DisableHTTPChallenge: plainPort == 0,
		})
	}
	magic, production := configure(k.cfg.Directory)
	k.issuer = &issuer{production, k}
	magic.Issuers = []certmagic.Issuer{k.issuer}
	if dir := k.cfg.staging(); dir != "" && dir != k.cfg.Directory {
		k.trialMagic, k.trial = configure(dir)
		k.trialMagic.Issuers = []certmagic.Issuer{k.trial}
	}
	k.magic = magic
	for name := range k.names {
		k.tending.Go(func() { k.tend(name) })
	}
	k.tending.Go(k.follow)
}

// Close ends everything and waits for it. Certificate goes on answering. It may be
// called without Start.
func (k *Keeper) Close() {
	k.mu.Lock()
	ended := k.ctx.Err() != nil
	k.end()
	k.mu.Unlock()
	if ended {
		return
	}
	k.tending.Wait()
	if k.cache != nil {
		k.cache.Stop()
	}
	k.running.Wait()
	k.http.CloseIdleConnections()
}

// every is how often it is looked what has changed.
func (k *Keeper) every() time.Duration { return min(lookEvery, k.cfg.RenewEvery) }

// follow keeps what is served up to date.
func (k *Keeper) follow() {
	t := time.NewTicker(k.every())
	defer t.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case now := <-t.C:
			k.mu.Lock()
			k.look(now)
			k.mu.Unlock()
		}
	}
}

// look chooses each name's certificate anew. Once started it needs mu.
func (k *Keeper) look(now time.Time) {
	k.certbot.look()
	next := &served{byName: map[string]*tls.Certificate{}, first: k.standIn}
	for _, name := range k.cfg.Domains {
		c := better(now, k.own(name), k.certbot.find(name))
		if c == nil {
			c = k.standIn
		}
		next.byName[name] = c
		if c != k.standIn && next.known == "" {
			next.first, next.known = c, name
		}
	}
	k.now.Store(next)
}

// own is the certificate that we got for a name; nil none.
func (k *Keeper) own(name string) *tls.Certificate {
	if k.cache == nil {
		return k.stored[name]
	}
	for _, c := range k.cache.AllMatchingCertificates(name) {
		old := k.stored[name]
		newer := old == nil || c.Leaf.NotAfter.After(old.Leaf.NotAfter)
		same := old != nil && bytes.Equal(c.Leaf.Raw, old.Leaf.Raw)
		if newer || same && !bytes.Equal(c.OCSPStaple, old.OCSPStaple) {
			fresh := c.Certificate
			k.stored[name] = &fresh
		}
	}
	return k.stored[name]
}

// tend sees to it that certmagic has a certificate for a name, which it then renews.
func (k *Keeper) tend(name string) {
	for failed := 0; ; {
		wait, err := k.turn(name)
		if err != nil {
			wait = k.cfg.Retry[min(failed, len(k.cfg.Retry)-1)]
			failed++
			if k.ctx.Err() == nil {
				k.tell(name, err, wait)
			}
		}
		if wait == 0 || !k.rest(name, wait) {
			return
		}
	}
}

// rest waits, but no longer than until another Seawall that shares the storage has
// got the certificate. It says whether to go on.
func (k *Keeper) rest(name string, wait time.Duration) bool {
	end := time.Now().Add(wait)
	chain, _ := k.files(name)
	was := stamp.Of(chain)
	for left := wait; left > 0 && stamp.Of(chain) == was; left = time.Until(end) {
		select {
		case <-k.ctx.Done():
			return false
		case <-time.After(min(left, k.every())):
		}
	}
	return true
}

// turn does what is to be done for a name. It returns when to look again; 0: never,
// since certmagic does it from now on.
func (k *Keeper) turn(name string) (time.Duration, error) {
	_, err := k.magic.CacheManagedCertificate(k.ctx, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, &trouble{what: "what is kept for " + name + " cannot be used: " + lastly(err), cause: err,
			means: "the files in " + k.folder + " are damaged or may not be read; the authority is not asked for what is there",
			do:    "let Seawall's user read and write that folder, or move the folder " + name + " below its certificates away"}
	}
	if err != nil {
		k.mu.Lock()
		theirs := k.certbot.find(name)
		k.mu.Unlock()
		if theirs != nil && !givenUp(theirs.Leaf, time.Now()) {
			return k.every(), nil
		}
		select {
		case k.slots <- struct{}{}:
			defer func() { <-k.slots }()
		case <-k.ctx.Done():
			return 0, k.ctx.Err()
		}
		k.log.Info("asking the authority for a certificate", "name", name, "authority", authority(k.cfg.Directory))
		if err = k.magic.ObtainCertSync(k.ctx, name); err == nil {
			_, err = k.magic.CacheManagedCertificate(k.ctx, name)
		}
		if err == nil {
			k.log.Info("there is a certificate, and it is used", "name", name)
		}
	}
	if err != nil {
		return 0, err
	}
	k.mu.Lock()
	k.look(time.Now())
	k.mu.Unlock()
	// One that was due while Seawall was not running need not wait for the next look.
	return 0, k.cache.RenewManagedCertificates(k.ctx)
}

// Certificate is what a name is served with; nil where the name is none of ours.
// The name is in lower case. A nil Keeper has none.
func (k *Keeper) Certificate(name string) *tls.Certificate {
	if k == nil {
		return nil
	}
	return k.now.Load().byName[name]
}

// Has says whether a name has a certificate that browsers may believe.
func (k *Keeper) Has(name string) bool {
	c := k.Certificate(name)
	return c != nil && c != k.standIn
}

// First is for who asks for no name of ours, and Known the first name that Has one;
// "" none.
func (k *Keeper) First() *tls.Certificate {
	if k == nil {
		return nil
	}
	return k.now.Load().first
}

// Known is the first name that has a certificate; "" none.
func (k *Keeper) Known() string {
	if k == nil {
		return ""
	}
	return k.now.Load().known
}

// Wants says whether a name is among those to get a certificate for.
func (k *Keeper) Wants(name string) bool { return k != nil && k.names[strings.ToLower(name)] != nil }

// Ends says when each name's certificate ends; the zero time where there is none.
func (k *Keeper) Ends() map[string]time.Time {
	ends := map[string]time.Time{}
	if k == nil {
		return ends
	}
	for name, c := range k.now.Load().byName {
		ends[name] = time.Time{}
		if c != k.standIn {
			ends[name] = c.Leaf.NotAfter
		}
	}
	return ends
}
