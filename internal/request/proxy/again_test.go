package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// asked is somebody in line, with what they are told when they are asked again.
type asked struct {
	stays bool
	rank  mitigation.Rank
	times atomic.Int32
}

func (a *asked) reconsider() (bool, mitigation.Rank) {
	a.times.Add(1)
	return a.stays, a.rank
}

// Who is in line is asked again: who is turned away leaves, who is slowed waits in the
// line of the suspects, and the others keep their places. Known visitors are not asked.
func TestLineIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(4, 1, 16, clock.New())
		var first [4]Slot
		for i := range first {
			if _, err := g.Acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &first[i]); err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		var log []string
		join := func(name string, rank mitigation.Rank, a *asked) {
			go func() {
				var s Slot
				_, err := g.acquire(context.Background(), rank, netip.Addr{}, &s, a)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					log = append(log, fmt.Sprint(name, ": ", err))
					return
				}
				log = append(log, name)
				s.Release()
			}()
			synctest.Wait()
		}
		newcomer, suspect := mitigation.RankNewcomer, mitigation.RankSuspect
		flood, slowed, one, two, known := &asked{}, &asked{stays: true, rank: suspect},
			&asked{stays: true, rank: newcomer}, &asked{stays: true, rank: newcomer}, &asked{}
		join("flood", newcomer, flood)
		join("slowed", newcomer, slowed)
		join("one", newcomer, one)
		join("two", newcomer, two)
		join("known", mitigation.RankKnown, known)
		for range 3 { // what nobody has read yet is said once
			g.Reconsider()
		}
		synctest.Wait()
		if g.Gauges().Waiting != 4 || g.lines[suspect].n != 1 || g.lines[newcomer].n != 2 {
			t.Errorf("%+v; %d suspects, %d newcomers", g.Gauges(), g.lines[suspect].n, g.lines[newcomer].n)
		}
		for i := range first {
			first[i].Release()
			synctest.Wait()
		}
		if got, want := strings.Join(log, ", "), "flood: "+errTurned.Error()+", known, one, two, slowed"; got != want {
			t.Errorf("%s; want %s", got, want)
		}
		if flood.times.Load() == 0 || known.times.Load() != 0 {
			t.Errorf("asked %d and %d times", flood.times.Load(), known.times.Load())
		}
		if got := g.Gauges(); got.InFlight+got.Waiting != 0 {
			t.Errorf("left over: %+v", got)
		}
	})
}

// Whoever is slowed while in line has a suspect's patience from then on.
func TestSlowedInLineIsPatientForLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1, 1, 16, clock.New())
		var first, s Slot
		if _, err := g.Acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &first); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(100*time.Millisecond, g.Reconsider)
		took, err := g.acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &s, &asked{stays: true, rank: mitigation.RankSuspect})
		if want := 100*time.Millisecond + patience[mitigation.RankSuspect]; !errors.Is(err, errFull) || took != want {
			t.Errorf("after %v: %v; want to have waited for %v", took, err, want)
		}
		first.Release()
	})
}

