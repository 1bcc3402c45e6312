package proxy

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkKnownVisitorsInFlood is the main scenario over real connections: an
// origin of 5 workers x 10 ms, 80 requests a second of known visitors, and a
// flood of 2,000 a second that nothing has detected. It prints what the known
// ones felt, in milliseconds; the same without a machine's noise, and with its
// bars, is TestFloodBehindTheGate.
func BenchmarkKnownVisitorsInFlood(b *testing.B) {
	for b.Loop() {
		quiet, known, flood := knownInFlood(b)
		ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
		b.ReportMetric(ms(quiet.quantile(.99)), "quiet-p99-ms")
		b.ReportMetric(ms(known.quantile(.5)), "known-p50-ms")
		b.ReportMetric(ms(known.quantile(.99)), "known-p99-ms")
		b.ReportMetric(float64(known.shed), "known-failed")
		b.ReportMetric(float64(flood.shed)/float64(max(1, flood.sent)), "flood-shed")
	}
}

func knownInFlood(t testing.TB) (quiet, known, flood *visitorsFelt) {
	workers, rate := make(workers, 5), 2000.0
	origin := site(t, func(w http.ResponseWriter, r *http.Request) {
		workers.serve(10 * time.Millisecond)
		io.WriteString(w, "page")
	})
	h := newHouse(t, testConfig(origin.URL))
	// Clients cost a process of their own in life; here they must cost little,
	// so they only write and read, over kept connections.
	transport := &http.Transport{MaxIdleConnsPerHost: 2048}
	defer transport.CloseIdleConnections()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	ask := func(rank string, f *visitorsFelt) func() {
		return func() {
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+h.addr+"/", nil)
			req.Header.Set("Test-Rank", rank)
			begin := time.Now()
			res, err := transport.RoundTrip(req)
			if err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != 200 {
					err = errFull
				}
			}
			f.add(time.Since(begin), err)
		}
	}
	quiet, known, flood = new(visitorsFelt), new(visitorsFelt), new(visitorsFelt)
	run := func(rate float64, d time.Duration, f func()) *sync.WaitGroup {
		return poisson(rand.New(rand.NewPCG(1, uint64(rate))), rate, d, f)
	}
	run(80, span+200*time.Millisecond, ask("known", quiet)).Wait()
	var both sync.WaitGroup
	for _, g := range []struct {
		rate float64
		f    func()
	}{{80, ask("known", known)}, {rate, ask("", flood)}} {
		both.Go(func() {
			calls := run(g.rate, 2500*time.Millisecond, g.f)
			time.Sleep(200 * time.Millisecond) // known visitors have their answers
			leave()
			calls.Wait()
		})
	}
	both.Wait()
	return quiet.felt(), known.felt(), flood.felt()
}

// benchmarkProxy measures one kept connection's requests, one after another;
// client, proxy and origin share the process.
func benchmarkProxy(b *testing.B, handler http.Handler) {
	srv := &http.Server{Handler: handler}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()
	c, br := dialHouse(b, l.Addr().String())
	c.SetDeadline(time.Time{})
	b.ReportAllocs()
	for b.Loop() {
		io.WriteString(c, "GET /a/b?c=d HTTP/1.1\r\nHost: a.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\nAccept-Language: en\r\nCookie: a=b\r\n\r\n")
		readHead(br)
		if _, err := br.Discard(1024); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkOrigin answers 1 KiB as cheaply as Go can.
func benchmarkOrigin(b *testing.B) string {
	answer := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1024\r\n\r\n"), slices.Repeat([]byte("x"), 1024)...)
	return rawSite(b, func(_ int, c net.Conn, br *bufio.Reader) {
		for {
			if raw, err := readBlock(br, nil, 1<<16); err != nil || len(raw) == 0 {
				return
			}
			c.Write(answer)
		}
	})
}

func BenchmarkProxy(b *testing.B) {
	h := newHouse(b, testConfig(benchmarkOrigin(b)))
	benchmarkProxy(b, h.Proxy)
}

// BenchmarkReverseProxy is net/http/httputil's, for comparison.
func BenchmarkReverseProxy(b *testing.B) {
	u, _ := url.Parse(benchmarkOrigin(b))
	benchmarkProxy(b, &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(u); p.SetXForwarded() }})
}

// BenchmarkOriginDirect is the same exchange without any proxy: what client and
// origin cost.
func BenchmarkOriginDirect(b *testing.B) {
	u, _ := url.Parse(benchmarkOrigin(b))
	c, br := dialHouse(b, u.Host)
	c.SetDeadline(time.Time{})
	for b.Loop() {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		readHead(br)
		br.Discard(1024)
	}
}
