package dashboard

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestCaptureOrders(t *testing.T) {
	usual := CaptureOrder{For: 30 * time.Second, Stopped: true, Most: 10 << 20}
	for query, want := range map[string]any{
		"": usual,
		"for=1s&stopped=false&passed=true&most=4096": CaptureOrder{For: time.Second, Passed: true, Most: 4096},
		"for=1h&most=1073741824&passed=1":            CaptureOrder{For: time.Hour, Stopped: true, Passed: true, Most: 1 << 30},
		usual.Query():                                usual,
		"for=soon":                                   `"soon" is no length of time`,
		"for=999ms":                                  "from 1s to 1h, not 999ms",
		"for=61m":                                    "from 1s to 1h, not 1h1m0s",
		"most=4095":                                  "from 4 KiB to 1 GiB (4096 to 1073741824 bytes), not 4095",
		"most=1073741825":                            "not 1073741825",
		"most=10MiB":                                 "most=10MiB: write a number of bytes",
		"stopped=perhaps":                            "stopped=perhaps: write true or false",
		"stopped=false":                              "nothing would be captured",
		"form=30s":                                   `there is no "form"`,
		"for=30s&for=2h":                             "not 2h0m0s",
	} {
		f := &fake{file: strings.NewReader("a file")}
		w := ask{method: "GET", path: "/api/v1/capture?" + query, header: map[string]string{"Seawall-Admin": "1"}}.do(server(f, ""))
		switch want := want.(type) {
		case CaptureOrder:
			if w.Code != 200 || f.asked != want || w.Body.String() != "a file" || w.Header().Get("Content-Type") != "application/x-pcapng" {
				t.Errorf("%s: %d %s, asked for %+v", query, w.Code, w.Body, f.asked)
			}
		case string:
			if w.Code != 400 || f.asked != nil || !strings.Contains(strings.ReplaceAll(w.Body.String(), `\"`, `"`), want) {
				t.Errorf("%s: %d %s, asked for %v", query, w.Code, w.Body, f.asked)
			}
		}
	}
	f := &fake{err: Kind(ErrNotNow, errors.New("one at a time"))}
	if w := (ask{method: "GET", path: "/api/v1/capture", header: map[string]string{"Seawall-Admin": "1"}}).do(server(f, "")); w.Code != 409 || !strings.Contains(w.Body.String(), "one at a time") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := (ask{method: "HEAD", path: "/api/v1/capture", header: map[string]string{"Seawall-Admin": "1"}}).do(server(f, "")); w.Code != 405 {
		t.Errorf("HEAD: %d", w.Code)
	}
}

// endless writes until its context ends, or nobody takes it.
type endless struct {
	ctx   context.Context
	err   error
	ended chan error
}

func (e *endless) WriteTo(w io.Writer) (n int64, err error) {
	for e.ctx.Err() == nil && err == nil {
		var k int
		k, err = io.WriteString(w, "piece")
		n += int64(k)
		select {
		case <-e.ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	err = errors.Join(err, e.err)
	e.ended <- err
	return n, err
}

// captor is a Shield whose captures do not end by themselves.
type captor struct {
	fake
	err   error
	ended chan error
}

func (c *captor) Capture(ctx context.Context, _ CaptureOrder) (io.WriterTo, error) {
	return &endless{ctx, c.err, c.ended}, nil
}

// A capture comes piece by piece and ends with its time, with its reader, or with
// an error that the reader sees.
func TestCaptureStreams(t *testing.T) {
	shield := &captor{ended: make(chan error, 1)}
	s := New(shield, http.NotFoundHandler(), "", slog.New(slog.DiscardHandler))
	s.patience = 100 * time.Millisecond // a stream lives longer
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	get := func() io.ReadCloser {
		t.Helper()
		r, err := http.NewRequest("GET", "http://"+s.Addr().(*net.TCPAddr).String()+"/api/v1/capture?for=1s", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Seawall-Admin", "1")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		return resp.Body
	}
	begun := time.Now()
	body := get()
	n, err := io.Copy(io.Discard, body)
	if took := time.Since(begun); err != nil || n < 20 || took < 900*time.Millisecond {
		t.Errorf("%d bytes in %v, %v", n, took, err)
	}
	<-shield.ended

	get().Close()
	select {
	case <-shield.ended:
	case <-time.After(900 * time.Millisecond):
		t.Error("a capture goes on without its reader")
	}

	shield.err = errors.New("broken")
	body = get()
	if _, err := io.Copy(io.Discard, body); err == nil {
		t.Error("a broken capture ends as if it were whole")
	}
}
