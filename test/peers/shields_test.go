package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seawall/internal/kit/freeport"
)

const (
	ours    = "Seawall"
	nginx   = "nginx"
	haproxy = "HAProxy"
	page    = 1024 // bytes of the origin's page
)

// The one cipher suite and the one group that all are made to use. Seawall takes
// the suite by itself; it would take X25519MLKEM768 from who offers that, which
// the load does not.
const (
	suite = "TLS_AES_128_GCM_SHA256"
	group = "X25519"
)

// shield is one of those that are compared, with one worker.
type shield struct {
	*process
	name          string
	clear, secure string // host:port
}

// stand is an origin and three shields in front of it, all of which let everybody
// in or refuse everybody.
type stand struct {
	shields   []*shield
	processes []*process // theirs, and the origin's
	refuses   bool
	status    int // that is expected, and
	length    int // bytes of the body
}

// files are what the servers read.
type files struct{ dir, cert, key, both string }

func (f files) in(name string) string { return filepath.Join(f.dir, name) }

func (f files) write(t testing.TB, name, text string) string {
	t.Helper()
	if err := os.WriteFile(f.in(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return f.in(name)
}

// newFiles makes a folder with a certificate for ECDSA P-256.
func newFiles(t testing.TB) files {
	t.Helper()
	f := files{dir: t.TempDir()}
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, secret.Public(), secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	c := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	k := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	f.cert, f.key, f.both = f.write(t, "cert.pem", c), f.write(t, "key.pem", k), f.write(t, "both.pem", c+k)
	return f
}

// newStand starts an origin and the shields. Seawall is first: the others
// refuse as it does, with as many bytes.
func newStand(t testing.TB, at places, o options, refuses bool) *stand {
	t.Helper()
	f := newFiles(t)
	free, err := freeport.Loopback(8)
	if err != nil {
		t.Fatal(err)
	}
	origin := free[0]
	conf := f.write(t, "origin.conf", fmt.Sprintf(nginxFrame, f.dir, fmt.Sprintf(
		"server { listen %s; location / { default_type text/html; return 200 \"%s\"; } }", origin, strings.Repeat("o", page))))
	site := start(t, at, false, nil, where(t, "nginx"), "-p", f.dir, "-c", conf, "-e", f.in("origin.log"))
	site.listens(t, origin)

	s := &stand{processes: []*process{site}, refuses: refuses, status: 200, length: page}
	add := func(name string, env []string, program string, args ...string) *shield {
		n := 1 + 2*len(s.shields)
		p := &shield{name: name, clear: free[n], secure: free[n+1]}
		p.process = start(t, at, true, env, program, args...)
		p.listens(t, p.clear, p.secure)
		s.shields, s.processes = append(s.shields, p), append(s.processes, p.process)
		return p
	}
	wall := add(ours, []string{"GOMAXPROCS=1"}, o.program, "run", "-c",
		f.write(t, "seawall.yaml", seawallConfig(t, f, free[1], free[2], free[7], origin)))
	refusal := filler{path: f.in("refusal"), contentType: "text/plain"}
	if refuses {
		refuseAll(t, free[7], wall.clear)
		a, err := newVisitor(wall, http11, o.accept).ask()
		if err != nil {
			t.Fatal(err)
		}
		if a.status < 400 {
			t.Fatalf("who is to be refused is answered with %d", a.status)
		}
		s.status, s.length = a.status, a.length
		refusal.status, refusal.contentType = a.status, a.contentType
		refusal.text = strings.Repeat("r", a.length)
		f.write(t, "refusal", refusal.text)
	}
	add(nginx, nil, where(t, "nginx"), "-p", f.dir, "-e", f.in("nginx.log"), "-c",
		f.write(t, "nginx.conf", nginxConfig(f, free[3], free[4], origin, refusal)))
	add(haproxy, nil, where(t, "haproxy"), "-db", "-f",
		f.write(t, "haproxy.cfg", haproxyConfig(f, free[5], free[6], origin, refusal)))
	return s
}

// where finds a program. Debian puts servers where only root's path leads.
func where(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", program))
	}
	if err != nil {
		t.Skipf("%s is not installed", program)
	}
	return path
}

// seawallConfig is otherwise at the defaults. Where a single client sends a hundred
// thousand requests a second, it must say that this is usual here.
func seawallConfig(t testing.TB, f files, clear, secure, admin, origin string) string {
	t.Helper()
	type m = map[string]any
	text, err := json.Marshal(m{ // JSON is YAML
		"data": f.in("data"), "memory": "1GiB", "admin": m{"listen": admin}, "log": m{"level": "error"},
		"listen": m{
			"addresses": []string{clear}, "idle_timeout": "2m", "max_conns": most,
			"tls": m{"addresses": []string{secure}, "certificates": []m{{"file": f.cert, "key": f.key}}},
		},
		"proxy":   m{"origins": []m{{"url": "http://" + origin}}},
		"admit":   m{"rate": 1_000_000, "burst": 1_000_000},
		"defense": m{"baseline": m{"floor": 1_000_000}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// refuseAll makes Seawall refuse the page that the load asks for, as a person may
// order. A ban would cut the load's connections off before their handshake, and so
// would the machine's own after some refusals, where it knows of nobody behind an
// address: so somebody visits another page.
func refuseAll(t testing.TB, admin, clear string) {
	t.Helper()
	order, err := http.NewRequest("POST", "http://"+admin+"/api/v1/mitigations",
		strings.NewReader(`{"action": "refuse", "match": "path == \"/\""}`))
	if err != nil {
		t.Fatal(err)
	}
	order.Header.Set("Seawall-Admin", "1")
	resp, err := http.DefaultClient.Do(order)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the order to refuse is answered with %s", resp.Status)
	}
	person := &http.Client{Timeout: 20 * time.Second}
	if person.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		req, err := http.NewRequest("GET", "http://"+clear+"/another", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		resp, err := person.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || len(person.Jar.Cookies(req.URL)) == 0 {
			t.Fatalf("a visitor is answered with %s, and cookies %v", resp.Status, person.Jar.Cookies(req.URL))
		}
	}
}

// filler is a refusal as long as ours. Its path holds the text.
type filler struct {
	status                  int
	path, text, contentType string
}

// most is how many connections each of them has room for.
const most = 16_000

// nginxFrame takes a folder, and what stands in the block for HTTP. It ends no
// connection after a number of requests.
const nginxFrame = `daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid %[1]s/nginx.pid;
events { worker_connections 18000; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	keepalive_requests 1000000000;
	keepalive_timeout 120s;
	%[2]s
}
`

func nginxConfig(f files, clear, secure, origin string, r filler) string {
	location := `proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_pass http://site;`
	if r.text != "" {
		location = fmt.Sprintf("default_type %q;\n\t\t\treturn %d %q;", r.contentType, r.status, r.text)
	}
	// The frame is used for the origin too, with another file for its number.
	return strings.Replace(fmt.Sprintf(nginxFrame, f.dir, fmt.Sprintf(`upstream site { server %s; keepalive 256; keepalive_requests 1000000000; }
	server {
		listen %s;
		listen %s ssl http2;
		ssl_certificate %s;
		ssl_certificate_key %s;
		ssl_protocols TLSv1.3;
		ssl_ecdh_curve %s;
		ssl_conf_command Ciphersuites %s;
		location / {
			%s
		}
	}`, origin, clear, secure, f.cert, f.key, group, suite, location)), "nginx.pid", "shield.pid", 1)
}

// haproxyConfig takes fewer open files than two a connection, which HAProxy asks
// for and a machine may not give: idle connections have no other half.
func haproxyConfig(f files, clear, secure, origin string, r filler) string {
	refuse := ""
	if r.text != "" {
		refuse = fmt.Sprintf("http-request return status %d content-type %q file %q", r.status, r.contentType, r.path)
	}
	return fmt.Sprintf(`global
	nbthread 1
	maxconn %d
	no strict-limits
defaults
	mode http
	timeout connect 5s
	timeout client 120s
	timeout server 120s
	timeout http-keep-alive 120s
frontend front
	bind %s
	bind %s ssl crt %s ssl-min-ver TLSv1.3 ciphersuites %s curves %s alpn h2,http/1.1
	option forwardfor
	http-request set-header X-Forwarded-Proto %%[ssl_fc,iif(https,http)]
	%s
	default_backend site
backend site
	http-reuse always
	server site %s
`, most, clear, secure, f.both, suite, group, refuse, origin)
}
