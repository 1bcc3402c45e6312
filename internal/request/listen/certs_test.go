package listen

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seawall/internal/kit/clock"
)

func served(t *testing.T, h *house, a *authority, name string) int64 {
	t.Helper()
	c := h.handshake(t, a, name, func(c *tls.Config) { c.InsecureSkipVerify = true })
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// Each site has its certificate; whose name none has gets the first.
func TestCertificatesByName(t *testing.T) {
	a := newAuthority(t)
	h := start(t, tlsConfig(
		a.issue(t, 2, soon(), "example.org", "www.example.org"),
		a.issue(t, 3, soon(), "Example.net"),
		a.issue(t, 4, soon(), "*.example.com"),
	), testDoor{}, hello)
	for name, want := range map[string]int64{
		"example.org": 2, "WWW.example.org": 2, "example.net": 3, "shop.example.com": 4, "a.shop.example.com": 2, "example.com": 2, "": 2, "nobody.test": 2,
	} {
		if got := served(t, h, a, name); got != want {
			t.Errorf("%q gets certificate %d, not %d", name, got, want)
		}
	}
}

// Renewed files are used without a restart; what is wrong is not, and is told.
func TestCertificatesRenewed(t *testing.T) {
	a := newAuthority(t)
	one := a.issue(t, 2, soon(), "example.org")
	h := start(t, tlsConfig(one), testDoor{}, hello)
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))

	h.certs.refresh(time.Now(), log)
	if said.Len() > 0 {
		t.Errorf("nothing has changed, and it says: %s", &said)
	}
	later := time.Now().Add(10 * time.Second)
	a.issue(t, 3, soon(), "example.org")
	_ = os.Chtimes(one.File, later, later) // the clock of files may be coarse
	h.certs.refresh(time.Now(), log)
	if got := served(t, h, a, "example.org"); got != 3 || !strings.Contains(said.String(), "are used") {
		t.Errorf("certificate %d is served; said: %s", got, &said)
	}
	for what, spoil := range map[string]func(){
		"no PEM": func() { _ = os.WriteFile(one.File, []byte("nonsense"), 0o600) },
		"private key": func() {
			_, _ = os.ReadFile(one.File)
			a.issue(t, 4, soon(), "other.test")
			_ = os.Rename(filepath.Join(a.dir, "other.test.key"), one.Key)
		},
		"has ended":                 func() { a.issue(t, 5, time.Now().Add(-time.Minute), "example.org") },
		"no such file or directory": func() { _ = os.Remove(one.File) },
	} {
		a.issue(t, 3, soon(), "example.org")
		later = later.Add(10 * time.Second)
		_ = os.Chtimes(one.File, later, later)
		h.certs.refresh(time.Now(), log)
		said.Reset()
		spoil()
		later = later.Add(10 * time.Second)
		_ = os.Chtimes(one.File, later, later)
		_ = os.Chtimes(one.Key, later, later)
		h.certs.refresh(time.Now(), log)
		first := said.String()
		h.certs.refresh(time.Now(), log)
		if got := served(t, h, a, "example.org"); got != 3 || !strings.Contains(strings.ToLower(first), strings.ToLower(strings.TrimPrefix(what, "no PEM"))) || first == "" {
			t.Errorf("%s: certificate %d is served; said: %s", what, got, first)
		}
		if said.String() != first {
			t.Errorf("%s: it is said again: %s", what, &said)
		}
	}
}

// What is wrong with certificates stops the start, all of it at once.
func TestCertificatesThatCannotBe(t *testing.T) {
	a := newAuthority(t)
	good, ended := a.issue(t, 2, soon(), "example.org"), a.issue(t, 3, time.Now().Add(-time.Minute), "old.test")
	cfg := tlsConfig(good, Certificate{File: good.File, Key: ended.Key}, ended, Certificate{File: "/nowhere.pem", Key: "/nowhere.key"})
	got := cfg.CheckCertificates(time.Now()).Err().Error()
	for _, want := range []string{"certificates[1]: ", "certificates[2].file: ", "certificates[3]: ", "its own key", "has ended", "a file that is there"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	s := New(cfg, testDoor{}, &testWatcher{}, nil, clock.New(), slog.New(slog.DiscardHandler))
	if err := s.Listen(); err == nil {
		t.Error("it starts")
	}
	s.Close()
	for name, spoil := range map[string]func(*TLS){
		"tls.certificates":    func(c *TLS) { c.Certificates = nil },
		"tls.addresses":       func(c *TLS) { c.Addresses = nil },
		"tls.addresses[0]":    func(c *TLS) { c.Addresses[0] = "example.org" },
		"tls.certificates[0]": func(c *TLS) { c.Certificates[0].Key = "" },
		"tls.min_version":     func(c *TLS) { c.MinVersion = "1.1" },
		"tls.hsts":            func(c *TLS) { c.HSTS = -time.Second },
	} {
		c := tlsConfig(good)
		spoil(&c.TLS)
		if l := c.Validate(); len(l) != 1 || l[0].Key != name || l[0].Hint == "" {
			t.Errorf("%s: %v", name, l)
		}
	}
	only := tlsConfig(good)
	only.Addresses = nil
	if l := only.Validate(); len(l) > 0 {
		t.Errorf("HTTPS alone: %v", l)
	}
}

// One site's spoiled certificate keeps no other from being renewed, and is read
// again once its file may be.
func TestOneCertificateOfMany(t *testing.T) {
	a := newAuthority(t)
	one, two := a.issue(t, 2, soon(), "one.test"), a.issue(t, 3, soon(), "two.test")
	h := start(t, tlsConfig(one, two), testDoor{}, hello)
	log := slog.New(slog.DiscardHandler)
	if err := os.Rename(two.Key, two.Key+".away"); err != nil {
		t.Fatal(err)
	}
	a.issue(t, 4, soon(), "one.test")
	h.certs.refresh(time.Now(), log)
	if one, two := served(t, h, a, "one.test"), served(t, h, a, "two.test"); one != 4 || two != 3 {
		t.Errorf("certificates %d and %d are served", one, two)
	}
	// As if its rights had been mended: the file is what it was.
	if err := os.Rename(two.Key+".away", two.Key); err != nil {
		t.Fatal(err)
	}
	h.certs.mu.Lock()
	h.certs.read = h.certs.stamps()
	h.certs.mu.Unlock()
	h.certs.refresh(time.Now(), log)
	if h.certs.wrong != "" {
		t.Errorf("still wrong: %s", h.certs.wrong)
	}
	// A site whose certificate has ended is served, and so are the others.
	ended := a.issue(t, 5, time.Now().Add(-time.Minute), "ended.test")
	h = start(t, tlsConfig(one, ended), testDoor{}, hello)
	if one, two := served(t, h, a, "one.test"), served(t, h, a, "ended.test"); one != 4 || two != 5 {
		t.Errorf("certificates %d and %d are served", one, two)
	}
}
