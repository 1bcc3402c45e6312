package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"seawall/internal/kit/handover"
)

// Inherit has Listen ask take for a socket that listens already, for each address
// of the configuration in its order, before it binds one. What take returns belongs
// to the Server; nil: there is none.
func (s *Server) Inherit(take func(address string) *net.TCPListener) { s.inherited = take }

// open returns a socket that listens on an address, an inherited one where there is
// one. It needs mu.
func (s *Server) open(address string) (*net.TCPListener, error) {
	if s.inherited != nil {
		if l := s.inherited(address); l != nil {
			if err := adopt(l); err != nil {
				l.Close()
				return nil, fmt.Errorf("listen on %s with the socket that came with the process: %w", address, err)
			}
			return l, nil
		}
	}
	lc := net.ListenConfig{KeepAlive: -1, Control: socketOptions}
	// An MPTCP subflow could bring another source address than the one that
	// the handshake proved.
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, reason(err))
	}
	s.bound = append(s.bound, l.(*net.TCPListener))
	return l.(*net.TCPListener), nil
}

// adopt sets of a socket that somebody else has made what Listen sets of its own.
func adopt(l *net.TCPListener) error {
	rc, err := l.SyscallConn()
	if err != nil {
		return err
	}
	protocol := 0
	if e := rc.Control(func(fd uintptr) {
		protocol, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) // of one that died while it was deaf
	}); e != nil {
		err = e
	}
	if err != nil {
		return err
	}
	if protocol != unix.IPPROTO_TCP {
		return errors.New("it is one for MPTCP, by which a visitor's address is not proved: take SocketProtocol=mptcp out of the socket unit")
	}
	return socketOptions("", "", rc)
}

// Copies makes descriptors of the listening sockets, for another process, or for this
// one once it has left them. Each is named by its address in the configuration,
// behind a prefix. They belong to the caller. Valid after Listen.
func (s *Server) Copies(prefix string) ([]*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*os.File
	addresses := slices.Concat(s.cfg.Addresses, s.cfg.TLS.Addresses)
	for i, l := range s.listeners {
		f, err := handover.Copy(l, prefix+addresses[i])
		if err != nil {
			for _, f := range out {
				f.Close()
			}
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}
