package defense

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// BenchmarkWindow closes windows of a flood of 50,000 requests a second from a million
// sources, beside ordinary traffic that was learnt for minutes: cut, detected, signed and
// decided. It tells the median and the worst of them, and what all of it holds.
func BenchmarkWindow(b *testing.B) {
	const rate, sources = 50_000, 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	clk := clock.NewStopped(time.Date(2019, 11, 12, 9, 0, 0, 0, time.UTC))
	l, err := New(DefaultConfig(), Deps{Clock: clk, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Applier: nothing{}})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	r := rand.New(rand.NewPCG(1, 2))
	ordinary := func() {
		v := traffic.Visit{
			At: clk.Now(), Client: netip.AddrFrom4([4]byte{84, byte(r.IntN(20)), byte(r.IntN(250)), 9}), Network: uint32(r.IntN(40)), Country: traffic.Country{'G', 'B'},
			Method: "GET", Host: "campaign.example", Path: fmt.Sprintf("/news/%d", r.IntN(200)), HTTP: traffic.HTTP2, JA4: "t13d1517h2_8daaf6152771_cb7bf5808d99",
			HeaderOrder: uint64(1 + r.IntN(5)), UserAgent: fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64) Chrome/%d.0.0.0", 120+r.IntN(36)),
		}
		v.Kind = traffic.Kind(r.IntN(2))
		if r.IntN(10) > 0 {
			v.Clearance = traffic.ClearanceProven
		}
		l.Record(&v, mitigation.Verdict{}, traffic.Outcome{Status: 200, Reached: true, OriginTime: 8 * time.Millisecond, Took: 9 * time.Millisecond})
	}
	flood := func() {
		n := r.IntN(sources)
		v := traffic.Visit{
			At: clk.Now(), Client: netip.AddrFrom4([4]byte{byte(100 + n>>16), byte(n >> 8), byte(n), 7}), Network: uint32(1000 + n%500), Country: traffic.Country{'R', byte('A' + n%26)},
			Method: "GET", Host: "campaign.example", Path: "/", RawQuery: fmt.Sprint(r.Uint32()), HTTP: traffic.HTTP11, JA4: fmt.Sprintf("t13d1516h1_8daaf6152771_%012x", r.IntN(50)),
			HeaderOrder: uint64(10 + r.IntN(50)), UserAgent: fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Any/%d", r.IntN(5000)), Standing: traffic.Standing(r.IntN(2)),
		}
		l.Record(&v, mitigation.Verdict{}, traffic.Outcome{Status: 200, Reached: true, OriginTime: 80 * time.Millisecond, Took: 90 * time.Millisecond})
	}
	second := func(fill func()) (closing time.Duration) {
		for i := range 10 {
			fill()
			clk.Set(clk.Now().Add(glanceEvery))
			began := time.Now()
			l.Step()
			if i == 9 {
				closing = time.Since(began)
			}
		}
		return closing
	}
	for range 180 {
		second(func() {
			for range 10 {
				ordinary()
			}
		})
	}
	var took []time.Duration
	for b.Loop() {
		took = append(took, second(func() {
			for range rate / 10 {
				flood()
			}
			for range 10 {
				ordinary()
			}
		}))
	}
	if l.Status().Attack == nil {
		b.Fatal("no attack was noticed")
	}
	slices.Sort(took)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(took[len(took)/2])/1e6, "ms/window")
	b.ReportMetric(float64(took[len(took)-1])/1e6, "ms/worst")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
	b.ReportMetric(0, "ns/op")
	runtime.KeepAlive(l)
}
