package listen

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"seawall/internal/kit/freeport"
	"seawall/internal/mitigation"
	"seawall/internal/request/listen/acme"
	"seawall/internal/request/listen/acme/catest"
)

// Both proofs are given while the door lets nobody in, staging is asked first, and a
// restart asks nobody.
func TestACMEProofs(t *testing.T) {
	for name, change := range map[string]func(w *town, o *catest.Options){
		"HTTP-01":     func(w *town, o *catest.Options) { o.Secure = 0 },
		"TLS-ALPN-01": func(w *town, o *catest.Options) { w.cfg.Addresses, o.Plain = nil, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, 0)
			o := catest.Options{Plain: portOf(t, w.cfg.Addresses[0]), Secure: portOf(t, w.cfg.TLS.Addresses[0]), DNS: w.dns}
			change(w, &o)
			w.production, w.staging = catest.New(t, o), catest.New(t, o)
			w.cfg.TLS.ACME.Directory, w.cfg.TLS.ACME.Staging = w.production.Directory, w.staging.Directory
			w.trust(t)
			h, stop := w.open(t, lockedDoor())
			if w.certified(t) || h.CertificateEnds()[site] != (time.Time{}) {
				t.Error("there is a certificate from the start")
			}
			eventually(t, "a certificate", func() bool { return w.certified(t) })
			if w.staging.Orders() == 0 || w.production.Orders() == 0 {
				t.Errorf("%d orders at the staging directory, %d at the other", w.staging.Orders(), w.production.Orders())
			}
			if ends := h.CertificateEnds()[site]; time.Until(ends) < 89*24*time.Hour {
				t.Errorf("it ends at %v", ends)
			}
			answered := 0
			for _, v := range h.watch.all() {
				if v.verdict.Reason == mitigation.ReasonACME && v.outcome.Status == 200 {
					answered++
				}
			}
			if (answered > 0) != (name == "HTTP-01") {
				t.Errorf("%d answers in clear text", answered)
			}
			serial, orders := w.leaf(t).SerialNumber, w.production.Orders()+w.staging.Orders()
			stop()

			w.open(t, testDoor{})
			if got := w.leaf(t).SerialNumber; got.Cmp(serial) != 0 {
				t.Error("after a restart another certificate is served")
			}
			served200(t, w.dial(t))
			time.Sleep(500 * time.Millisecond)
			if n := w.production.Orders() + w.staging.Orders(); n != orders {
				t.Errorf("%d more orders after a restart", n-orders)
			}
		})
	}
}

// Visitors are served in clear text while there is no certificate, and moved to
// HTTPS after that. What nobody waits for goes the usual way.
func TestACMEMeanwhile(t *testing.T) {
	w := newTown(t, 0)
	w.cfg.TLS.Redirect = true
	w.dns.Set(site) // it has no address yet
	h, _ := w.open(t, testDoor{})
	sessions := tls.NewLRUClientSessionCache(1)
	resumes := func() bool {
		t.Helper()
		c := h.handshake(t, newAuthority(t), site, func(c *tls.Config) { c.InsecureSkipVerify, c.ClientSessionCache = true, sessions })
		served200(t, c)
		return c.ConnectionState().DidResume
	}
	get := func(path string) *http.Response {
		t.Helper()
		_, br := h.send(t, "GET "+path+" HTTP/1.1\r\nHost: "+site+"\r\nConnection: close\r\n\r\n")
		r, _ := answer(t, br, "GET")
		return r
	}
	eventually(t, "a word about the address", func() bool { return strings.Contains(w.log.String(), "has no address") })
	if r := get("/"); r.StatusCode != 200 {
		t.Errorf("while there is no certificate: %s", r.Status)
	}
	if n := w.staging.Orders() + w.production.Orders(); n != 0 {
		t.Errorf("%d orders for a name without an address", n)
	}
	if r := get(acme.Path + "nobody-waits"); r.StatusCode != 200 || r.Header.Get("Content-Type") == "application/octet-stream" {
		t.Errorf("a token that nobody waits for: %s", r.Status)
	}
	if resumes() || !resumes() {
		t.Error("a session with the stand-in cannot be resumed while there is no other")
	}
	w.dns.Set(site, "A 127.0.0.1")
	eventually(t, "a certificate", func() bool { return w.certified(t) })
	if resumes() || !resumes() {
		t.Error("a session with the stand-in outlives it, or one with the certificate is not resumed")
	}
	if r := get("/page"); r.StatusCode != 307 || !strings.HasPrefix(r.Header.Get("Location"), "https://"+site) {
		t.Errorf("with a certificate: %s to %s", r.Status, r.Header.Get("Location"))
	}
	// Who asks for the proof's protocol without there being one gets no connection.
	if c, err := tls.Dial("tcp", w.cfg.TLS.Addresses[0], &tls.Config{ServerName: site, InsecureSkipVerify: true, NextProtos: []string{acme.Protocol}}); err == nil {
		_ = c.Close()
		t.Error("a proof that nobody waits for is given")
	}
}

