package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"seawall/internal/config"
	"seawall/internal/kit/problem"
)

// What a socket that is handed over is for; the address in the configuration
// follows, by which one with port 0 is known again.
const (
	forVisitors  = "listen "
	forOperators = "admin "
)

// sockets are those that have come with the process, or that it has kept. The zero
// sockets are none. Only TCP is asked for; QUIC's would be taken the same way.
type sockets struct {
	list   []*socket
	strict bool // each must be for something
}

type socket struct {
	*os.File
	at     netip.AddrPort
	stream bool // TCP and listening, or else UDP
	taken  bool
}

// passed are the sockets that have come with this process: the service manager means
// each of them, and one that takes over may have been configured anew.
func passed(o Options) (*sockets, error) {
	if o.From != nil {
		return socketsOf(o.From.Sockets, false)
	}
	return socketsOf(o.Sockets, true)
}

// socketsOf looks at files, which it owns from then on, unless it fails.
func socketsOf(files []*os.File, strict bool) (*sockets, error) {
	s := &sockets{strict: strict}
	for _, f := range files {
		one, err := look(f)
		if err != nil {
			return &sockets{}, fmt.Errorf("the socket %q that came with the process: %w", f.Name(), err)
		}
		s.list = append(s.list, one)
	}
	return s, nil
}

func look(f *os.File) (*socket, error) {
	fd := int(f.Fd())
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	s := &socket{File: f, stream: kind == unix.SOCK_STREAM}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		s.at = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		s.at = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	default:
		return nil, errors.New("it is neither of IPv4 nor of IPv6")
	}
	if !s.stream {
		return s, nil
	}
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
		return nil, errors.Join(errors.New("it does not listen (Accept=yes in the socket unit?)"), err)
	}
	return s, nil
}

// take returns a listener for an address of the configuration; nil: there is none.
func (s *sockets) take(what, address string) *net.TCPListener {
	for _, fits := range []func(*socket) bool{
		func(one *socket) bool { return one.Name() == what+address },
		func(one *socket) bool { return one.has(address, false) },
		func(one *socket) bool { return one.has(address, true) },
	} {
		for _, one := range s.list {
			if one.taken || !one.stream || !fits(one) {
				continue
			}
			l, err := net.FileListener(one.File)
			if err != nil {
				continue // it is bound anew, and why that fails is said then
			}
			one.taken = true
			return l.(*net.TCPListener)
		}
	}
	return nil
}

// has says whether a socket listens on an address; with every, on all addresses of
// the machine where those are meant, whichever way that was written.
func (s *socket) has(address string, every bool) bool {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil || a.Port == 0 || a.Port != int(s.at.Port()) {
		return false
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		ip = netip.IPv6Unspecified()
	}
	if every {
		return ip.Unmap().IsUnspecified() && s.at.Addr().Unmap().IsUnspecified()
	}
	return ip.Unmap() == s.at.Addr().Unmap()
}

// addresses are those that are had already.
func (s *sockets) addresses() (out []string) {
	for _, one := range s.list {
		out = append(out, one.at.String())
	}
	return out
}

// stray says which sockets no address of the configuration has asked for.
func (s *sockets) stray(cfg *config.Config) error {
	var l problem.List
	if !s.strict {
		return nil
	}
	for _, one := range s.list {
		if one.taken {
			continue
		}
		kind := "UDP"
		if one.stream {
			kind = "TCP"
		}
		have := append(append([]string{}, cfg.Request.Listen.Addresses...), cfg.Request.Listen.TLS.Addresses...)
		l.Add("listen", fmt.Sprintf("make ListenStream= of the socket unit and the addresses of the configuration the same; these are %s, and admin.listen %s", strings.Join(have, ", "), cfg.Admin.Listen),
			"the service manager passed a %s socket at %s (%s), and no address of the configuration is that", kind, one.at, one.Name())
	}
	if len(l) == 0 {
		return nil
	}
	return cfg.Locate(l)
}

// close closes them; listeners that were taken are others' descriptors.
func (s *sockets) close() {
	for _, one := range s.list {
		one.Close()
	}
	s.list = nil
}
