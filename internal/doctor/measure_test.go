package doctor

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes this program a stand-in for Seawall where it is started as one:
// `seawall doctor` with the real one is tested beside the commands.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "stand-in" {
		standIn(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

// standIn refuses and serves as it is asked, or fails in a way of its own.
func standIn(how string) {
	if how == "ends" {
		fmt.Fprintln(os.Stderr, "no port is free")
		os.Exit(1)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	addr := l.Addr().String()
	if how == "abroad" {
		addr = "198.51.100.7:80"
	}
	fmt.Printf("some line\nseawall: ready http://%s admin http://127.0.0.1:1\n", addr)
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:errcheck // it ends with the process
		switch who := r.Header.Get("X-Forwarded-For"); {
		case how == "lets all in" || who == letIn:
			answer(w, r)
		default:
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
}

func measured(t *testing.T, how string) Measured {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e := healthy()
	e.Executable = self
	e.Shield = func(s ShieldSpec) ([]string, error) {
		if s.Allow == "" || s.Deny == "" || !strings.HasPrefix(s.Origin, "http://127.0.0.1:") {
			return nil, fmt.Errorf("told %+v", s)
		}
		return []string{"stand-in", how}, nil
	}
	var said []string
	e.Progress = func(what string) { said = append(said, what) }
	m := measure(t.Context(), e, 20*time.Millisecond)
	if len(said) != 4 {
		t.Errorf("what takes a while was told as %q", said)
	}
	return m
}

func TestMeasure(t *testing.T) {
	m := measured(t, "well")
	if m.Failed != nil || m.Drop != 10e6 || m.Refuse <= 0 || m.Serve <= 0 || m.TLSECDSA <= 0 || m.TLSRSA <= 0 {
		t.Fatalf("%+v", m)
	}
	list := m.findings(2)
	expect(t, list, Good, "100 ns to drop a packet from a blocked source: 10,000,000 packets/s at most")
	for _, what := range []string{"refuses ", "passes on "} {
		expect(t, list, Good, what)
	}
	expect(t, list, Good, "TLS connections/s with an ECDSA key")
}

func TestMeasureFails(t *testing.T) {
	for how, why := range map[string]string{
		"ends":        "Seawall ended at once: no port is free",
		"abroad":      "not loopback",
		"lets all in": "Seawall answers 200 where it should 403",
	} {
		m := measured(t, how)
		if !contains(m.Failed["requests"], why) {
			t.Errorf("%s: %q", how, m.Failed)
		}
		expect(t, m.findings(1), Missing, "requests refused and served could not be measured")
	}
	e := healthy()
	e.Kernel = stub{probe: errors.New("no")}
	if m := measure(t.Context(), e, time.Millisecond); m.Failed["drop"] != "no" {
		t.Errorf("%+v", m)
	}
	write(e.Proc, "self/status", "CapEff:\t0000000000000000\n")
	if m := measure(t.Context(), e, time.Millisecond); !contains(m.Failed["drop"], "no right") {
		t.Errorf("%+v", m)
	}
}

func TestHandshakes(t *testing.T) {
	a, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []signer{a, b} {
		n, err := handshakes(t.Context(), key, 5*time.Millisecond)
		if err != nil || n < 1 || n > 1e6 {
			t.Errorf("%T: %v a second: %v", key, n, err)
		}
	}
}

func TestReadAnswer(t *testing.T) {
	for _, c := range []struct {
		text   string
		status int
		keep   bool
		fails  bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, true, false},
		{"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", 403, false, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, false, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 0, false, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", 0, false, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 0, false, true},
		{"HTTP/1.1 abc OK\r\n\r\n", 0, false, true},
		{"what?\r\n\r\n", 0, false, true},
		{"", 0, false, true},
	} {
		status, keep, err := readAnswer(bufio.NewReader(strings.NewReader(c.text)))
		if (err != nil) != c.fails || err == nil && (status != c.status || keep != c.keep) {
			t.Errorf("%q: %d, %v, %v", c.text, status, keep, err)
		}
	}
}

// What this machine itself says can be read, with whatever rights the test has.
func TestThisMachine(t *testing.T) {
	links, err := MachineLinks()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, l := range links {
		if l.Name == "" || l.Index == 0 {
			t.Errorf("%+v", l)
		}
		found = found || l.Loopback && l.Name == "lo" && !l.Ethernet && l.MTU > 1000
	}
	if !found {
		t.Errorf("no loopback interface in %+v", links)
	}
	r, err := Examine(t.Context(), Env{Proc: os.DirFS("/proc"), Sys: os.DirFS("/sys"), Links: MachineLinks}, Options{Quick: true})
	if err != nil || len(r.Findings) < 10 {
		t.Errorf("%v:%s", err, show(r.Findings))
	}
}

func TestNested(t *testing.T) {
	for _, b := range [][]byte{nil, {1}, {3, 0, 1, 0}, {255, 255, 1, 0}, {5, 0, 1, 0}, {5, 0, 1, 0, 9}, {4, 0, 1, 0, 0}} {
		nested(b) // it ends
	}
	got := nested(append(attribute(7, []byte("abc")), attribute(8, []byte{1, 2, 3, 4})...))
	if string(got[7]) != "abc" || len(got[8]) != 4 {
		t.Errorf("%v", got)
	}
}
