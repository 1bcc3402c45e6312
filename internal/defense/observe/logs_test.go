package observe

import (
	"bufio"
	"compress/gzip"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const logs = "../../../../shared/data/logs/"

var combined = regexp.MustCompile(`^(\S+) \S+ \S+ \[[^\]]+\] "(\S+) ([^ ?"]*)\??([^ "]*)[^"]*" (\d+) (\S+) "[^"]*" "(.*)"$`)

type line struct {
	visit   traffic.Visit
	outcome traffic.Outcome
}

// replay reads an access log, or skips the test where it is missing.
func replay(t *testing.T, name string) (all []line) {
	t.Helper()
	f, err := os.Open(logs + name)
	if err != nil {
		t.Skipf("needs %s: %v", logs+name, err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(z); s.Scan(); {
		m := combined.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		a, err := netip.ParseAddr(m[1])
		if err != nil {
			continue
		}
		status, _ := strconv.Atoi(m[5])
		bytes, _ := strconv.ParseInt(m[6], 10, 64)
		all = append(all, line{
			traffic.Visit{Client: a, Peer: a, Method: m[2], Path: m[3], RawQuery: m[4], UserAgent: m[7]},
			traffic.Outcome{Status: status, BytesOut: bytes, Reached: true, OriginTime: time.Millisecond, Took: 2 * time.Millisecond},
		})
	}
	return all
}

// TestRealLogs records real traffic and a cache-bypassing flood and compares
// the windows with exact counts.
func TestRealLogs(t *testing.T) {
	for _, name := range []string{"elastic-apache.log.gz", "crowdsec-http_dos_bypass_cache.log.gz"} {
		t.Run(name, func(t *testing.T) {
			all := replay(t, name)
			synctest.Test(t, func(t *testing.T) {
				o := New(DefaultConfig(), clock.New())
				for len(all) > 0 {
					part := all[:min(2500, len(all))]
					all = all[len(part):]
					exact := [traffic.Fields]map[string]uint64{}
					for f := range exact {
						exact[f] = map[string]uint64{}
					}
					var bytes, errors uint64
					for i := range part {
						l := &part[i]
						o.Record(&l.visit, mitigation.Verdict{}, l.outcome)
						kept := l.visit.Keep(l.outcome, false)
						for f := range exact {
							exact[f][kept.Visit.Key(traffic.Field(f))]++
						}
						bytes += uint64(l.outcome.BytesOut)
						if l.outcome.Status >= 500 {
							errors++
						}
					}
					time.Sleep(time.Second)
					w := o.Cut(traffic.Origin{})
					if w.Offered != uint64(len(part)) || w.BytesOut != bytes || w.Felt[0].Served != w.Offered-errors {
						t.Errorf("offered %d, %d bytes, %d served; want %d, %d, %d",
							w.Offered, w.BytesOut, w.Felt[0].Served, len(part), bytes, w.Offered-errors)
					}
					if len(w.Samples) < min(len(part), 1800) {
						t.Errorf("%d samples of %d", len(w.Samples), len(part))
					}
					clients := float64(len(exact[traffic.FieldClient]))
					if c := float64(w.Clients); c < 0.9*clients || c > 1.1*clients {
						t.Errorf("%v clients, want %v", c, clients)
					}
					for f, top := range w.Top {
						for i, h := range top {
							x := exact[f][h.Key]
							if h.Count < x || h.Count-h.Error > x {
								t.Errorf("%s %q: %d outside [%d, %d]", traffic.Field(f), h.Key, x, h.Count-h.Error, h.Count)
							}
							if i > 0 && h.Count > top[i-1].Count {
								t.Errorf("%s: not the largest first", traffic.Field(f))
							}
						}
						for k, n := range exact[f] {
							// Whatever is a twentieth of a window must be told.
							if n*20 > w.Offered && !has(top, k) {
								t.Errorf("%s %q, %d of %d, is missing", traffic.Field(f), k, n, w.Offered)
							}
						}
					}
				}
			})
		})
	}
}

func has(top []traffic.Heavy, key string) bool {
	for _, h := range top {
		if h.Key == key {
			return true
		}
	}
	return false
}
