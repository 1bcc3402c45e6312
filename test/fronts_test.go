package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// example returns the one fence of a page that has this info and holds this.
func example(t *testing.T, name, info, holds string) string {
	t.Helper()
	for _, f := range page(t, name).fence {
		if f.info == info && strings.Contains(f.text(), holds) {
			return f.text()
		}
	}
	t.Fatalf("%s has no example in %s with %q", name, info, holds)
	return ""
}

// certificate writes a certificate for www.example.org and its key into a
// folder, apart and together.
func certificate(t *testing.T, dir string) (cert, key, both string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"www.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	c := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	k := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	cert, key, both = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "both.pem")
	for name, text := range map[string][]byte{cert: c, key: k, both: append(c, k...)} {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, both
}

// visitor is a browser at a loopback address, which asks one front for
// everything and checks no certificate.
func visitor(t *testing.T, from, front string) *http.Client {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", front)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// behind checks that a Seawall behind a front knows who asks, and that they use
// HTTPS.
func behind(t *testing.T, s live, front string) {
	t.Helper()
	one, two := visitor(t, "127.0.0.2", front), visitor(t, "127.0.0.3", front)
	const url = "https://www.example.org/"
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	status, head, body := 0, http.Header{}, ""
	for ctx.Err() == nil && status == 0 {
		if status, head, body = get(ctx, one, url); status == 0 {
			time.Sleep(20 * time.Millisecond) // the front may be starting
		}
	}
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	if c := head.Get("Set-Cookie"); !strings.Contains(c, "; Secure") {
		t.Errorf("Seawall does not know that visitors use HTTPS: Set-Cookie %q", c)
	}
	s.command(t, "ban", "127.0.0.2")
	if status, head, _ := get(ctx, one, url); status != http.StatusForbidden || head.Get("Seawall-Ref") == "" {
		t.Errorf("a banned address is answered with %d", status)
	}
	if status, _, _ := get(ctx, two, url); status != http.StatusOK {
		t.Errorf("its neighbour is answered with %d", status)
	}
}

// testNginx: the README's lines for nginx do what the README says.
func testNginx(t *testing.T, program string) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	s := startLive(t, program, example(t, "README.md", "yaml", "trusted_proxies: [loopback]"))
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // workers run as somebody else
		t.Fatal(err)
	}
	cert, key, _ := certificate(t, dir)
	front := freeAddress(t)
	text := strings.NewReplacer(
		"listen 443", "listen "+front, "127.0.0.1:8080", s.serve,
		"/etc/letsencrypt/live/www.example.org/fullchain.pem", cert,
		"/etc/letsencrypt/live/www.example.org/privkey.pem", key,
	).Replace(example(t, "README.md", "nginx", "proxy_pass"))
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte("daemon off;\npid "+dir+"/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"+text+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, nginx, "-e", "stderr", "-p", dir, "-c", conf)
	behind(t, s, front)
}

// testHAProxy: the lines for HAProxy with the PROXY protocol do what the page
// says.
func testHAProxy(t *testing.T, program string) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	s := startLive(t, program, example(t, "docs/configuration.md", "yaml", "proxy_protocol: required"))
	dir := t.TempDir()
	_, _, both := certificate(t, dir)
	front := freeAddress(t)
	text := strings.NewReplacer(
		"bind :443", "bind "+front, "127.0.0.1:8080", s.serve,
		"/etc/haproxy/www.example.org.pem", both,
	).Replace(example(t, "docs/configuration.md", "haproxy", "send-proxy-v2"))
	conf := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(conf, []byte("defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, haproxy, "-db", "-f", conf)
	behind(t, s, front)
}
