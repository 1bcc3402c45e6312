package admit

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// benchClients is a little over a million, because a set-associative table of
// this size loses a few: with what is left, a million are tracked.
const benchClients = 1 << 20

// clientOf walks through all clients in an order that no cache foresees: an odd
// factor permutes the numbers below 2^20.
func clientOf(i uint32) uint32 { return i * 0x9E3779B1 & (benchClients - 1) }

// benchAddr gives client n its address: half of them IPv4, five to a /24; half
// IPv6, two to a /56 and four to a /48.
func benchAddr(n uint32) netip.Addr {
	if n%2 == 0 {
		n /= 2
		street := n / 5 * 0x9E3779B1 >> 8 // spread, as the internet is
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], street<<8|n%5*41)
		return netip.AddrFrom4(b)
	}
	n /= 2
	var b [16]byte
	binary.BigEndian.PutUint32(b[:], 0x20010000|n/4*0x9E3779B1>>16)
	binary.BigEndian.PutUint16(b[4:], uint16(n/4))
	b[6], b[7], b[15] = byte(n%4/2), byte(n%2), 7
	return netip.AddrFrom16(b)
}

var (
	benchPaths  = [...]string{"/", "/news/2019/11/the-manifesto", "/assets/site.css", "/donate", "/events?", "/assets/logo.png", "/api/events", "/feed.xml"}
	benchKinds  = [...]traffic.Kind{0, 0, 1, 0, 0, 1, 3, 2}
	benchAgents = [...]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
	}
	benchLands = [...]string{"GB", "RU", "BR", "DE", "US", "FR", "IN", "NL"}
)

// benchVisit fills v as identify would for client n.
func benchVisit(v *traffic.Visit, n, step uint32, at clock.Instant, issued time.Time) {
	kind := (n ^ step) & 7
	land := benchLands[n>>3&7]
	*v = traffic.Visit{
		At: at, Client: benchAddr(n),
		Network: 64496 + n&1023, Country: traffic.Country{land[0], land[1]},
		HeaderOrder: 0x9E3779B97F4A7C15 * uint64(1+n%23),
		Method:      "GET", Host: "www.example.org", Path: benchPaths[kind], Kind: benchKinds[kind],
		UserAgent: benchAgents[n%3],
	}
	v.Peer = v.Client
	if n%5 < 2 {
		v.Clearance, v.ClearanceID, v.ClearanceAt = traffic.ClearanceProven, uint64(n), issued
	}
}

func must[T any](t T, err error) T {
	if err != nil {
		panic(err)
	}
	return t
}

// benchOrders are fifty mitigations of the kinds that sign mines and people
// write, none of which can be told from the others by one cheap field.
func benchOrders() (out []*match.Match) {
	is := func(f traffic.Field, keys ...string) match.Test { return must(match.OneOf(f, keys...)) }
	for i := range 10 {
		fp := traffic.Fingerprint(0xABCDEF0123456789 + uint64(i))
		out = append(out,
			match.All(is(traffic.FieldPath, fmt.Sprintf("/search/%d", i)), is(traffic.FieldKind, "page"), is(traffic.FieldStanding, "shy")),
			match.All(is(traffic.FieldHeaderOrder, fp), is(traffic.FieldKind, "page"), is(traffic.FieldClearance, "none")),
			match.All(is(traffic.FieldCountry, "CN", "KP"), is(traffic.FieldPath, "/"), match.Not(is(traffic.FieldMethod, "POST"))),
			match.All(is(traffic.FieldNetwork, fmt.Sprint(64000+i)), must(match.StartsWith(traffic.FieldUserAgent, "Mozilla/5.0 (Windows"))),
			match.All(must(match.Contains(traffic.FieldUserAgent, fmt.Sprintf("python-%d", i))), is(traffic.FieldPath, "/", "/donate")),
		)
	}
	return out
}

