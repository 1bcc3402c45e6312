package demo

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// signature begins every PROXY protocol v2 header.
// https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// prefaceV2 is a PROXY v2 header for a connection from src to dst. The
// addresses are of one family: an IPv6 source gets an IPv6 loopback target.
func prefaceV2(src, dst netip.AddrPort) []byte {
	b := append([]byte(signature), 0x21) // version 2, PROXY
	s, d := sameFamily(src.Addr(), dst.Addr())
	if s.Is4() {
		b = append(b, 0x11, 0, 12) // TCP over IPv4, 12 bytes follow
	} else {
		b = append(b, 0x21, 0, 36)
	}
	b = append(append(b, s.AsSlice()...), d.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	return binary.BigEndian.AppendUint16(b, dst.Port())
}

// prefaceV1 is the same as text (section 2.1).
func prefaceV1(src, dst netip.AddrPort) []byte {
	s, d := sameFamily(src.Addr(), dst.Addr())
	family := "TCP4"
	if !s.Is4() {
		family = "TCP6"
	}
	return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, s, d, src.Port(), dst.Port())
}

func sameFamily(src, dst netip.Addr) (netip.Addr, netip.Addr) {
	src, dst = src.Unmap(), dst.Unmap()
	if src.Is4() && !dst.Is4() {
		dst = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if !src.Is4() && dst.Is4() {
		dst = netip.IPv6Loopback()
	}
	return src, dst
}

// preface returns how the connections of a source begin: every other source
// uses the text form, so that both are seen.
func preface(dst netip.AddrPort) func(netip.AddrPort) []byte {
	return func(src netip.AddrPort) []byte {
		if b := src.Addr().AsSlice(); b[len(b)-1]&1 == 1 {
			return prefaceV1(src, dst)
		}
		return prefaceV2(src, dst)
	}
}

var errPreface = errors.New("the connection does not begin with a PROXY header")

// readPreface reads a header of either form and returns its source.
func readPreface(r *bufio.Reader) (netip.AddrPort, error) {
	head, err := r.Peek(6)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if string(head) == "PROXY " {
		line, err := r.ReadSlice('\n')
		if err != nil || len(line) > 107 {
			return netip.AddrPort{}, errPreface
		}
		f := strings.Fields(string(line))
		if len(f) != 6 {
			return netip.AddrPort{}, errPreface
		}
		return netip.ParseAddrPort(net.JoinHostPort(f[2], f[4]))
	}
	var fixed [16]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return netip.AddrPort{}, err
	}
	n := int(binary.BigEndian.Uint16(fixed[14:]))
	if string(fixed[:12]) != signature || fixed[12] != 0x21 || n > 512 {
		return netip.AddrPort{}, errPreface
	}
	rest := make([]byte, n)
	if _, err := io.ReadFull(r, rest); err != nil {
		return netip.AddrPort{}, err
	}
	switch {
	case fixed[13] == 0x11 && n >= 12:
		a := netip.AddrFrom4([4]byte(rest[:4]))
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(rest[8:])), nil
	case fixed[13] == 0x21 && n >= 36:
		a := netip.AddrFrom16([16]byte(rest[:16]))
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(rest[32:])), nil
	}
	return netip.AddrPort{}, errPreface
}

// relayListener takes each connection's source from its PROXY header.
type relayListener struct{ net.Listener }

func (l relayListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &relayConn{Conn: c, r: bufio.NewReaderSize(c, 4<<10)}, nil
}

// relayConn reads the header when it is first asked for anything, on the
// goroutine that serves the connection, so that nobody else waits for it.
type relayConn struct {
	net.Conn
	r    *bufio.Reader
	once sync.Once
	src  netip.AddrPort
	err  error
}

func (c *relayConn) open() {
	c.once.Do(func() {
		if c.err = c.SetReadDeadline(time.Now().Add(5 * time.Second)); c.err != nil {
			return
		}
		if c.src, c.err = readPreface(c.r); c.err == nil {
			c.err = c.SetReadDeadline(time.Time{})
		}
	})
}

func (c *relayConn) Read(b []byte) (int, error) {
	if c.open(); c.err != nil {
		return 0, c.err
	}
	return c.r.Read(b)
}

func (c *relayConn) RemoteAddr() net.Addr {
	if c.open(); c.err != nil {
		return c.Conn.RemoteAddr()
	}
	return net.TCPAddrFromAddrPort(c.src)
}
