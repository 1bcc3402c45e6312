package crowd

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"
)

// mostBody is the largest answer that a visitor reads.
const mostBody = 8 << 20

// conn is one kept-open connection of a visitor.
type conn struct {
	net.Conn
	r    *bufio.Reader
	used bool // an answer has come over it
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func dial(ctx context.Context, to netip.AddrPort, preface []byte, patience time.Duration) (*conn, error) {
	d := net.Dialer{Timeout: patience}
	d.SetMultipathTCP(false)
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if len(preface) > 0 {
		if _, err := c.Write(preface); err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("connect: %w", err)
		}
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, 8<<10)}, nil
}

// ask sends a request and reads the whole answer. keep says whether the
// connection can be used again.
func (c *conn) ask(method string, request []byte, until time.Time) (a reply, keep bool, err error) {
	if err := c.SetDeadline(until); err != nil {
		return a, false, fmt.Errorf("set the deadline: %w", err)
	}
	if _, err := c.Write(request); err != nil {
		return a, false, fmt.Errorf("send: %w", err)
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return a, false, fmt.Errorf("read the answer: %w", err)
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, mostBody))
	if err != nil {
		return a, false, fmt.Errorf("read the answer: %w", err)
	}
	if a.header.Get("Content-Encoding") == "gzip" {
		if a.body, err = gunzip(a.body); err != nil {
			return a, false, fmt.Errorf("read the answer: %w", err)
		}
	}
	c.used = true
	return a, !resp.Close, nil
}

func gunzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(z, mostBody))
}

// late says whether an error means that patience ran out.
func late(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}
