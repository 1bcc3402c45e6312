package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"seawall/internal/demo/crowd"
	"seawall/internal/demo/flood"
	"seawall/internal/demo/site"
	"seawall/internal/kit/freeport"
)

// host is what visitors and bots call the site.
const host = "larkmere.test"

// The phases of a run, as the crowd calls them.
const (
	phaseArrive = "arriving" // not measured: everybody connects at once
	phaseQuiet  = "quiet"
	phaseDuring = "during"
	phaseAfter  = "after"
)

// The groups of visitors.
const (
	regulars  = "regulars"
	newcomers = "newcomers"
)

// arriving is how long the visitors take to arrive before anything is measured.
const arriving = 5 * time.Second

// session is one run.
type session struct {
	o     Options
	env   Env
	dir   string
	api   *api
	crowd *crowd.Crowd

	site, shield, flood *child
	siteAddrs           SiteAddrs
	front, admin        string // addresses; admin is "" without Seawall
	look                *look
	heard               chan struct{} // closed when the flood's last report is read

	begun, ended time.Time // of the flood; zero before

	mu        sync.Mutex // guards what sample writes and the view reads
	phase     string
	now       status
	calmSince time.Time      // valid iff now.calm()
	flooded   flood.Counts   // the flood's last report
	series    []flood.Counts // all reports
	reached   []reach        // what the site counted, all samples
	use       usage          // of Seawall, last
	use0      usage          // and before the flood
	peak      int64          // of its resident memory
	records   []record       // of Seawall, each once
	did       map[uint32]doing
}

// reach is what had reached the site at a moment.
type reach struct {
	at    time.Time
	stats site.Stats
}

// Run shows the demo and returns its Summary. It returns an error when a part
// broke; ctx ends it early. Nothing that it started outlives it.
func Run(ctx context.Context, o Options, env Env) (Summary, error) {
	if err := o.Validate().Err(); err != nil {
		return Summary{}, fmt.Errorf("demo: %w", err)
	}
	s := &session{o: o, env: env, api: newAPI(), did: map[uint32]doing{}, heard: make(chan struct{})}
	var err error
	if s.dir, err = os.MkdirTemp("", "seawall-demo-"); err != nil {
		return Summary{}, fmt.Errorf("demo: %w", err)
	}
	defer os.RemoveAll(s.dir)
	defer s.stopAll()

	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	if err := s.startAll(); err != nil {
		return Summary{}, fmt.Errorf("demo: %w", err)
	}
	if s.look != nil {
		wg.Go(func() { s.look.serve(ctx) })
	}
	if s.crowd != nil {
		wg.Go(func() { s.crowd.Run(ctx) })
	}
	go s.hear() // ends when stopAll has ended the flood
	wg.Go(func() { s.watch(ctx, cancel) })

	v := newView(s)
	var shown sync.WaitGroup
	viewCtx, stopView := context.WithCancel(ctx)
	shown.Go(func() { v.run(viewCtx) })
	err = s.play(ctx)
	stopView()
	shown.Wait()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		return Summary{}, fmt.Errorf("demo: %w", err)
	}
	sum := s.summary()
	if err := sum.print(o, env); err != nil {
		return sum, fmt.Errorf("demo: %w", err)
	}
	if o.Keep {
		v.stayUp()
		<-ctx.Done()
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			return sum, fmt.Errorf("demo: %w", cause)
		}
	}
	return sum, nil
}

