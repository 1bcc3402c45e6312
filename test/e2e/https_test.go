package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certify writes a certificate for a name, signed by itself, and its key.
func certify(t *testing.T, dir, name string) (file, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	file, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for path, b := range map[string]*pem.Block{file: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: bytes}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file, key
}

// A site by HTTPS, from the configuration to the origin, with curl as its visitor:
// what the origin is told, cookies that stay within HTTPS, who comes in clear
// text, and a certificate that is renewed while visitors come.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, key := certify(t, dir, "example.org")
	o := newOrigin(t)
	w := start(t, config{"listen": config{"tls": config{
		"addresses": []string{"127.0.0.1:0"}, "certificates": []config{{"file": file, "key": key}}, "redirect": true, "hsts": "1h",
	}}}, o.url)
	t.Run("curl", func(t *testing.T) { askByCurl(t, w, o, file) })
	renewWhileVisited(t, w, dir)

	if out, _, code := w.command("check", "-c", w.file); code != 0 {
		t.Errorf("check: %d, %s", code, out)
	}
	if err := os.WriteFile(key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := w.command("check", "-c", w.file); code != 2 || !strings.Contains(out+errs, "listen.tls.certificates[0]") {
		t.Errorf("check, with a key that is none: %d, %s%s", code, out, errs)
	}
}

// askByCurl asks by both versions of TLS, and in clear text.
func askByCurl(t *testing.T, w *wall, o *origin, file string) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	_, port, _ := strings.Cut(w.secure, ":")
	curl := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("curl", append([]string{"-sS", "-i", "--max-time", "20", "-H", "Accept: text/html", "--cacert", file,
			"--connect-to", "example.org:" + port + ":" + w.secure}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	for _, version := range []string{"--tls-max", "--tlsv1.3"} {
		args := []string{version, "https://example.org:" + port + "/page"}
		if version == "--tls-max" {
			args = append([]string{version, "1.2"}, args[1:]...)
		}
		got := curl(args...)
		for _, want := range []string{"HTTP/2 200", "this is /page", "strict-transport-security: max-age=3600", "Secure"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is missing in:\n%s", version, want, got)
			}
		}
	}
	o.mu.Lock()
	for _, r := range o.seen {
		if r.URL.Path == "/page" && (r.Header.Get("X-Forwarded-Proto") != "https" || r.Host != "example.org:"+port) {
			t.Errorf("the origin is told %v, %s", r.Header, r.Host)
		}
	}
	o.mu.Unlock()
	if got := curl("-H", "Host: example.org", w.url("/page?x=1")); !strings.Contains(got, "307 Temporary Redirect") || !strings.Contains(got, "Location: https://example.org:"+port+"/page?x=1\r") {
		t.Errorf("in clear text:\n%s", got)
	}
}

// renewWhileVisited replaces the certificate, while somebody stays connected.
func renewWhileVisited(t *testing.T, w *wall, dir string) {
	t.Helper()
	serial := func() string {
		c, err := tls.Dial("tcp", w.secure, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	// A visitor stays connected meanwhile.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	visit := func() bool {
		resp, err := client.Get("https://" + w.secure + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == http.StatusOK
	}
	before := serial()
	certify(t, dir, "example.org")
	for end := time.Now().Add(30 * time.Second); serial() == before; time.Sleep(500 * time.Millisecond) { // no flood
		if time.Now().After(end) {
			t.Fatal("the renewed certificate is not used")
		}
		if !visit() {
			t.Error("a visitor is not served meanwhile")
		}
	}
	if !visit() {
		t.Error("a visitor who was connected before is not served")
	}
}
