package peers

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	wrkSays = `Running 1s test @ https://127.0.0.1:21005/
  1 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    49.81us  111.85us   2.57ms   97.39%
    Req/Sec    96.39k     8.08k  100.51k    90.91%
  105270 requests in 1.10s, 15.86MB read
  Non-2xx or 3xx responses: 105270
Requests/sec:  95713.05
Transfer/sec:     14.42MB
`
	h2loadSays = `starting benchmark...
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2

finished in 1.00s, 136575.00 req/s, 9.77MB/s
requests: 136575 total, 136615 started, 136575 done, 0 succeeded, 136575 failed, 0 errored, 0 timeout
status codes: 0 2xx, 0 3xx, 136575 4xx, 0 5xx
traffic: 9.77MB (10243321) total, 6.90MB (7238475) headers (space savings 45.92%), 533.50KB (546300) data
`
)

// What the tools print is read, and what they do not print is no zero.
func TestReading(t *testing.T) {
	for _, c := range []struct {
		name string
		read func(string) (tally, error)
		text string
		from string // replaced by
		to   string
		want tally
		fail bool
	}{
		{name: "wrk, refused", read: readWrk, text: wrkSays, want: tally{answers: 105270}},
		{name: "wrk, all good", read: readWrk, text: wrkSays, from: "  Non-2xx or 3xx responses: 105270\n", want: tally{answers: 105270, good: 105270}},
		{name: "wrk, some refused", read: readWrk, text: wrkSays, from: "responses: 105270", to: "responses: 70", want: tally{answers: 105270, good: 105200}},
		{name: "wrk, with errors", read: readWrk, text: wrkSays, from: "  Non-2xx", to: "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx",
			want: tally{answers: 105270, faults: 10}},
		{name: "wrk, nothing", read: readWrk, text: "unable to connect to 127.0.0.1:1 Connection refused", fail: true},
		{name: "wrk, errors in other words", read: readWrk, text: wrkSays, from: "  Non-2xx", to: "  Socket errors: many\n  Non-2xx", fail: true},
		{name: "wrk, statuses in other words", read: readWrk, text: wrkSays, from: "responses: 105270", to: "responses: all", fail: true},
		{name: "h2load, refused", read: readH2load, text: h2loadSays, want: tally{answers: 136575}},
		{name: "h2load, all good", read: readH2load, text: h2loadSays, from: "0 2xx, 0 3xx, 136575 4xx", to: "136570 2xx, 5 3xx, 0 4xx",
			want: tally{answers: 136575, good: 136575}},
		{name: "h2load, with errors", read: readH2load, text: h2loadSays, from: "0 errored, 0 timeout", to: "7 errored, 1 timeout", want: tally{answers: 136575, faults: 8}},
		{name: "h2load, without statuses", read: readH2load, text: h2loadSays, from: "136575 4xx", to: "136500 4xx", want: tally{answers: 136500, faults: 75}},
		{name: "h2load, another group", read: readH2load, text: h2loadSays, from: "X25519 253", to: "ECDH P-256 256", fail: true},
		{name: "h2load, another suite", read: readH2load, text: h2loadSays, from: "AES_128_GCM_SHA256", to: "AES_256_GCM_SHA384", fail: true},
		{name: "h2load, HTTP/1.1", read: readH2load, text: h2loadSays, from: "protocol: h2", to: "protocol: http/1.1", fail: true},
		{name: "h2load, nothing", read: readH2load, text: "", fail: true},
	} {
		text := c.text
		if c.from != "" {
			if text = strings.Replace(text, c.from, c.to, 1); text == c.text {
				t.Fatalf("%s: nothing was replaced", c.name)
			}
		}
		got, err := c.read(text)
		if got != c.want || (err != nil) != c.fail {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// A run counts only if each answer is the expected one.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		n       tally
		refuses bool
		ok      bool
	}{
		{tally{answers: 10, good: 10}, false, true},
		{tally{answers: 10}, true, true},
		{tally{answers: 10, good: 9}, false, false},
		{tally{answers: 10, good: 1}, true, false},
		{tally{answers: 10, good: 10, faults: 1}, false, false},
		{tally{}, false, false},
		{tally{}, true, false},
	} {
		if err := c.n.check(c.refuses); (err == nil) != c.ok {
			t.Errorf("%+v, refuses %v: %v", c.n, c.refuses, err)
		}
	}
}

// The table names medians, ratios and verdicts, and what there is no figure for.
func TestTable(t *testing.T) {
	samples := func(costs ...float64) (all []sample) {
		for _, c := range costs {
			all = append(all, sample{cost: c, rate: 1000, busy: 0.5, others: 0.25})
		}
		return all
	}
	three := map[string][]sample{ours: samples(30, 10, 20), nginx: samples(10, 10, 10), haproxy: samples(40, 10, 30, 20)}
	var b strings.Builder
	table(&b, []measured{
		{row: row{name: "one", against: nginx, most: 1.5}, samples: three},
		{row: row{name: "two", against: haproxy, most: 1.5}, samples: three},
		{row: row{name: "four"}, samples: three},
		{row: row{name: "three", against: nginx, most: 1.5}, samples: three, faults: map[string]string{ours: "failed"}},
	})
	said := strings.Join(strings.Fields(b.String()), " ")
	if strings.Contains(said, "four, against") {
		t.Errorf("nothing is asked of four in\n%s", b.String())
	}
	for _, want := range []string{
		"one 20.0 (10.0 to 30.0) 10.0 (10.0 to 10.0) 25.0 (10.0 to 40.0) 2.00 0.75",
		"three failed 10.0 (10.0 to 10.0) 25.0 (10.0 to 40.0) - -",
		"one 1000 (0.50) 1000 (0.50) 1000 (0.50) 0.25",
		"one, against nginx at most 1.5 times 2.00 times MISSED",
		"two, against HAProxy at most 1.5 times 0.75 times ok",
		"three, against nginx at most 1.5 times failed goal",
		"four 20.0 (10.0 to 30.0)",
		"goal 1.0x at most 1.0 times 1 of 3 reached",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

// The sources of a load are addresses of loopback, and few behind one prefix.
func TestSources(t *testing.T) {
	seen, networks := map[string]bool{}, map[string]int{}
	for i := range 60_000 {
		a := nth(i).To4()
		if !a.IsLoopback() || a[3] == 0 || a[3] == 255 || seen[a.String()] {
			t.Fatalf("%d is %v", i, a)
		}
		seen[a.String()] = true
		if networks[string(a[:3])]++; networks[string(a[:3])] > 100 {
			t.Fatalf("%v is one of more than 100", a)
		}
	}
}

// Everything that the measurement stands on works, at a small scale: all three
// shields answer as they should, and each kind of load gives a figure.
func TestPeers(t *testing.T) {
	for _, tool := range []string{"wrk", "h2load", "openssl"} {
		where(t, tool)
	}
	o := newOptions(t)
	o.rounds, o.seconds, o.idle, o.settle = 1, 1, 100, 200*time.Millisecond
	for _, refuses := range []bool{true, false} {
		s := newStand(t, places{}, o, refuses)
		s.ready(t)
		var from atomic.Int64
		for _, r := range rows() {
			if r.refuses != refuses {
				continue
			}
			for _, p := range s.shields {
				switch err := s.steady(p, r.version, o, once); {
				case err != nil:
					t.Errorf("%s: %s: %v", r.name, p.name, err)
				case r.version == http11 || p.name != nginx:
				default:
					if got, err := s.measure(r, p, o, &from); err != nil || got.cost <= 0 || got.busy <= 0 || got.rate <= 0 {
						t.Errorf("%s: %s: %+v, %v", r.name, p.name, got, err)
					}
				}
			}
		}
		if !refuses {
			for _, p := range s.shields {
				if _, err := idle(s, p, o); err != nil {
					t.Errorf("%s: %v", p.name, err)
				}
			}
		}
	}
}
