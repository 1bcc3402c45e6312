package doctor

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

type signer = crypto.Signer

// handshakes measures how many full handshakes a server with this key does in a
// second of processor time. Client and server speak over a pipe; only the time of
// the server's own thread counts.
func handshakes(ctx context.Context, key signer, during time.Duration) (float64, error) {
	name := "seawall.invalid"
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return 0, fmt.Errorf("measure TLS handshakes: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return 0, fmt.Errorf("measure TLS handshakes: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, SessionTicketsDisabled: true}
	client := &tls.Config{RootCAs: roots, ServerName: name}

	// The thread's clock counts this goroutine's work only while it keeps the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun, done := threadTime(), 0
	for end := time.Now().Add(during); done == 0 || time.Now().Before(end) && ctx.Err() == nil; done++ {
		if err := handshake(server, client); err != nil {
			return 0, fmt.Errorf("measure TLS handshakes: %w", err)
		}
	}
	used := threadTime() - begun
	if used <= 0 {
		return 0, fmt.Errorf("measure TLS handshakes: the clock of this thread stands still")
	}
	return float64(done) / used.Seconds(), nil
}

// handshake is one, the server's side on this goroutine.
func handshake(server, client *tls.Config) error {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	failed := make(chan error, 1)
	go func() {
		c := tls.Client(b, client)
		err := c.Handshake()
		if err != nil {
			b.Close() // or the server would wait
		}
		failed <- err
	}()
	err := tls.Server(a, server).Handshake()
	if err != nil {
		a.Close() // or the client would
	}
	if other := <-failed; err == nil {
		err = other
	}
	return err
}

// threadTime is the processor time of the calling thread.
func threadTime() time.Duration { return clockTime(unix.CLOCK_THREAD_CPUTIME_ID) }

func clockTime(id int32) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(id, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
