package storm

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// line is one connection of an attacker: TCP, below TLS where the attack needs
// that.
type line struct {
	net.Conn // what the attack writes to
	tcp      *net.TCPConn
	n        uint64 // which of the attack's connections it is
	s        *storm
	stop     func() bool
	gone     chan struct{} // closed when discard found the end; nil: discard does not run
}

// counted counts what goes over the wire.
type counted struct {
	*net.TCPConn
	s *storm
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.s.out.Add(uint64(n))
	return n, err
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.s.in.Add(uint64(n))
	return n, err
}

// dialTime is how long a connection and its handshake may take: an attacker does
// not wait longer.
const dialTime = 3 * time.Second

// connect opens a TCP connection from the next address. A receive buffer that is
// set is set before the handshake, so that the window is never larger.
func (s *storm) connect(to netip.AddrPort, buffer int) (*line, error) {
	number := s.number.Add(1)
	d := net.Dialer{
		Timeout:   dialTime,
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source(number), 0)),
		KeepAlive: -1,
		Control: func(_, _ string, raw syscall.RawConn) error {
			if buffer == 0 {
				return nil
			}
			return raw.Control(func(fd uintptr) {
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer)
			})
		},
	}
	d.SetMultipathTCP(false)
	nc, err := d.DialContext(s.ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	tcp := nc.(*net.TCPConn)
	l := &line{Conn: counted{tcp, s}, tcp: tcp, n: number, s: s}
	// The end of the attack wakes whoever waits on its connection.
	l.stop = context.AfterFunc(s.ctx, func() { _ = tcp.SetDeadline(time.Unix(1, 0)) })
	return l, nil
}

// dial opens a connection as the attack needs it.
func (s *storm) dial() (*line, error) {
	switch s.attack.Needs {
	case Secure:
		return s.connect(s.to.Secure, 0)
	case HTTP2:
		return s.secure("h2")
	case HTTP3:
		return &line{s: s, stop: func() bool { return true }}, nil
	}
	return s.connect(s.to.Clear, 0)
}

func (s *storm) secure(protocol string) (*line, error) {
	l, err := s.connect(s.to.Secure, 0)
	if err != nil {
		return nil, err
	}
	if err := l.handshake(s.tls(protocol)); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// handshake puts TLS onto the connection.
func (l *line) handshake(cfg *tls.Config) error {
	t := tls.Client(l.Conn, cfg)
	ctx, cancel := context.WithTimeout(l.s.ctx, dialTime)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	if want := cfg.NextProtos; len(want) == 1 && want[0] == "h2" && t.ConnectionState().NegotiatedProtocol != "h2" {
		return fmt.Errorf("the target does not speak HTTP/2")
	}
	l.Conn = t
	return nil
}

// tls is a client's configuration. The certificate is nobody's concern here.
func (s *storm) tls(protocols ...string) *tls.Config {
	return &tls.Config{ServerName: s.to.Host, InsecureSkipVerify: true, NextProtos: protocols}
}

// discard reads all that comes from now on, in the background, and throws it away.
// When the other side ends the connection, writing fails soon.
func (l *line) discard() {
	l.gone = make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, l.Conn)
		_ = l.tcp.SetWriteDeadline(time.Unix(1, 0))
		close(l.gone)
	}()
}

// hold keeps the connection until the attack is over; an error when the other side
// ended it before.
func (l *line) hold() error {
	if l.gone == nil {
		l.discard()
	}
	select {
	case <-l.s.ctx.Done():
		return nil
	case <-l.gone:
	}
	if l.s.ctx.Err() != nil {
		return nil
	}
	return io.EOF
}

// unread keeps the connection until the attack is over, and reads nothing; an
// error when the other side reset it.
func (l *line) unread() error {
	raw, err := l.tcp.SyscallConn()
	if err != nil {
		return err
	}
	for l.s.pause(100 * time.Millisecond) {
		var code int
		if err := raw.Control(func(fd uintptr) {
			code, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		}); err != nil {
			return err
		}
		if code != 0 {
			return syscall.Errno(code)
		}
	}
	return nil
}

// close ends the connection at once.
func (l *line) close() {
	l.stop()
	if l.tcp != nil {
		_ = l.tcp.SetLinger(0)
		_ = l.tcp.Close()
	}
}
