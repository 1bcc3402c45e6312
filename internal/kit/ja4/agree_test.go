package ja4

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pipe hands a server what a client has sent, and swallows the answer.
type pipe struct {
	net.Conn
	in io.Reader
}

func (p pipe) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p pipe) Write(b []byte) (int, error) { return len(b), nil }
func (p pipe) Close() error                { return nil }

var errSeen = errors.New("seen")

// records wraps a handshake message.
func records(msg []byte) (b []byte) {
	for len(msg) > 0 {
		part := msg[:min(len(msg), 16<<10)]
		b = append(append(b, 22, 3, 1), vector16(part)...)
		msg = msg[len(part):]
	}
	return b
}

// byTLS says what crypto/tls makes of a hello; false where it takes none.
func byTLS(sent []byte) (p Print, err error, taken bool) {
	c := tls.Server(pipe{in: bytes.NewReader(sent)}, &tls.Config{
		GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
			p, err = OfInfo(i, TCP)
			taken = true
			return nil, errSeen
		},
	})
	_ = c.Handshake()
	return p, err, taken
}

// messageIn takes the handshake message out of its records.
func messageIn(t testing.TB, sent []byte) (msg []byte) {
	t.Helper()
	for len(sent) >= 5 {
		n := int(sent[3])<<8 | int(sent[4])
		if sent[0] != 22 || len(sent) < 5+n {
			t.Fatalf("no handshake: % x", sent[:5])
		}
		msg, sent = append(msg, sent[5:5+n]...), sent[5+n:]
	}
	return msg
}

func agree(t *testing.T, name string, sent []byte) string {
	t.Helper()
	p, err := OfMessage(messageIn(t, sent), TCP)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	q, err, taken := byTLS(sent)
	if err != nil || !taken || p != q {
		t.Fatalf("%s: by the message %s, by crypto/tls %s (%v)", name, p, q, err)
	}
	return p.String()
}

// sentBy listens, and returns what a client sends first.
func sentBy(t *testing.T, start func(addr string)) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go start(l.Addr().String())
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	head := make([]byte, 5)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

func TestRealClients(t *testing.T) {
	for name, change := range map[string]func(*tls.Config){
		"Go":         func(*tls.Config) {},
		"Go 1.2":     func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"Go h2":      func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} },
		"no name":    func(c *tls.Config) { c.ServerName = "" },
		"few suites": func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12; c.CipherSuites = []uint16{0xc02f} },
	} {
		sent := sentBy(t, func(addr string) {
			cfg := &tls.Config{ServerName: "example.org", InsecureSkipVerify: true}
			change(cfg)
			if c, err := tls.Dial("tcp", addr, cfg); err == nil {
				c.Close()
			}
		})
		t.Logf("%-10s %s", name, agree(t, name, sent))
	}
}

func TestOtherPrograms(t *testing.T) {
	for name, args := range map[string][]string{
		"openssl":      {"openssl", "s_client", "-servername", "example.org", "-connect"},
		"openssl 1.2":  {"openssl", "s_client", "-tls1_2", "-noservername", "-connect"},
		"openssl alpn": {"openssl", "s_client", "-alpn", "h2,http/1.1", "-connect"},
		"curl":         {"curl", "-sk", "--max-time", "5", "https://"},
		"curl 1.1":     {"curl", "-sk", "--http1.1", "--max-time", "5", "https://"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(args[0]); err != nil {
				t.Skipf("%s is not installed", args[0])
			}
			sent := sentBy(t, func(addr string) {
				arg := append([]string(nil), args[1:]...)
				if last := len(arg) - 1; strings.HasSuffix(arg[last], "//") {
					arg[last] += addr
				} else {
					arg = append(arg, addr)
				}
				_ = exec.Command(args[0], arg...).Run() // it is cut off
			})
			t.Log(agree(t, name, sent))
		})
	}
}

// TestRecorded holds hellos that programs sent to us once to the fingerprints that
// they had.
func TestRecorded(t *testing.T) {
	for _, one := range recorded(t) {
		if got := agree(t, one.name, one.sent); got != one.want {
			t.Errorf("%s: %s, want %s", one.name, got, one.want)
		}
	}
}

type recording struct {
	name, want string
	sent       []byte
}

func recorded(t testing.TB) (list []recording) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "hellos.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] == "#" {
			continue
		}
		sent, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, recording{f[0], f[1], sent})
	}
	if len(list) == 0 {
		t.Fatal("no recordings")
	}
	return list
}

// FuzzAgreesWithTLS: what crypto/tls takes, OfMessage takes, with the same result,
// but for what doc.go names.
func FuzzAgreesWithTLS(f *testing.F) {
	for _, one := range recorded(f) {
		f.Add(messageIn(f, one.sent))
	}
	f.Add(chrome(f).message())
	f.Add(offer{legacy: 0x0301}.message())
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) > 60<<10 {
			return
		}
		p, err := OfMessage(msg, TCP)
		if err == nil {
			for _, c := range p[:10] {
				if !alphanumeric(c) {
					t.Fatalf("%q", p)
				}
			}
			if p[10] != '_' || p[23] != '_' || bytes.IndexByte(p[:], 0) >= 0 {
				t.Fatalf("%q", p)
			}
		}
		if len(msg) < 4 || int(msg[1])<<16|int(msg[2])<<8|int(msg[3]) != len(msg)-4 {
			return // crypto/tls takes what is beyond for another message
		}
		q, infoErr, taken := byTLS(records(msg))
		if !taken {
			return
		}
		switch {
		case errors.Is(err, ErrTooMany) && errors.Is(infoErr, ErrTooMany):
		case err != nil && len(msg) > 38 && msg[38] > mostSessionID:
			// crypto/tls lets a session have any length.
		case err != nil || infoErr != nil:
			t.Fatalf("by the message %v, by crypto/tls %v", err, infoErr)
		case p != q:
			p[1], p[2], q[1], q[2] = 0, 0, 0, 0
			legacy := int(msg[4])<<8 | int(msg[5])
			if p != q || legacy >= 0x0301 && legacy <= 0x0304 {
				t.Fatalf("by the message %s, by crypto/tls %s", p, q)
			}
		}
	})
}
