package storm

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// certificate is one for a name, signed by itself.
func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// recorder speaks TLS and counts the frames of HTTP/2 that it is sent, by kind. It
// never answers.
type recorder struct {
	mu     sync.Mutex
	frames map[http2.FrameType]int
	most   map[http2.FrameType]int // bytes of the largest payload
}

func (r *recorder) frame(kind http2.FrameType, size int) {
	r.mu.Lock()
	r.frames[kind]++
	r.most[kind] = max(r.most[kind], size)
	r.mu.Unlock()
}

func record(t *testing.T) (*recorder, Target) {
	t.Helper()
	r := &recorder{frames: map[http2.FrameType]int{}, most: map[http2.FrameType]int{}}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t, "site")}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.read(c)
		}
	}()
	return r, target(l.Addr(), l.Addr())
}

func (r *recorder) read(c net.Conn) {
	defer c.Close()
	br := bufio.NewReaderSize(c, 64<<10)
	if _, err := br.Discard(len(http2.ClientPreface)); err != nil {
		return
	}
	for {
		h, err := http2.ReadFrameHeader(br)
		if err != nil {
			return
		}
		if _, err := br.Discard(int(h.Length)); err != nil {
			return
		}
		r.frame(h.Type, int(h.Length))
	}
}

func target(clear, secure net.Addr) Target {
	return Target{
		Clear: clear.(*net.TCPAddr).AddrPort(), Secure: secure.(*net.TCPAddr).AddrPort(), Host: "site",
		Page: "/", Large: "/large", Sink: "/sink", Socket: "/socket", Hidden: "/hidden",
	}
}

// server is an ordinary one, in clear text and by TLS, as a stand-in.
type server struct {
	requests, hidden, many atomic.Int64
	sunk                   atomic.Int64 // bytes of bodies
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	switch r.URL.Path {
	case "/hidden":
		s.hidden.Add(1)
	case "/large":
		if len(r.Header.Get("Range")) > 100 {
			s.many.Add(1)
		}
		_, _ = w.Write(make([]byte, 1<<20))
	case "/sink":
		b := make([]byte, 4096)
		for {
			n, err := r.Body.Read(b)
			s.sunk.Add(int64(n))
			if err != nil {
				break
			}
		}
	case "/socket":
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			go func() {
				n, _ := io.Copy(io.Discard, c)
				s.sunk.Add(n)
				c.Close()
			}()
		}
	}
}

func serve(t *testing.T) (*server, Target) {
	t.Helper()
	s := &server{}
	clear, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: s, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate(t, "site")}}, ErrorLog: quiet()}
	t.Cleanup(func() { h.Close() })
	go func() { _ = h.Serve(clear) }()
	go func() { _ = h.ServeTLS(secure, "", "") }()
	to := target(clear.Addr(), secure.Addr())
	to.QUIC = netip.MustParseAddrPort("127.0.0.1:9")
	return s, to
}
