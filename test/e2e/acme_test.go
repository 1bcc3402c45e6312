package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"seawall/internal/kit/freeport"
	"seawall/internal/request/listen/acme/catest"
)

// The whole program gets a certificate while its door lets nobody in, keeps it over
// a restart, and resumes sessions from before.
func TestCertificateByItself(t *testing.T) {
	const site = "www.example.test"
	at, err := freeport.Loopback(2)
	if err != nil {
		t.Fatal(err)
	}
	port := func(address string) int {
		_, p, _ := net.SplitHostPort(address)
		n, _ := strconv.Atoi(p)
		return n
	}
	dns := catest.NewDNS(t, site)
	ca := catest.New(t, catest.Options{Plain: port(at[0]), Secure: port(at[1]), DNS: dns})
	o := newOrigin(t)
	acme := config{"domains": []string{site}, "directory": ca.Directory, "ca_file": ca.RootFile, "resolvers": []string{dns.Addr}, "certbot": ""}
	settings := config{
		"listen": config{"addresses": at[:1], "tls": config{"addresses": at[1:], "acme": acme}},
		"admit":  config{"deny": []string{"127.0.0.0/8"}},
	}
	w := start(t, settings, o.url)

	sessions := tls.NewLRUClientSessionCache(1)
	visit := func() (certified, resumed bool) {
		t.Helper()
		tr := &http.Transport{DisableKeepAlives: true, DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return tls.Dial("tcp", w.secure, &tls.Config{ServerName: site, InsecureSkipVerify: true, ClientSessionCache: sessions})
		}}
		resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Get("https://" + site + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Fatalf("the door lets in: %s", resp.Status)
		}
		state := *resp.TLS
		_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: site, Roots: ca.Roots, Intermediates: pool(state.PeerCertificates)})
		return err == nil, state.DidResume
	}
	until(t, 30*time.Second, "a certificate", func() bool { return strings.Contains(w.log.String(), "there is a certificate") })
	o.mu.Lock()
	for _, r := range o.seen {
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			t.Errorf("the origin was asked for %s", r.URL.Path)
		}
	}
	o.mu.Unlock()
	if left := w.metrics()["seawall_tls_certificate_expiry_seconds"].GetMetric()[0].GetGauge().GetValue(); left < 80*24*3600 {
		t.Errorf("the certificate ends in %v s", left)
	}
	for _, secret := range []string{"tickets", "acme"} {
		if info, err := os.Stat(filepath.Join(w.data, secret)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", secret, info, err)
		}
	}

	orders := ca.Orders()
	if ok, resumed := visit(); !ok || resumed {
		t.Errorf("the certificate is served: %v; resumed: %v", ok, resumed)
	}
	w.signal(syscall.SIGTERM)
	if err := w.wait(20 * time.Second); err != nil {
		t.Errorf("it ended with %v", err)
	}
	w.run()
	if ok, resumed := visit(); !ok || !resumed {
		t.Errorf("after a restart: certificate %v, resumed %v", ok, resumed)
	}
	if n := ca.Orders(); n != orders {
		t.Errorf("%d more orders after a restart", n-orders)
	}

	if out, errs, code := w.command("check", "-c", w.file); code != 0 {
		t.Errorf("check: %d, %s%s", code, out, errs)
	}
	acme["domains"] = []string{site, "*.example.test"}
	w.write(settings, o.url)
	if out, errs, code := w.command("check", "-c", w.file); code != 2 || !strings.Contains(out+errs, "listen.tls.acme.domains[1]") {
		t.Errorf("check, with an asterisk: %d, %s%s", code, out, errs)
	}
	acme["domains"] = []string{site, "shop.example.test"}
	w.write(settings, o.url)
	w.signal(syscall.SIGHUP)
	until(t, 5*time.Second, "a word that this needs a restart", func() bool { return strings.Contains(w.log.String(), "restart Seawall") })
}

func pool(list []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range list[1:] {
		p.AddCert(c)
	}
	return p
}
