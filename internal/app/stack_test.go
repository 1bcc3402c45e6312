//go:build !race

package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"seawall/internal/config"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/sealed"
	"seawall/internal/request/admit"
	"seawall/internal/request/identify"
	"seawall/internal/request/identify/geo"
	"seawall/internal/request/listen"
	"seawall/internal/request/proxy"
	"seawall/internal/request/refuse"
)

// Whoever found the line for the origin full has used no more than 4 KiB of its connection's
// stack. Where a function on the way takes more room, each connection of a flood has its
// stack copied to one of 8 KiB, whose pages the kernel must clear first. (The race detector
// makes all functions take more.)
func TestShedOnSmallStack(t *testing.T) {
	addr, fill := serveFull(t)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would make stacks smaller
	const conns = 400
	ask := func() {
		fill()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: site.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Seawall-Ref") == "" {
			t.Fatalf("%d %v %v", r.StatusCode, r.Header, err)
		}
		r.Body.Close()
	}
	for range 20 { // what is made once is made
		ask()
	}
	stacks := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	runtime.GC()
	metrics.Read(stacks)
	before := stacks[0].Value.Uint64()
	for range conns {
		ask()
	}
	metrics.Read(stacks)
	if each := float64(stacks[0].Value.Uint64()-before) / conns; each > 5<<10 {
		t.Errorf("%.0f bytes of stack for each connection", each)
	}
}

// serveFull serves a site whose origin answers nobody. fill makes sure that it has a request,
// and that another one is in line, which is all that there is room for.
func serveFull(t *testing.T) (addr string, fill func()) {
	t.Helper()
	origin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { origin.Close() })
	cfg, clk, log, box := config.Default(), clock.New(), slog.New(slog.DiscardHandler), sealed.New([32]byte{1})
	door, err := admit.New(cfg.Request.Admit, clk, func(netip.Prefix) uint64 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	places, err := geo.Open("", "")
	if err != nil {
		t.Fatal(err)
	}
	who, err := identify.New(cfg.Request.Identify, box, places, clk, log)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := refuse.New(cfg.Request.Refuse, box)
	if err != nil {
		t.Fatal(err)
	}
	toOrigin := proxy.DefaultConfig()
	toOrigin.Origins, toOrigin.MaxInFlight, toOrigin.MaxWaiting = []proxy.Origin{{URL: "http://" + origin.Addr().String()}}, 1, 1
	r, err := newRooms(toOrigin, door, who, ref, clk, log)
	if err != nil {
		t.Fatal(err)
	}
	to := listen.DefaultConfig()
	to.Addresses = []string{"127.0.0.1:0"}
	s := listen.New(to, open{}, nobody{}, r.first, clk, log)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(context.Background()) }()
	t.Cleanup(func() {
		r.close()
		s.Close()
		<-ended
	})
	addr = s.Addrs()[0].String()
	return addr, func() {
		for at := r.proxy.Origin(); at.InFlight+at.Waiting < 2; {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: site.example\r\n\r\n")
			for was := at; at == was; at = r.proxy.Origin() {
				time.Sleep(time.Millisecond)
			}
		}
	}
}
