package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/config"
	"seawall/internal/dashboard"
	"seawall/internal/defense"
	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/problem"
	"seawall/internal/kit/sealed"
	"seawall/internal/packet"
	"seawall/internal/request/admit"
	"seawall/internal/request/identify"
	"seawall/internal/request/identify/geo"
	"seawall/internal/request/listen"
	"seawall/internal/request/refuse"
	"seawall/internal/traffic"
)

// Options are what main knows and the configuration does not.
type Options struct {
	Version string
	Load    func() (*config.Config, error) // reads the configuration again
	Reload  <-chan os.Signal               // asks for that
	Log     io.Writer
	Ready   func(where string) // called once, when requests are served
	Session string             // SSH_CONNECTION of the person who starts it at a terminal
}

// drainTime is how long requests in flight may take to finish at the end.
const drainTime = 30 * time.Second

// program is everything that runs. It is made by build and ended by stop.
type program struct {
	version string
	load    func() (*config.Config, error)
	log     *slog.Logger
	level   *slog.LevelVar
	cfg     atomic.Pointer[config.Config]

	clk    *clock.Clock
	box    *sealed.Box
	lock   *os.File
	door   *door
	packet *packet.Packet
	bans   *bans
	listen *listen.Server
	loop   *defense.Loop
	admin  *dashboard.Server

	operator  []netip.Prefix // the client of the person who started this from afar
	reloading sync.Mutex     // guards written
	written   config.Config  // cfg as people wrote it, before fit
	retiring  sync.WaitGroup // rooms that a reload has replaced
	ending    chan struct{}  // closed when they must go
	off       atomic.Bool
	followed  atomic.Bool // what the switch in the data folder was seen to say
	draining  atomic.Bool
}