// A certificate is renewed in time, without a visitor's noticing.
func TestACMERenews(t *testing.T) {
	w := newTown(t, 12*time.Second)
	w.open(t, testDoor{})
	eventually(t, "a certificate", func() bool { return w.certified(t) })
	before := w.dial(t)
	first, staged := w.leaf(t), w.staging.Orders()
	eventually(t, "another certificate", func() bool { return w.leaf(t).SerialNumber.Cmp(first.SerialNumber) != 0 })
	if time.Now().After(first.NotAfter) {
		t.Error("it came after the first one's end")
	}
	if n := w.staging.Orders(); n != staged {
		t.Errorf("the staging directory was asked %d times more for a renewal", n-staged)
	}
	served200(t, before)
}

// What stands in the way is told so that a volunteer understands it, the site is
// served, and no limit at the authority is used up.
func TestACMETroubles(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, w *town)
		says  []string
	}{
		"CAA": {func(_ *testing.T, w *town) { w.dns.Set("example.test", `CAA 0 issue "other.test"`) },
			[]string{"allow other.test", "add the CAA record", "it was not asked"}},
		"unreachable": {func(_ *testing.T, w *town) { w.cfg.TLS.ACME.Directory = "https://127.0.0.1:1/dir" },
			[]string{"127.0.0.1 cannot be asked: connection refused", "curl -I"}},
		"unknown root": {func(_ *testing.T, w *town) { w.cfg.TLS.ACME.CAFile = "" },
			[]string{"ca_file"}},
		"staging refuses": {func(t *testing.T, w *town) {
			w.staging = catest.New(t, catest.Options{DNS: w.dns})
			w.cfg.TLS.ACME.Staging = w.staging.Directory
			w.trust(t)
		}, []string{"point the name's A and AAAA records"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, 0)
			c.spoil(t, w)
			w.open(t, testDoor{})
			eventually(t, "words about it", func() bool { return strings.Contains(w.log.String(), "no certificate could be had") })
			for _, want := range append(c.says, "warned by their browsers", "again=") {
				if !strings.Contains(w.log.String(), want) {
					t.Errorf("%q is not said", want)
				}
			}
			if n := w.production.Orders(); n != 0 {
				t.Errorf("%d orders at the authority", n)
			}
			conn := w.dial(t)
			served200(t, conn)
			if conn.ConnectionState().PeerCertificates[0].Subject.CommonName != "no certificate yet" {
				t.Error("the stand-in is not served")
			}
		})
	}
}

