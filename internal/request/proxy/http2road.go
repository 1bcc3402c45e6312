package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// streamWindow is how much of an answer may be on its way to us before the
	// client has taken it. The standard library's 4 MiB for each would let slow
	// readers fill the memory.
	streamWindow = 64 << 10

	// quietPing is after how long without a frame an origin is asked whether it is
	// still there. gRPC's servers take pings that come sooner than five minutes
	// after one another for abuse.
	quietPing = 6 * time.Minute
)

// http2Road is the way to an origin in HTTP/2, by the standard library. Safe for
// concurrent use.
type http2Road struct {
	b         *backend
	scheme    string
	tls       *tls.Config // nil for clear text
	transport *http.Transport
	probe     *http.Transport // for health checks: each on a connection of its own
}

func newHTTP2Road(b *backend, cfg Config) *http2Road {
	r := &http2Road{b: b, scheme: "http"}
	if b.tls != nil {
		r.scheme, r.tls = "https", b.tls.Clone()
		r.tls.NextProtos = []string{"h2"}
	}
	r.transport = r.newTransport(cfg, func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, err := r.dial(ctx)
		b.dialed(ctx, err)
		return nc, err
	})
	r.probe = r.newTransport(cfg, func(ctx context.Context, _, _ string) (net.Conn, error) { return r.dial(ctx) })
	r.probe.DisableKeepAlives = true
	return r
}

func (r *http2Road) newTransport(cfg Config, dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	t := &http.Transport{
		DialContext: dial, DialTLSContext: dial,
		Protocols: new(http.Protocols), DisableCompression: true,
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: streamWindow, SendPingTimeout: quietPing},
		MaxResponseHeaderBytes: maxAnswerHead,
		ResponseHeaderTimeout:  cfg.AnswerTimeout,
		ExpectContinueTimeout:  cfg.ContinueTimeout,
		IdleConnTimeout:        max(cfg.KeepIdle, time.Millisecond), // 0 would be for ever
	}
	t.Protocols.SetHTTP2(r.tls != nil)
	t.Protocols.SetUnencryptedHTTP2(r.tls == nil)
	return t
}

// dial makes a connection that speaks HTTP/2, as far as a handshake can tell.
func (r *http2Road) dial(ctx context.Context) (net.Conn, error) {
	nc, err := r.b.dial(ctx, r.tls)
	if t, ok := nc.(*tls.Conn); ok && t.ConnectionState().NegotiatedProtocol != "h2" {
		nc.Close()
		return nil, dialError{errors.New("it does not agree to HTTP/2 in the TLS handshake")}
	}
	return nc, err
}

func (r *http2Road) close() { r.transport.CloseIdleConnections() }

// url is where a target is asked for. Opaque keeps the target byte for byte; one
// that begins with two slashes is told from an authority by an authority before it.
func (r *http2Road) url(target, host string) *url.URL {
	u := &url.URL{Scheme: r.scheme, Host: r.b.place.address, Opaque: target}
	if r.b.place.network == "unix" {
		u.Host = r.b.place.host
	}
	if strings.HasPrefix(target, "//") {
		if host == "" {
			host = u.Host
		}
		u.Opaque = "//" + host + target
	}
	return u
}

// check asks the origin for a path; for "", it is enough that HTTP/2 is spoken.
func (r *http2Road) check(ctx context.Context, path, host string) error {
	if path == "" {
		return r.greet(ctx)
	}
	q := &http.Request{Method: http.MethodGet, URL: r.url(path, host), Host: host, Header: http.Header{"User-Agent": {"seawall-health"}}}
	res, err := r.probe.RoundTrip(q.WithContext(ctx))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 500 {
		return fmt.Errorf("%s answers %d", path, res.StatusCode)
	}
	_, err = io.CopyN(io.Discard, res.Body, 1<<20)
	if err == io.EOF {
		err = nil
	}
	return err
}

// A connection begins with these words and our settings, and on the other side
// with its settings (RFC 9113, section 3.4).
const (
	greeting     = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	frameHead    = 9
	frameType    = 3 // where in it the type is
	typeSettings = 4
)

// greet opens a connection and waits for the other side's first frame.
func (r *http2Road) greet(ctx context.Context) error {
	nc, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { _ = nc.SetDeadline(past) })()
	if _, err := io.WriteString(nc, greeting); err != nil {
		return err
	}
	var head [frameHead]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return fmt.Errorf("it says nothing in HTTP/2: %w", err)
	}
	if head[frameType] != typeSettings {
		return nonsense("it begins with %q, not in HTTP/2", head)
	}
	return nil
}