// Whom an order meets while they wait is told so at once, by either road, and the
// verdict that counts is the new one.
func TestTurnedAwayInLine(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			hold := make(chan struct{})
			var reached atomic.Int32
			origin := site(t, func(w http.ResponseWriter, r *http.Request) {
				reached.Add(1)
				<-hold
			})
			defer close(hold)
			cfg := testConfig(origin.URL)
			cfg.MaxInFlight = 1
			h := newHouse(t, cfg)
			h.AskAgain(func(v *traffic.Visit, was mitigation.Verdict) mitigation.Verdict {
				if v.Client == netip.MustParseAddr("192.0.2.7") {
					return mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, ID: 9}
				}
				return was
			})
			go func() { _, _ = http.Get("http://" + h.addr + "/") }()
			eventually(t, "somebody at the origin", func() bool { return reached.Load() == 1 })
			status := make(chan int, 1)
			go func() {
				req, _ := http.NewRequest(method, "http://"+h.addr+"/", strings.NewReader(strings.Repeat("a=b&", len(method)-3)))
				req.Header.Set("Test-Client", "192.0.2.7")
				if res, err := http.DefaultClient.Do(req); err == nil {
					status <- res.StatusCode
					res.Body.Close()
				} else {
					status <- 0
				}
			}()
			eventually(t, "somebody in line", func() bool { return h.Origin().Waiting == 1 })
			h.Reconsider()
			if got := <-status; got != http.StatusServiceUnavailable {
				t.Errorf("answered %d", got)
			}
			if o := h.last(t, 1); o.Shed || o.Reached || o.Waited > patience[mitigation.RankNewcomer]/2 {
				t.Errorf("%+v", o)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if len(h.judged) != 1 || h.judged[0].ID != 9 || reached.Load() != 1 {
				t.Errorf("judged %+v; %d reached the origin", h.judged, reached.Load())
			}
		})
	}
}

type askedFunc func() (bool, mitigation.Rank)

func (f askedFunc) reconsider() (bool, mitigation.Rank) { return f() }

// Who is turned away while a place comes free for them, or while somebody better takes
// theirs in line, is turned away.
func TestTurnedAwayAtTheSameMoment(t *testing.T) {
	for _, evicted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := NewGate(1, 1, 1, clock.New())
			var first, s Slot
			if _, err := g.Acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &first); err != nil {
				t.Fatal(err)
			}
			in := make(chan error, 1)
			go func() {
				_, err := g.acquire(context.Background(), mitigation.RankNewcomer, netip.Addr{}, &s, askedFunc(func() (bool, mitigation.Rank) {
					if evicted {
						ctx, cancel := context.WithCancel(context.Background())
						cancel()
						var better Slot
						_, _ = g.Acquire(ctx, mitigation.RankKnown, netip.Addr{}, &better)
					} else {
						first.Release()
					}
					return false, mitigation.RankSuspect
				}))
				in <- err
			}()
			synctest.Wait()
			g.Reconsider()
			if err := <-in; !errors.Is(err, errTurned) {
				t.Errorf("evicted %v: %v", evicted, err)
			}
			s.Release()
			first.Release()
			if got := g.Gauges(); got.InFlight+got.Waiting != 0 {
				t.Errorf("evicted %v: left over: %+v", evicted, got)
			}
		})
	}
}

// Who was let in before an order, and whose form comes after it, meets the order as those
// in line do. A door that fails when it is asked again changes nothing.
func TestOrderWhileAFormIsRead(t *testing.T) {
	for _, fails := range []bool{false, true} {
		hold := make(chan struct{})
		var reached atomic.Int32
		origin := site(t, func(w http.ResponseWriter, r *http.Request) {
			if reached.Add(1) == 1 {
				<-hold
			}
		})
		cfg := testConfig(origin.URL)
		cfg.MaxInFlight = 1
		h := newHouse(t, cfg)
		h.AskAgain(func(*traffic.Visit, mitigation.Verdict) mitigation.Verdict {
			if fails {
				panic("a broken door")
			}
			return mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, ID: 9}
		})
		go func() { _, _ = http.Get("http://" + h.addr + "/") }()
		eventually(t, "somebody at the origin", func() bool { return reached.Load() == 1 })
		c, br := dialHouse(t, h.addr)
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na=")
		time.Sleep(100 * time.Millisecond) // it was let in
		h.Reconsider()
		fmt.Fprintf(c, "bc")
		if fails {
			eventually(t, "it is in line", func() bool { return h.Origin().Waiting == 1 })
			close(hold)
		}
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{false: http.StatusServiceUnavailable, true: http.StatusOK}[fails]; res.StatusCode != want {
			t.Errorf("the door fails %v: %s", fails, res.Status)
		}
		if !fails {
			if o := h.last(t, 1); o.Shed || o.Waited > 0 {
				t.Errorf("%+v", o)
			}
			close(hold)
		}
	}
}
