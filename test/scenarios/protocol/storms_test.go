package protocol

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"seawall/test/scenarios/protocol/storm"
)

// plan is how hard and how long everything is attacked.
type plan struct {
	factor   float64       // of each attack's usual intensity
	duration time.Duration // of each attack
	settle   time.Duration // before it, for visitors to read their first page
	patience time.Duration // Seawall's, with heads, bodies and answers; 0: as it is by default
	more     []config      // of Seawall's settings
}

// Bars.
const (
	leastServed = 0.999
	mostCores   = 1.2 // of Seawall, on average during an attack: the rest is the site's
)

// inLine names the attacks that ask the origin for something and are slow about it,
// or ask for very much at once, from many addresses. Nothing tells their requests from those of people
// who come for the first time, and so both stand in the same line: newcomers' share
// is shown and not judged. Who was there before passes them all.
func inLine() []string {
	return []string{"slow bodies", "slow bodies at a rate", "slow readers", "trickling readers",
		"HTTP/2 slow bodies", "HTTP/2 slow readers", "HTTP/2 unread", "too many streams", "HPACK bomb, zero window"}
}

// tries is how often an attack may be measured: something else may run on the same
// processors at the same time.
const tries = 2

// row is what one attack did and met.
type row struct {
	name       string
	sent       storm.Sent
	unit       string
	stay, news tally
	cpu, own   float64 // cores
	rss        int64
	missed     []string
}

const header = "attack                        sent                        visitors       p99   newcomers       p99   memory  cores  ours"

func (r *row) String() string {
	return fmt.Sprintf("%-28s  %-26s  %7.2f %% %7.0f ms  %7.2f %% %7.0f ms  %4d MB  %5.2f  %4.2f", r.name, fmt.Sprintf("%d %s", r.sent.Units, r.unit),
		100*r.stay.share(), float64(r.stay.p99())/1e6, 100*r.news.share(), float64(r.news.p99())/1e6, r.rss>>20, r.cpu, r.own)
}

// TestStorms attacks in every way that Seawall can be spoken to.
func TestStorms(t *testing.T) {
	p := plan{factor: 1, duration: 2 * time.Second, settle: 700 * time.Millisecond, patience: time.Second}
	t.Log(header)
	for _, a := range p.todo(t) {
		t.Run(a.Name, func(t *testing.T) {
			if a.Needs == storm.HTTP2 {
				t.Parallel() // they leave most of the processors idle
			}
			for try := 1; ; try++ {
				r := p.weather(t, a)
				t.Logf("%s\n%v", r, r.sent)
				if len(r.missed) == 0 {
					return
				}
				if try == tries {
					t.Errorf("missed %d times:\n%s", tries, strings.Join(r.missed, "\n"))
					return
				}
			}
		})
	}
}

// BenchmarkStorms does so for longer, with Seawall's own times. STORM_SECONDS,
// STORM_FACTOR and STORM_ONLY (a part of a name) change that; STORM_HTTP3=on has HTTP/3
// spoken too, for which there is less memory for each connection.
func BenchmarkStorms(b *testing.B) {
	p := plan{factor: number("STORM_FACTOR", 2), settle: 2 * time.Second,
		duration: time.Duration(number("STORM_SECONDS", 20) * float64(time.Second))}
	if os.Getenv("STORM_HTTP3") == "on" {
		p.more = []config{{"http3": true}}
	}
	fmt.Println(header)
	for _, a := range p.todo(b) {
		b.Run(a.Name, func(b *testing.B) {
			for b.Loop() {
				r := p.weather(b, a)
				fmt.Println(r)
				for _, m := range r.missed {
					fmt.Println("    MISSED", m)
				}
				b.ReportMetric(100*r.stay.share(), "%served")
				b.ReportMetric(float64(r.rss>>20), "MB")
				b.ReportMetric(r.cpu, "cores")
				b.ReportMetric(float64(r.sent.Units), "sent")
			}
		})
	}
}

func number(key string, otherwise float64) float64 {
	if n, err := strconv.ParseFloat(os.Getenv(key), 64); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// calm is no attack at all: what everything else is compared with.
const calm = "none"

// todo lists the attacks on what is spoken at all.
func (p plan) todo(t testing.TB) []storm.Attack {
	t.Helper()
	w := start(t, newSite(t).addr, 0, p.more...)
	defer w.end()
	http2, http3 := speaks(t, w.secure, "h2"), speaksQUIC(t, w.secure)
	list := []storm.Attack{{Name: calm}}
	for _, a := range storm.Attacks() {
		switch {
		case a.Needs == storm.HTTP2 && !http2, a.Needs == storm.HTTP3 && !http3:
			continue
		}
		if strings.Contains(a.Name, os.Getenv("STORM_ONLY")) {
			list = append(list, a)
		}
	}
	return list
}

// weather starts a Seawall, has visitors come, attacks, and judges.
func (p plan) weather(t testing.TB, a storm.Attack) *row {
	t.Helper()
	s := newSite(t)
	w := start(t, s.addr, p.patience, p.more...)
	defer w.end()
	http2 := speaks(t, w.secure, "h2")
	c := visit(w, s, http2)
	time.Sleep(p.settle)
	r := &row{name: a.Name, unit: a.Unit}
	to := w.target()
	if speaksQUIC(t, w.secure) {
		to.QUIC = w.secure
	}

	c.forget()
	m := measure(t, w.cmd.Process.Pid)
	ctx, cancel := context.WithTimeout(t.Context(), p.duration)
	defer cancel()
	if a.Name == calm {
		<-ctx.Done()
	} else {
		var err error
		if r.sent, err = a.Run(ctx, to, p.factor); err != nil {
			t.Fatal(err)
		}
	}
	if w.runs() {
		r.cpu, r.own, r.rss = m.read(t)
	}
	c.leave()
	r.stay, r.news = c.felt()
	r.judge(t, a, w, s, c)
	return r
}

// judge holds what was measured to the bars.
func (r *row) judge(t testing.TB, a storm.Attack, w *wall, s *site, c *crowd) {
	t.Helper()
	miss := func(bad bool, format string, args ...any) {
		if bad {
			r.missed = append(r.missed, fmt.Sprintf(format, args...))
		}
	}
	if !w.runs() {
		miss(true, "Seawall has ended:\n%s", w.log)
		return
	}
	miss(r.stay.share() < leastServed, "visitors: %d of %d requests served: %v", r.stay.served, r.stay.asked, r.stay.wrong)
	miss(r.news.share() < leastServed && !slices.Contains(inLine(), a.Name), "newcomers: %d of %d requests served: %v", r.news.served, r.news.asked, r.news.wrong)
	miss(r.rss > ceiling, "%d MB of memory", r.rss>>20)
	miss(r.cpu > mostCores, "%.2f cores", r.cpu)
	if a.Name != calm {
		miss(r.sent.Units == 0, "the attack did not happen: %v", r.sent)
	}
	s.mu.Lock()
	miss(s.unmarked.Load() > 0, "the origin saw %d requests that Seawall did not write, the first: %s", s.unmarked.Load(), s.first)
	s.mu.Unlock()
	miss(s.manyRanges.Load() > 0, "the origin was asked %d times for more than %d ranges at once", s.manyRanges.Load(), mostRange)
	if err := c.everyWayOpen(t); err != nil {
		miss(true, "after the attack: %v", err)
	}
}
