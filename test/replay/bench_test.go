package replay

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkReplay reads logs of ordinary days: of a busy site that thousands read at a time,
// of one with a fifth of the requests and ever new visitors, so that there are more windows and
// fewer who come again, and of one that a few hundred read. What it tells is the processor's
// time, of all threads; with -cpu 1 there are hardly any others; and, as processors differ and
// those that are shared differ from minute to minute, how many times as much GoAccess takes in
// the same run, which counts what is in a log and judges nothing.
func BenchmarkReplay(b *testing.B) {
	for _, c := range []struct {
		name             string
		clients, a, secs int     // a: requests a second
		leave            float64 // of the clients, with each request: another one comes in its place
	}{
		{"dense", 5000, 2000, 400, 0},
		{"sparse", 4000, 400, 900, 0.08},
		{"few", 240, 4000, 200, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := &readers{logbook: logbook{rng: rand.New(rand.NewPCG(1, 2))}, leave: c.leave}
			for range c.clients {
				r.come()
			}
			f, err := os.Create(filepath.Join(b.TempDir(), "access.log"))
			if err != nil {
				b.Fatal(err)
			}
			r.w = bufio.NewWriterSize(f, 1<<20)
			for s := range c.secs {
				for range c.a {
					r.read(morning.Add(time.Duration(s) * time.Second))
				}
			}
			_ = r.w.Flush()
			_ = f.Close()
			lines := uint64(c.a * c.secs)
			var ours, peers time.Duration
			for b.Loop() { // in turns, for who shares the processor comes and goes
				began := processorTime(syscall.RUSAGE_SELF)
				if r := replayed(b, "", f.Name()); r.Requests.All != lines || len(r.Attacks) > 0 {
					b.Fatalf("%d lines, %d attacks", r.Requests.All, len(r.Attacks))
				}
				ours += processorTime(syscall.RUSAGE_SELF) - began
				peers += goAccess(b, f.Name(), lines)
			}
			each := float64(ours) / float64(lines) / float64(b.N)
			b.ReportMetric(each, "ns/line")
			b.ReportMetric(float64(time.Second)/each, "lines/s")
			b.ReportMetric(float64(peers)/float64(ours), "GoAccess/ours")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// goAccess is how much of a processor's time GoAccess takes to read a log.
func goAccess(b *testing.B, file string, lines uint64) time.Duration {
	out := filepath.Join(b.TempDir(), "report.json")
	began := processorTime(syscall.RUSAGE_CHILDREN)
	cmd := exec.CommandContext(b.Context(), "goaccess", file, "--log-format=COMBINED", "--no-global-config", "--no-progress", "-o", out)
	if said, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s (this benchmark needs GoAccess: apt install goaccess)", err, said)
	}
	took := processorTime(syscall.RUSAGE_CHILDREN) - began
	var report struct {
		General struct {
			Read uint64 `json:"valid_requests"`
		} `json:"general"`
	}
	if got, err := os.ReadFile(out); err != nil || json.Unmarshal(got, &report) != nil || report.General.Read != lines {
		b.Fatalf("GoAccess read %d of %d lines: %v", report.General.Read, lines, err)
	}
	return took
}

// processorTime is what this process, or those it waited for, used so far.
func processorTime(who int) time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(who, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// readers are those of a site at a time, each with a browser.
type readers struct {
	logbook
	here  [][2]string // address, agent
	leave float64
}

func (r *readers) come() {
	n := 100 + r.rng.IntN(30)
	agents := [...]string{
		fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%[1]d.0", n),
		fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", n),
		fmt.Sprintf("Mozilla/5.0 (iPhone; CPU iPhone OS 17_%d like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1", n%8),
	}
	r.here = append(r.here, [2]string{
		fmt.Sprintf("%d.%d.%d.%d", 77+r.rng.IntN(17), r.rng.IntN(256), r.rng.IntN(256), 1+r.rng.IntN(254)), agents[r.rng.IntN(len(agents))],
	})
}

// read is a request of one of them: three in ten for a page, of which some have a query, the
// others for what pages are made of.
func (r *readers) read(at time.Time) {
	if r.rng.Float64() < r.leave {
		r.come()
		gone := r.rng.IntN(len(r.here) - 1)
		r.here[gone] = r.here[len(r.here)-1]
		r.here = r.here[:len(r.here)-1]
	}
	who := r.here[r.rng.IntN(len(r.here))]
	page := fmt.Sprintf("/news/%d-a-title-of-some-length", r.rng.IntN(400))
	switch n := r.rng.IntN(100); {
	case n < 3:
		r.line(at, who[0], fmt.Sprintf("%s?q=%d&page=%d", page, r.rng.IntN(1000), r.rng.IntN(9)), "-", who[1])
	case n < 30:
		r.line(at, who[0], page, "-", who[1])
	default:
		r.line(at, who[0], fmt.Sprintf("/img/photo-%d.jpg", r.rng.IntN(600)), "https://site.example"+page, who[1])
	}
}
