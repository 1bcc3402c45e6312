package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// busy is an origin that works on, whoever has left, and counts how many requests it
// has at once.
type busy struct{ now, most, all atomic.Int64 }

func (b *busy) work(do func()) {
	b.all.Add(1)
	n := b.now.Add(1)
	for {
		if most := b.most.Load(); n <= most || b.most.CompareAndSwap(most, n) {
			break
		}
	}
	do()
	b.now.Add(-1)
}

// Who asks and leaves does not have the origin do more at a time than the limit says.
func TestLeftRequestsHoldTheirPlace(t *testing.T) {
	var b busy
	origin := site(t, func(http.ResponseWriter, *http.Request) { b.work(func() { time.Sleep(800 * time.Millisecond) }) })
	cfg := testConfig(origin.URL)
	cfg.MaxInFlight = 4
	h := newHouse(t, cfg)
	for range 60 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+h.addr+"/search", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(r); err == nil {
			res.Body.Close()
		}
		cancel()
	}
	if b.all.Load() < 4 || b.most.Load() > 4 {
		t.Errorf("%d requests came to the origin, %d at once", b.all.Load(), b.most.Load())
	}
}

// Who sends slowly gives the place back only as long as there may be more streams.
func TestSlowBodiesAreBounded(t *testing.T) {
	t.Parallel()
	var b busy
	origin := site(t, func(_ http.ResponseWriter, r *http.Request) { b.work(func() { _, _ = io.Copy(io.Discard, r.Body) }) })
	cfg := testConfig(origin.URL)
	cfg.MaxInFlight, cfg.MaxStreams = 4, 8
	h := newHouse(t, cfg)
	var all sync.WaitGroup
	end := time.Now().Add(2 * time.Second)
	for range 40 {
		all.Go(func() {
			c, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
			_ = c.SetReadDeadline(end)
			_, _ = c.Read(make([]byte, 1))
		})
	}
	all.Wait()
	// Newcomers may have three quarters of the streams; one that has just ended is
	// still there for a moment.
	if most := b.most.Load(); most < 4 || most > 4+8 {
		t.Errorf("the origin held %d requests at once", most)
	}
}
