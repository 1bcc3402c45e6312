package demo

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
)

// look is a door for a person's own browser: it passes connections on to the
// front with a PROXY header, as if they came from addr.
type look struct {
	l    net.Listener
	to   string
	head func(netip.AddrPort) []byte // nil: nothing is put before
	addr netip.Addr
	wg   sync.WaitGroup
}

func openLook(listen, to string, addr netip.Addr, head func(netip.AddrPort) []byte) (*look, error) {
	l, err := listenLoopback(listen)
	if err != nil {
		return nil, err
	}
	k := &look{l: l, to: to, addr: addr, head: head}
	return k, nil
}

// serve passes connections on until ctx ends.
func (k *look) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = k.l.Close() })
	defer stop()
	for {
		c, err := k.l.Accept()
		if err != nil {
			break
		}
		k.wg.Go(func() { k.pass(ctx, c) })
	}
	k.wg.Wait()
}

func (k *look) pass(ctx context.Context, from net.Conn) {
	defer from.Close()
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", k.to)
	if err != nil {
		return
	}
	defer to.Close()
	stop := context.AfterFunc(ctx, func() { _ = from.Close(); _ = to.Close() })
	defer stop()
	if k.head != nil {
		port := uint16(40_000)
		if a, ok := from.RemoteAddr().(*net.TCPAddr); ok {
			port = uint16(a.Port)
		}
		if _, err := to.Write(k.head(netip.AddrPortFrom(k.addr, port))); err != nil {
			return
		}
	}
	var wg sync.WaitGroup
	// Either side's end ends the other's reading; errors mean the same.
	wg.Go(func() { _, _ = io.Copy(to, from); half(to) })
	wg.Go(func() { _, _ = io.Copy(from, to); half(from) })
	wg.Wait()
}

func half(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}
