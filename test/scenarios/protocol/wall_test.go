package protocol

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"seawall/test/scenarios/protocol/storm"
)

// program is what is under test, built once; work is a folder for all tests.
var program, work string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "seawall-protocol")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		work, program = dir, filepath.Join(dir, "seawall")
		build := exec.Command("go", "build", "-o", program, "seawall/cmd/seawall")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// host is the site's name.
const host = "site.example"

// certify writes a certificate for host, signed by itself, and its key.
func certify(t testing.TB, dir string) (file, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host},
		DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	file, key = filepath.Join(dir, "site.pem"), filepath.Join(dir, "site.key")
	for path, b := range map[string]*pem.Block{file: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file, key
}

// ceiling is the memory that Seawall is told to keep within.
const ceiling = 128 << 20

// config is a configuration as YAML would have it.
type config = map[string]any

// wall is a running Seawall.
type wall struct {
	cmd           *exec.Cmd
	clear, secure netip.AddrPort
	admin         string
	log           *said
	ended         chan struct{} // closed when the program has ended
}

// said is a buffer that several goroutines may use. It keeps the beginning.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b.Len() < 64<<10 {
		s.b.Write(p)
	}
	return len(p), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start runs Seawall in front of an origin. Times that are set hold for heads,
// bodies and answers; more settings go beside the usual ones.
func start(t testing.TB, origin string, patience time.Duration, more ...config) *wall {
	t.Helper()
	dir := t.TempDir()
	file, key := certify(t, dir)
	listen := config{"addresses": []string{"127.0.0.1:0"}, "tls": config{
		"addresses": []string{"127.0.0.1:0"}, "certificates": []config{{"file": file, "key": key}},
	}}
	if patience > 0 {
		listen["head_timeout"], listen["grace"] = patience.String(), patience.String()
	}
	settings := config{
		"data": filepath.Join(dir, "data"), "memory": fmt.Sprintf("%dMiB", ceiling>>20),
		"admin":  config{"listen": "127.0.0.1:0"},
		"listen": listen,
		"proxy":  config{"origins": []config{{"url": "http://" + origin}}},
	}
	for _, m := range more {
		if m["http3"] == true { // one of HTTPS's settings
			listen["tls"].(config)["http3"] = true
			continue
		}
		maps.Copy(settings, m)
	}
	text, err := json.Marshal(settings) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "seawall.yaml")
	if err := os.WriteFile(conf, text, 0o600); err != nil {
		t.Fatal(err)
	}
	w := &wall{cmd: exec.Command(program, "run", "-c", conf), log: &said{}, ended: make(chan struct{})}
	w.cmd.Stderr = w.log
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(w.ended)
		r := bufio.NewReader(out)
		line, _ := r.ReadString('\n')
		ready <- line
		_, _ = io.Copy(io.Discard, r)
		_ = w.cmd.Wait()
	}()
	t.Cleanup(w.end)
	line := <-ready
	found := regexp.MustCompile(`^seawall: ready http://(\S+) https://(\S+) admin http://(\S+)\n$`).FindStringSubmatch(line)
	if found == nil {
		t.Fatalf("not ready: %q\n%s", line, w.log)
	}
	w.clear, w.secure, w.admin = netip.MustParseAddrPort(found[1]), netip.MustParseAddrPort(found[2]), found[3]
	return w
}

// end ends it at once.
func (w *wall) end() {
	_ = w.cmd.Process.Signal(syscall.SIGKILL)
	<-w.ended
}

func (w *wall) runs() bool {
	select {
	case <-w.ended:
		return false
	default:
		return true
	}
}

// target is where attacks go.
func (w *wall) target() storm.Target {
	return storm.Target{Clear: w.clear, Secure: w.secure, Host: host,
		Page: "/", Large: "/large", Sink: "/sink", Socket: "/socket", Hidden: "/hidden"}
}

// speaks says whether TLS at an address settles on a protocol.
func speaks(t testing.TB, at netip.AddrPort, protocol string) bool {
	t.Helper()
	c, err := tls.Dial("tcp", at.String(), &tls.Config{ServerName: host, InsecureSkipVerify: true, NextProtos: []string{protocol, "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().NegotiatedProtocol == protocol
}

// speaksQUIC says whether anybody listens there by UDP: the kernel says at once
// that nobody does.
func speaksQUIC(t testing.TB, at netip.AddrPort) bool {
	t.Helper()
	c, err := net.Dial("udp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(200 * time.Millisecond))
	_, _ = c.Write([]byte{0})
	_, err = c.Read(make([]byte, 1500))
	var timeout net.Error
	return err == nil || errors.As(err, &timeout) && timeout.Timeout()
}