// certbot's certificate is served and the authority left alone, until certbot has
// plainly given up.
func TestACMEAdopts(t *testing.T) {
	w := newTown(t, 0)
	a := newAuthority(t)
	folder := filepath.Join(w.cfg.TLS.ACME.Certbot, "example.test")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	lay := func(serial int64, until time.Time) {
		c := a.issue(t, serial, until, "example.test", "*.example.test")
		later := time.Now().Add(time.Duration(serial) * time.Minute)
		for from, to := range map[string]string{c.File: "fullchain.pem", c.Key: "privkey.pem"} {
			to = filepath.Join(folder, to)
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
			_ = os.Chtimes(to, later, later)
		}
	}
	lay(7, time.Now().Add(31*24*time.Hour))
	w.open(t, testDoor{})
	if n := w.leaf(t).SerialNumber.Int64(); n != 7 {
		t.Errorf("certificate %d is served at once", n)
	}
	lay(8, time.Now().Add(80*24*time.Hour))
	eventually(t, "the renewed one", func() bool { return w.leaf(t).SerialNumber.Int64() == 8 })
	if n := w.production.Orders() + w.staging.Orders(); n != 0 {
		t.Errorf("%d orders meanwhile", n)
	}
	lay(9, time.Now().Add(10*time.Minute)) // of two hours and ten minutes
	eventually(t, "one of our own", func() bool { return w.certified(t) })
}

// Files and names to get certificates for stand together: files come first.
func TestACMEBesideFiles(t *testing.T) {
	w := newTown(t, 0)
	a := newAuthority(t)
	w.cfg.TLS.Certificates = []Certificate{a.issue(t, 7, soon(), "example.org")}
	w.cfg.TLS.ACME.Domains = []string{"example.org", site}
	w.dns.Set(site)
	h, _ := w.open(t, testDoor{})
	for name, want := range map[string]int64{"example.org": 7, "EXAMPLE.org.": 7, "other.test": 7, "": 7, site: 0} {
		c, err := h.certs.get(&tls.ClientHelloInfo{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Leaf.SerialNumber; want != 0 && got.Int64() != want || want == 0 && c.Leaf.Subject.CommonName != "no certificate yet" {
			t.Errorf("%q is served with %v, %s", name, got, c.Leaf.Subject)
		}
	}
	if ends := h.CertificateEnds(); len(ends) != 2 || ends["example.org"].IsZero() || !ends[site].IsZero() {
		t.Errorf("they end %v", ends)
	}
}

// Two Seawalls that share a storage answer for each other.
func TestACMEShared(t *testing.T) {
	w := newTown(t, 0)
	w.cfg.TLS.ACME.Storage = filepath.Join(t.TempDir(), "shared")
	other := *w // the authority reaches w
	at, err := freeport.Loopback(2)
	if err != nil {
		t.Fatal(err)
	}
	other.cfg.Addresses, other.cfg.TLS.Addresses = at[:1], at[1:]
	w.cfg.TLS.ACME.Retry = []time.Duration{time.Hour}
	w.dns.Set(site) // the first one gives up for an hour
	w.open(t, lockedDoor())
	eventually(t, "a word about the address", func() bool { return strings.Contains(w.log.String(), "has no address") })
	w.dns.Set(site, "A 127.0.0.1")
	other.open(t, testDoor{})
	eventually(t, "a certificate", func() bool { return other.certified(t) })
	eventually(t, "the same one at the first", func() bool { return w.certified(t) })
}

// An authority that never answers keeps nobody from stopping Seawall, and nothing
// goes on after that.
func TestACMEEnds(t *testing.T) {
	w := newTown(t, 0)
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	w.cfg.TLS.ACME.Directory = "https://" + mute.Addr().String() + "/dir"
	_, stop := w.open(t, testDoor{})
	eventually(t, "a try", func() bool { return strings.Contains(w.log.String(), "asking the authority") })
	began := time.Now()
	stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	eventually(t, "the end of all goroutines", func() bool {
		all := make([]byte, 1<<20)
		all = all[:runtime.Stack(all, true)]
		for one := range strings.SplitSeq(string(all), "\n\n") {
			// certmagic's limiter of its own rate never ends; there is one for each authority.
			if (strings.Contains(one, "certmagic.") || strings.Contains(one, "listen/acme.(")) && !strings.Contains(one, "RateLimiter") {
				return false
			}
		}
		return true
	})
}
