package protocol

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"seawall/test/scenarios/protocol/storm"
)

// found is what the status says was found.
type found struct {
	Vector  string    `json:"vector"`
	What    string    `json:"what"`
	Noticed time.Time `json:"noticed"`
	Rate    float64   `json:"rate"`
	Normal  float64   `json:"normal"`
	Unit    string    `json:"unit"`
	Finding struct {
		Top []struct{ Key string } `json:"top"`
	} `json:"finding"`
}

// findings are those that run, and those that have ended.
func (w *wall) findings(t testing.TB) (running, ended []found) {
	t.Helper()
	r, err := http.Get("http://" + w.admin + "/api/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var s struct {
		Findings      []found `json:"findings"`
		FindingsEnded []found `json:"findings_ended"`
	}
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s.Findings, s.FindingsEnded
}

// within asks again and again until it is so.
func within(t testing.TB, most time.Duration, so func() bool) bool {
	t.Helper()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if so() {
			return true
		}
	}
	return so()
}

// noticedWithin is the time from an attack's first byte until it is found: at most two
// windows of a second, and what this machine is busy with besides.
const noticedWithin = 3 * time.Second

// TestFindings: each kind of attack on connections is found soon, named right and
// over when it is; and what visitors do is none of it.
func TestFindings(t *testing.T) {
	s := newSite(t)
	soon := config{"end_after": "1s"}
	w := start(t, s.addr, 0, config{"defense": config{
		"connection_flood": soon, "handshake_flood": soon, "slow_attack": soon, "protocol_abuse": soon, "carpet_bombing": soon,
	}})
	defer w.end()
	c := visit(w, s, speaks(t, w.secure, "h2"))
	defer c.leave()
	time.Sleep(10 * time.Second) // what is normal is learnt meanwhile
	if running, ended := w.findings(t); len(running)+len(ended) > 0 {
		t.Fatalf("visitors are taken for %+v %+v", running, ended)
	}
	storms := map[string]func(context.Context) error{"carpet": func(ctx context.Context) error { return carpet(ctx, w.clear) }}
	for _, a := range storm.Attacks() {
		factor := 1.0
		if a.Name == "slow readers" {
			// At 800 connections a second it is a flood besides: that is refused within a
			// second, in line and at the door, and too few readers are left to be an attack.
			factor = 0.1
		}
		storms[a.Name] = func(ctx context.Context) error { _, err := a.Run(ctx, w.target(), factor); return err }
	}
	for _, c := range []struct{ attack, vector, what string }{
		{"connections", "connection-flood", "ask for nothing"},
		{"half-open handshakes", "handshake-flood", "TLS handshakes"},
		{"held handshakes", "handshake-flood", "TLS handshakes"},
		{"handshakes", "handshake-flood", "TLS handshakes"},
		{"slow heads", "slow-attack", "heads that do not end"},
		{"slow bodies", "slow-attack", "bodies that do not come"},
		{"slow readers", "slow-attack", "answers that are not taken"},
		{"HTTP/2 slow readers", "slow-attack", "answers that are not taken"},
		{"HTTP/2 slow heads", "slow-attack", "heads that do not end"},
		{"zero window", "slow-attack", "answers that are not taken"},
		{"rapid reset", "protocol-abuse", "rapid reset"},
		{"CONTINUATION", "protocol-abuse", "field blocks that do not end"},
		{"smuggling", "protocol-abuse", "malformed requests"},
		{"carpet", "carpet-bombing", "127.200.7.0/24"},
	} {
		t.Run(c.attack, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), noticedWithin+time.Second)
			defer cancel()
			var going sync.WaitGroup
			began := time.Now()
			going.Go(func() {
				if err := storms[c.attack](ctx); err != nil {
					t.Error(err)
				}
			})
			var got found
			seen := within(t, noticedWithin, func() bool {
				running, _ := w.findings(t)
				i := slices.IndexFunc(running, func(f found) bool { return f.Vector == c.vector })
				if i >= 0 {
					got = running[i]
				}
				return i >= 0
			})
			time.Sleep(500 * time.Millisecond)
			all, _ := w.findings(t)
			cancel()
			going.Wait()
			t.Logf("%s: noticed after %v; %.0f %s, where %.0f are usual: %v", got.Vector, got.Noticed.Sub(began).Round(time.Millisecond), got.Rate, got.Unit, got.Normal, all)
			if !seen || !strings.Contains(got.What, c.what) {
				t.Errorf("found %+v", all)
			}
			// That attacks come every quarter of a minute here is found as well, rightly.
			if !within(t, 15*time.Second, func() bool {
				running, _ := w.findings(t)
				return !slices.ContainsFunc(running, func(f found) bool { return f.Vector != "pulse-wave" })
			}) {
				running, _ := w.findings(t)
				t.Errorf("it does not end: %+v", running)
			}
		})
	}
	if !w.runs() {
		t.Errorf("Seawall has ended:\n%s", w.log)
	}
}

// carpet asks for one page from all addresses of a network, each of them now and then.
func carpet(ctx context.Context, to netip.AddrPort) error {
	const each, rate = 250, 600
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	var going sync.WaitGroup
	defer going.Wait()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		going.Go(func() {
			d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 200, 7, byte(1+n%each))}}
			c, err := d.DialContext(ctx, "tcp", to.String())
			if err != nil {
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(2 * time.Second))
			_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
			_, _ = c.Read(make([]byte, 1024))
		})
	}
}
