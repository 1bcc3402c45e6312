package app

import (
	"net"
	"os"
	"strings"
	"testing"

	"seawall/internal/config"
	"seawall/internal/kit/handover"
)

// A socket is found by the address that a configuration names, however that is
// written, and by its name where the port was the kernel's choice.
func TestTakeSockets(t *testing.T) {
	for _, c := range []struct {
		listens, name, address string
		want                   bool
	}{
		{"127.0.0.1:0", "web", "127.0.0.1:PORT", true},
		{"127.0.0.1:0", "web", "localhost:PORT", true},
		{"127.0.0.1:0", "web", "127.0.0.2:PORT", false},
		{"127.0.0.1:0", "web", ":PORT", false},
		{"127.0.0.1:0", "web", "127.0.0.1:1", false},
		{"127.0.0.1:0", "web", "127.0.0.1:0", false},
		{"127.0.0.1:0", "listen 127.0.0.1:0", "127.0.0.1:0", true},
		{"127.0.0.1:0", "admin 127.0.0.1:0", "127.0.0.1:0", false},
		{"[::]:0", "web", ":PORT", true},
		{"[::]:0", "web", "0.0.0.0:PORT", true},
		{"[::]:0", "web", "[::]:PORT", true},
		{"[::]:0", "web", "127.0.0.1:PORT", false},
	} {
		l, err := net.Listen("tcp", c.listens)
		if err != nil {
			t.Fatal(err)
		}
		f, err := handover.Copy(l.(*net.TCPListener), c.name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := socketsOf([]*os.File{f}, true)
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		address := strings.Replace(c.address, "PORT", port, 1)
		got := s.take(forVisitors, address)
		if (got != nil) != c.want {
			t.Errorf("%+v: %v", c, got)
		}
		if again := s.take(forVisitors, address); again != nil {
			t.Errorf("%+v was taken twice", c)
		}
		if stray := s.stray(&config.Config{}); (stray == nil) != c.want {
			t.Errorf("%+v: %v", c, stray)
		}
		if got != nil {
			got.Close()
		}
		s.close()
		l.Close()
	}
}

// What cannot be served on is an error, not a silent loss.
func TestUselessSockets(t *testing.T) {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	f, err := handover.Copy(u.(*net.UDPConn), "quic")
	if err != nil {
		t.Fatal(err)
	}
	s, err := socketsOf([]*os.File{f}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if s.take(forVisitors, u.LocalAddr().String()) != nil {
		t.Error("a UDP socket was taken for TCP")
	}
	if err := s.stray(&config.Config{}); err == nil || !strings.Contains(err.Error(), "UDP socket at "+u.LocalAddr().String()+" (quic)") {
		t.Errorf("%v", err)
	}
	for name, file := range map[string]func() (*os.File, error){
		"a file": func() (*os.File, error) { return os.Open("/dev/null") },
		"a connection": func() (*os.File, error) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			defer l.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return nil, err
			}
			defer c.Close()
			return handover.Copy(c.(*net.TCPConn), "c")
		},
	} {
		f, err := file()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := socketsOf([]*os.File{f}, true); err == nil {
			t.Errorf("%s is taken for a listening socket", name)
		}
		f.Close()
	}
}