func benchDoor(b *testing.B) (*Admit, clock.Instant, time.Time) {
	b.Helper()
	clk := clock.New()
	cfg := DefaultConfig()
	cfg.Clients = benchClients * 3 / 2
	for i := range 20 {
		cfg.Allow = append(cfg.Allow, fmt.Sprintf("198.51.100.%d", i), fmt.Sprintf("2001:db8:%x::/48", i))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	a := must(New(cfg, clk, nil))
	runtime.ReadMemStats(&after)
	b.Logf("tables: %.1f MiB, %.1f bytes for each of %d entries, %.1f for each tracked client",
		float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), float64(after.HeapAlloc-before.HeapAlloc)/float64(cfg.Clients), cfg.Clients,
		float64(after.HeapAlloc-before.HeapAlloc)/benchClients)

	for i, mt := range benchOrders() {
		act := [...]mitigation.Action{mitigation.Slow, mitigation.Refuse}[i%2]
		if err := a.Apply(mitigation.Mitigation{ID: mitigation.ID(i + 1), Match: mt, Action: act, By: mitigation.ByMachine, Until: time.Now().Add(time.Hour)}); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 1000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(64 + i%64), byte(i), byte(i >> 3)}), 32)
		if err := a.Apply(mitigation.Mitigation{ID: mitigation.ID(i + 1000), Match: match.Client(p), Action: mitigation.Refuse, By: mitigation.ByMachine, Until: time.Now().Add(time.Hour)}); err != nil {
			b.Fatal(err)
		}
	}
	a.UnderAttack(time.Now().Add(-time.Minute))
	issued := time.Now().Add(-2 * time.Minute)
	at := clk.Now()
	var v traffic.Visit
	for i, step := uint32(0), 0; step < benchClients; step++ {
		i++
		at = at.Add(10 * time.Microsecond)
		benchVisit(&v, clientOf(i), 0, at, issued)
		a.Decide(&v)
	}
	st := a.Stats()
	b.Logf("before: %d of %d client entries, %d of %d wider, %d of %d clearances, %d of %d standings, %d evicted",
		st.Clients.Used, st.Clients.Size, st.Wider.Used, st.Wider.Size, st.Clearances.Used, st.Clearances.Size, st.Standings.Used, st.Standings.Size, st.Evicted)
	if st.Clients.Used < 1_000_000 {
		b.Fatalf("only %d clients are tracked", st.Clients.Used)
	}
	return a, at, issued
}

// BenchmarkDecide: a million clients tracked, each visit by another one; fifty
// mitigations, a thousand bans, two visits in five with a clearance.
func BenchmarkDecide(b *testing.B) {
	a, at, issued := benchDoor(b)
	var now atomic.Int64
	now.Store(int64(at))
	report := func(b *testing.B, before Stats) {
		in, all := uint64(0), uint64(0)
		after := a.Stats()
		for act := range after.Decisions {
			for r := range after.Decisions[act] {
				n := after.Decisions[act][r] - before.Decisions[act][r]
				if all += n; mitigation.Action(act) <= mitigation.Slow {
					in += n
				}
			}
		}
		b.ReportMetric(float64(in)/float64(all), "admitted/visit")
	}
	b.Run("visit-only", func(b *testing.B) { // what the loop around Decide costs
		var v traffic.Visit
		i, step := uint32(0), uint32(0)
		for b.Loop() {
			i, step = i+1, step+1
			benchVisit(&v, clientOf(i), step, at, issued)
		}
	})
	b.Run("one", func(b *testing.B) {
		before := a.Stats()
		b.ReportAllocs()
		var v traffic.Visit
		i, step, t := uint32(0), uint32(0), clock.Instant(now.Load())
		for b.Loop() {
			i, step, t = i+1, step+1, t.Add(10*time.Microsecond)
			benchVisit(&v, clientOf(i), step, t, issued)
			a.Decide(&v)
		}
		now.Store(int64(t))
		report(b, before)
	})
	b.Run("parallel", func(b *testing.B) {
		before := a.Stats()
		b.ReportAllocs()
		var lane atomic.Uint32
		b.RunParallel(func(pb *testing.PB) {
			var v traffic.Visit
			i, step, t := lane.Add(1)*0x5bd1e995, uint32(0), clock.Instant(now.Load())
			for pb.Next() {
				i, step, t = i+1, step+1, t.Add(10*time.Microsecond)
				benchVisit(&v, clientOf(i), step, t, issued)
				a.Decide(&v)
			}
		})
		report(b, before)
	})
}