// Run serves until ctx ends, then lets requests in flight finish. All that is
// wrong at the start comes back as config.Errors, at once.
func Run(ctx context.Context, cfg *config.Config, o Options) error {
	p, err := build(cfg, o)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.bind(); err != nil {
		return err
	}
	if readOff(cfg.Data) {
		p.off.Store(true)
		p.followed.Store(true)
		p.turnOff(true)
		p.log.Warn("switched off: everything passes; `seawall on` defends again")
	}

	p.packet.Start(p.ports())
	if p.packet.Table() != "" {
		if err := p.sayRunning(); err != nil {
			return err
		}
	}

	// The loop and the admin address outlive the listeners, so that the drain
	// itself is defended and can be watched.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	failed := make(chan error, 7) // one for each part below
	start := func(name string, f func(context.Context) error) {
		running.Go(func() {
			if err := f(background); err != nil && background.Err() == nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	start("control loop", p.loop.Run)
	start("admin address", p.admin.Serve)
	start("door", func(ctx context.Context) error { p.door.admit.Run(ctx); return nil })
	start("switch", p.watch)
	start("packet filter", p.packet.Run)
	start("bans", p.bans.Run)
	start("captures", p.keepCaptures)
	serving := make(chan error, 1)
	go func() { serving <- p.listen.Serve(background) }()
	p.log.Info("ready", "listen", p.where(), "admin", p.admin.Addr().String(), "origins", p.origins(), "version", p.version)
	if o.Ready != nil {
		o.Ready(fmt.Sprintf("%s admin http://%s", strings.Join(p.listen.URLs(), " "), p.admin.Addr()))
	}

	for going := true; going; {
		select {
		case <-ctx.Done():
			going = false
		case err = <-serving:
			going = false
		case err = <-failed:
			// A part broke, and traffic goes on: requests pass, the operator is told.
			p.log.Error("a part of Seawall stopped working; requests pass undefended", "err", err)
			p.setOff(true)
			err = nil
		case <-o.Reload:
			if err := p.reload(); err != nil {
				p.log.Error("the new configuration is not used; the old one stays in force", "err", err)
			}
		}
	}
	p.draining.Store(true)
	p.log.Info("stopping: finishing the requests in flight", "connections", p.listen.Stats().Open)
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if e := p.listen.Drain(patience); e != nil {
		p.log.Warn("some requests did not finish in time and were cut", "err", e)
	}
	stop()
	running.Wait()
	p.log.Info("stopped")
	return err
}

// build makes all rooms and starts none.
func build(cfg *config.Config, o Options) (_ *program, err error) {
	p := &program{version: o.Version, load: o.Load, clk: clock.New(), level: new(slog.LevelVar), written: *cfg, ending: make(chan struct{})}
	fit(cfg)
	limitHeap(cfg)
	p.log = logger(cfg.Log, o.Log, p.level)
	p.cfg.Store(cfg)
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if err := os.MkdirAll(cfg.Data, 0o750); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if err := p.lockData(cfg.Data); err != nil {
		return nil, err
	}
	if p.box, err = sealed.LoadOrCreate(filepath.Join(cfg.Data, keyFile)); err != nil {
		return nil, err
	}
	p.door = &door{spares: func(a netip.Addr) bool { return p.packet.Spares(a) }}
	if p.door.admit, err = admit.New(cfg.Request.Admit, p.clk, p.prefixHash); err != nil {
		return nil, err
	}
	g, err := p.generation(cfg)
	if err != nil {
		return nil, err
	}
	p.door.now.Store(g)
	p.packet = packet.New(cfg.Packet, p.log)
	p.packet.OnTrial(filepath.Join(cfg.Data, confirmedFile))
	p.operator = operator(o.Session)
	p.packet.Always(append(alwaysAllowed(cfg), p.operator...))
	p.bans = &bans{filter: p.packet, door: p.door.admit}
	p.bans.init(p.log)
	p.loop, err = defense.New(cfg.Defense, defense.Deps{
		Clock: p.clk, Log: p.log, DataDir: cfg.Data,
		Applier: appliers{p.door.admit, p.bans}, Stance: stance{p.door.admit, cfg.UnderAttack},
		Detectors:  detectors(cfg),
		Origin:     func() traffic.Origin { return p.door.now.Load().rooms.proxy.Origin() },
		Packets:    func() traffic.Packets { return p.packet.Cut(p.clk.Now()) },
		PacketsYet: p.packet.Yet,
		Offences:   p.door.admit.Offences(),
		SetOff:     p.turnOff,
	})
	if err != nil {
		return nil, err
	}
	if cfg.UnderAttack {
		p.door.admit.UnderAttack(time.Now())
	}
	p.listen = listen.New(cfg.Request.Listen, p.door, p.loop.Observer(), p.door, p.clk, p.log)
	p.listen.Keep(cfg.Data, p.box)
	p.bans.conns = p.listen
	p.admin = dashboard.New(shield{p}, p.metrics(), cfg.Admin.Token, p.log)
	return p, nil
}

// generation makes what a reload replaces.
func (p *program) generation(cfg *config.Config) (*generation, error) {
	places, err := geo.Open(cfg.Request.Identify.CountryFile, cfg.Request.Identify.NetworkFile)
	if err != nil {
		return nil, err
	}
	g := &generation{}
	if g.identify, err = identify.New(cfg.Request.Identify, p.box, places, p.clk, p.log); err != nil {
		return nil, err
	}
	if g.refuse, err = refuse.New(cfg.Request.Refuse, p.box); err != nil {
		return nil, err
	}
	g.rooms, err = newRooms(cfg.Request.Proxy, g.identify, g.refuse, p.clk, p.log)
	return g, err
}

// prefixHash is the short keyed hash by which reference codes name a prefix.
func (p *program) prefixHash(prefix netip.Prefix) uint64 {
	return uint64(refuse.PrefixHash(p.box, prefix))
}

// bind takes the addresses; all that cannot be had are named at once.
func (p *program) bind() error {
	cfg := p.cfg.Load()
	served, steered := p.listen.Listen(), p.admin.Listen(cfg.Admin.Listen)
	if err := errors.Join(served, steered); err != nil {
		var l problem.List
		if served != nil {
			tryServe(&l, cfg, Running{})
		}
		if steered != nil {
			tryListen(&l, "admin.listen", cfg.Admin.Listen, Running{})
		}
		if len(l) > 0 {
			return cfg.Locate(l)
		}
		return err
	}
	if left, err := ReadRunning(cfg.Data); err == nil && left.Pins != "" && (len(cfg.Packet.Interfaces) == 0 || left.Pins != cfg.Packet.Pins) {
		// One that crashed filtered what this one shall not.
		if err := left.removeFilter(); err != nil {
			p.log.Error("an earlier Seawall's packet filter is still there", "err", err)
		}
	}
	return p.sayRunning()
}

// sayRunning tells commands where this one is.
func (p *program) sayRunning() error {
	cfg := p.cfg.Load()
	r := Running{PID: os.Getpid(), Admin: p.admin.Addr().String(), Serve: p.where(), Table: p.packet.Table()}
	if len(cfg.Packet.Interfaces) > 0 {
		r.Pins = cfg.Packet.Pins
	}
	return writeRunning(cfg.Data, r)
}

// close gives back what build took. It may be called on half a program.
func (p *program) close() {
	if p.listen != nil {
		p.listen.Close()
	}
	if p.packet != nil {
		if err := p.packet.Close(); err != nil {
			p.log.Error("stop", "err", err)
		}
	}
	close(p.ending)
	p.retiring.Wait()
	if p.door != nil {
		if g := p.door.now.Load(); g != nil {
			g.rooms.close()
		}
	}
	if p.loop != nil {
		if err := p.loop.Close(); err != nil {
			p.log.Error("close the journal", "err", err)
		}
	}
	if p.lock != nil {
		p.lock.Close()
	}
}

// lockData keeps two Seawalls from writing the same journal.
func (p *program) lockData(data string) error {
	f, err := os.OpenFile(filepath.Join(data, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("another Seawall already uses the data folder %s: stop it, or name another folder with --data", data)
	}
	p.lock = f
	return nil
}

func logger(cfg config.Log, to io.Writer, level *slog.LevelVar) *slog.Logger {
	if to == nil {
		to = io.Discard
	}
	setLevel(level, cfg.Level)
	opt := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, opt))
	}
	return slog.New(slog.NewTextHandler(to, opt))
}

func setLevel(v *slog.LevelVar, name string) {
	// The name was validated; an unknown one leaves the level as it is.
	_ = v.UnmarshalText([]byte(name))
}

// stance passes on what the loop says of the times, unless a person has said
// that an attack runs.
type stance struct {
	door   *admit.Admit
	always bool
}

func (s stance) UnderAttack(since time.Time) { s.door.UnderAttack(since) }

// Crowded is less than an attack: whoever said that one runs has said more.
func (s stance) Crowded(since time.Time) {
	if !s.always {
		s.door.Crowded(since)
	}
}

func (s stance) Calm() {
	if !s.always {
		s.door.Calm()
	}
}

func (p *program) origins() []string {
	var out []string
	for _, o := range p.cfg.Load().Request.Proxy.Origins {
		out = append(out, o.URL)
	}
	return out
}

// setOff lets everything through, or defends again.
func (p *program) setOff(off bool) {
	p.off.Store(off)
	p.turnOff(off)
	verb := decide.On
	if off {
		verb = decide.Off
	}
	// The loop may be the part that broke; the door has been turned already.
	if _, err := p.loop.Order(decide.Order{Verb: verb}); err != nil {
		p.log.Error("tell the control loop of the switch", "err", err)
	}
}

// watch follows the switch in the data folder.
func (p *program) watch(ctx context.Context) error {
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	if p.followed.Load() {
		p.setOff(true) // the loop knows nothing of it yet
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if off := readOff(p.cfg.Load().Data); p.followed.Swap(off) != off {
				p.setOff(off)
			}
		}
	}
}
