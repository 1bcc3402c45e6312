package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"seawall/internal/kit/clock"
)

var errClientGone = errors.New("the client left")

// tunnel takes over both connections after 101 Switching Protocols and copies
// bytes both ways until both sides are done, or nothing came for a while.
func (x *exchange) tunnel(c *conn, h head) error {
	protocol := h.fields.get("Upgrade")
	if !hasToken(x.upgrade, firstToken(protocol)) {
		return nonsense("it changes to %.40q when %.40q was asked for", protocol, x.upgrade)
	}
	if !x.slot.Stream() {
		x.cut.Store(true)
		return errFull
	}
	out := x.w.Header()
	h.fields.endToEnd().addTo(out)
	nc, rw, err := x.rc().Hijack()
	if err != nil {
		return fmt.Errorf("take over the client's connection: %w", err)
	}
	defer nc.Close()
	defer c.Close()
	x.untie()
	defer context.AfterFunc(x.p.ctx, func() { nc.Close(); c.Close() })()
	x.outcome.Status = h.status
	nc.SetDeadline(time.Now().Add(x.p.cfg.AnswerTimeout))
	c.SetDeadline(time.Time{})

	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n", protocol)
	for k, vv := range out {
		for _, v := range vv {
			field(rw.Writer, k, v)
		}
	}
	rw.WriteString("\r\n")
	if err := rw.Flush(); err != nil {
		return nil
	}
	nc.SetDeadline(time.Time{})

	t := tunnel{p: x.p, idle: x.p.cfg.UpgradeIdle}
	t.active.Store(int64(x.p.clk.Now()))
	var both sync.WaitGroup
	both.Go(func() { t.copy(c.Conn, nc, rw.Reader) })
	both.Go(func() { t.copy(nc, c.Conn, c.br) })
	both.Wait()
	return nil
}

// tunnel is one upgraded connection.
type tunnel struct {
	p      *Proxy
	idle   time.Duration
	active atomic.Int64 // clock.Instant of the last byte either way
}

// copy carries one direction; first is what was read ahead from src. The end of
// one direction leaves the other open; an error ends both.
func (t *tunnel) copy(dst, src net.Conn, first interface {
	io.Reader
	Buffered() int
}) {
	buf, size := t.p.small.Get().(*[]byte), smallBuffer
	defer func() {
		if size == smallBuffer {
			t.p.small.Put(buf)
		} else {
			t.p.large.Put(buf)
		}
	}()
	for {
		var n int
		var err error
		if k := first.Buffered(); k > 0 {
			n, err = first.Read((*buf)[:min(k, size)])
		} else {
			src.SetReadDeadline(time.Now().Add(t.idle))
			n, err = src.Read(*buf)
		}
		if n > 0 {
			t.active.Store(int64(t.p.clk.Now()))
			dst.SetWriteDeadline(time.Now().Add(t.idle))
			if _, werr := dst.Write((*buf)[:n]); werr != nil {
				break
			}
		}
		if err != nil {
			quiet := t.p.clk.Now().Sub(clock.Instant(t.active.Load()))
			if timedOut(err) && quiet < t.idle {
				continue // the other direction is busy
			}
			if err == io.EOF && closeWrite(dst) == nil {
				return
			}
			break
		}
		if n == smallBuffer && size == smallBuffer {
			t.p.small.Put(buf)
			buf, size = t.p.large.Get().(*[]byte), largeBuffer
		}
	}
	src.Close()
	dst.Close()
}

func firstToken(list string) string {
	t, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(t)
}