// startAll starts the site, what stands in front, and the flood, which waits.
func (s *session) startAll() error {
	extra := 0
	if s.o.Kind == Crowd {
		extra = s.o.Visitors * (crowdFactor - 1)
	}
	// One address more is the person's who looks at it.
	visitors := s.env.Addresses("GB", s.o.Visitors+s.o.Newcomers+extra+1)
	if len(visitors) < s.o.Visitors+s.o.Newcomers+extra+1 {
		return fmt.Errorf("only %d addresses for visitors", len(visitors))
	}
	sources, err := s.sources()
	if err != nil {
		return err
	}
	cfg := s.o.Site
	cfg.Visitors = visitors
	relaySite := s.o.Front == FrontNone && s.o.relayed()
	s.site, err = start("the campaign site", s.env.Executable, s.env.Role(roleSite), SiteSpec{
		Listen: s.o.SiteListen, StatsListen: "127.0.0.1:0", Relay: relaySite, Config: cfg,
	})
	if err != nil {
		return err
	}
	if err := s.site.hear(&s.siteAddrs, 10*time.Second); err != nil {
		return err
	}
	switch s.o.Front {
	case FrontNone:
		s.front = s.siteAddrs.Site
	case FrontOther:
		s.front = s.o.Through
	default:
		if err := s.startShield(); err != nil {
			return err
		}
	}
	to, err := netip.ParseAddrPort(s.front)
	if err != nil {
		return fmt.Errorf("the front's address: %w", err)
	}
	var head func(netip.AddrPort) []byte
	if s.o.relayed() {
		head = preface(to)
	}
	if s.o.Kind != Crowd && s.o.Kind != None {
		if err := s.startFlood(sources); err != nil {
			return err
		}
	}
	if s.o.Visitors > 0 {
		s.crowd, err = crowd.New(crowd.Config{
			Target: to, Host: host, Addresses: visitors, Browsers: browsers(), Rate: s.o.Rate,
			Patience: botPatience, Seed: 1, Preface: head, Check: site.Check,
		})
		if err != nil {
			return err
		}
	}
	if s.o.LookAt != "" {
		s.look, err = openLook(s.o.LookAt, s.front, visitors[len(visitors)-1], head)
	}
	return err
}

// sources are the addresses of the bots: three of five in Russia, two in Brazil.
func (s *session) sources() ([]netip.Addr, error) {
	n := 0
	switch s.o.Kind {
	case Heavy:
		n = heavySources
	case Wide:
		n = wideSources
	default:
		return nil, nil
	}
	ru, br := s.env.Addresses("RU", n*3/5), s.env.Addresses("BR", n-n*3/5)
	if len(ru)+len(br) != n {
		return nil, fmt.Errorf("only %d addresses for bots", len(ru)+len(br))
	}
	// Mixed, so that at any moment both countries send.
	list := make([]netip.Addr, 0, n)
	for len(ru)+len(br) > 0 {
		ru, list = take(ru, list, 3)
		br, list = take(br, list, 2)
	}
	return list, nil
}

func take(from, to []netip.Addr, n int) (rest, list []netip.Addr) {
	n = min(n, len(from))
	return from[n:], append(to, from[:n]...)
}

func (s *session) startShield() error {
	free, err := freeport.Loopback(2)
	if err != nil {
		return err
	}
	s.front, s.admin = free[0], free[1]
	args, err := s.env.Shield(ShieldSpec{
		Dir: s.dir, Listen: s.front, Admin: s.admin, Origin: "http://" + s.siteAddrs.Site,
		Relay: s.o.relayed(), Forwarded: !s.o.relayed(), Memory: s.o.Memory,
	})
	if err != nil {
		return fmt.Errorf("prepare Seawall: %w", err)
	}
	if s.shield, err = start("Seawall", s.env.Executable, args, nil); err != nil {
		return err
	}
	// What Seawall prints is its own log; only its admin API is asked.
	go func() {
		for range s.shield.lines {
		}
	}()
	for until := time.Now().Add(20 * time.Second); ; {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := s.api.get(ctx, "http://"+s.admin+"/readyz", nil)
		cancel()
		switch {
		case err == nil:
			return nil
		case !s.shield.alive():
			return s.shield.failed(errors.New("it ended before it was ready"))
		case time.Now().After(until):
			return s.shield.failed(fmt.Errorf("it is not ready: %w", err))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *session) startFlood(sources []netip.Addr) error {
	role := roleFlood
	if !s.o.relayed() {
		role = roleSpread
	}
	var err error
	s.flood, err = start("the flood", s.env.Executable, s.env.Role(role), FloodSpec{
		Guise: s.o.Guise,
		Kind:  s.o.Kind, Target: s.front, Host: host, Sources: sources,
		Length:   time.Duration(s.o.Seconds) * time.Second,
		Requests: s.o.Requests, Rate: s.o.FloodRate,
	})
	if err != nil {
		return err
	}
	var ready struct{ Ready bool }
	return s.flood.hear(&ready, 10*time.Second)
}

// stopAll ends every child, the attacker first.
func (s *session) stopAll() {
	for _, c := range []*child{s.flood, s.shield, s.site} {
		if c != nil {
			c.stop()
		}
	}
}
