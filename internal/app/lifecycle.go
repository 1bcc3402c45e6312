package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"seawall/internal/config"
	"seawall/internal/dashboard"
	"seawall/internal/defense"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/handover"
	"seawall/internal/kit/sealed"
	"seawall/internal/kit/systemd"
	"seawall/internal/mitigation"
	"seawall/internal/packet"
	"seawall/internal/request/admit"
	"seawall/internal/request/listen"
	"seawall/internal/request/refuse"
)

// Options are what main knows and the configuration does not.
type Options struct {
	Version string
	Load    func() (*config.Config, error) // reads the configuration again
	Reload  <-chan os.Signal               // asks for that
	Log     io.Writer
	Ready   func(where string) // called once, when requests are served
	Session string             // SSH_CONNECTION of the person who starts it at a terminal

	// Program is what takes over when Upgrade asks for it; without a Path there is
	// nothing to upgrade to.
	Program handover.Program
	Upgrade <-chan os.Signal
	From    *handover.Predecessor // whom this process takes over from; nil: nobody
	Sockets []*os.File            // that the service manager has passed; Run's own
	Manager systemd.Manager
}

// drainTime is how long requests in flight may take to finish at the end, and
// quietTime how long a connection waits for one more where another process serves
// meanwhile, or will.
const (
	drainTime = 30 * time.Second
	quietTime = 5 * time.Second
)

// program is everything that runs. It is made by build, or by takeOver in the place
// of another process, and ended by close.
type program struct {
	o     Options
	log   *slog.Logger
	level *slog.LevelVar
	cfg   atomic.Pointer[config.Config]

	clk     *clock.Clock
	box     *sealed.Box
	door    *door
	watcher *watcher
	sockets *sockets
	listen  *listen.Server
	admin   *dashboard.Server

	// What one process at a time may have, see charge.go. It changes only while
	// nobody uses it.
	lock   *os.File
	packet *packet.Packet
	bans   *bans
	loop   *defense.Loop
	crew   *crew

	serving  chan error      // how accepting ended
	accepts  context.Context // ends with close
	stop     context.CancelFunc
	running  sync.WaitGroup         // what ends with accepts
	upgrades chan upgrade           // orders of people
	failure  atomic.Pointer[string] // why the last upgrade came to nothing
	retired  atomic.Bool            // another process serves
	copies   []*os.File             // of the sockets, while another process may fail
	stood    []mitigation.ID        // what was in force when this process let go

	operator  []netip.Prefix // the client of the person who started this from afar
	reloading sync.Mutex     // guards written
	written   config.Config  // cfg as people wrote it, before fit
	retiring  sync.WaitGroup // rooms that a reload has replaced
	ending    chan struct{}  // closed when they must go
	off       atomic.Bool
	followed  atomic.Bool // what the switch in the data folder was seen to say
	draining  atomic.Bool
}

// Run serves until ctx ends, then lets requests in flight finish. It returns nil as
// well when another process has taken over and all that was in flight here is
// finished. All that is wrong at the start comes back as config.Errors, at once.
func Run(ctx context.Context, cfg *config.Config, o Options) error {
	p, err := begin(ctx, cfg, o)
	if err != nil {
		if o.From != nil {
			o.From.Refuse(err)
		}
		return err
	}
	defer p.close()
	for {
		heir, err := p.tend(ctx)
		if heir == nil {
			return p.finish(ctx, err)
		}
		if back, err := p.retire(ctx, heir); !back {
			return err
		}
	}
}

// begin returns a program that serves.
func begin(ctx context.Context, cfg *config.Config, o Options) (p *program, err error) {
	if o.From == nil {
		if p, err = build(cfg, o); err == nil {
			err = p.bind()
		}
	} else {
		p, err = takeOver(ctx, cfg, o)
	}
	if err == nil {
		err = p.act()
	}
	if err != nil {
		if p != nil {
			p.close()
		}
		return nil, err
	}
	p.accepts, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	p.running.Go(func() { p.door.admit.Run(p.accepts) })
	p.accept()
	if o.From != nil {
		o.From.Serving()
	} else {
		p.tell("READY=1")
	}
	p.running.Go(func() { p.watchdog(p.accepts) })
	p.log.Info("ready", "listen", p.where(), "admin", p.admin.Addr().String(), "origins", p.origins(), "version", o.Version)
	if o.Ready != nil {
		o.Ready(fmt.Sprintf("%s admin http://%s", strings.Join(p.listen.URLs(), " "), p.admin.Addr()))
	}
	return p, nil
}

// accept begins to accept connections.
func (p *program) accept() {
	p.serving = make(chan error, 1)
	serving := p.serving
	p.running.Go(func() { serving <- p.listen.Serve(p.accepts) })
}

// tend does what is asked for from outside until ctx ends, accepting fails, or
// another process has taken over.
func (p *program) tend(ctx context.Context) (*handover.Successor, error) {
	for {
		var heir *handover.Successor
		var err error
		select {
		case <-ctx.Done():
			return nil, nil
		case err := <-p.serving:
			return nil, err
		case err := <-p.crew.failed:
			// A part broke, and traffic goes on: requests pass, the operator is told.
			p.log.Error("a part of Seawall stopped working; requests pass undefended", "err", err)
			p.setOff(true)
		case <-p.o.Reload:
			if err := p.reload(); err != nil {
				p.log.Error("the new configuration is not used; the old one stays in force", "err", err)
			}
		case <-p.o.Upgrade:
			heir, err = p.handOver(ctx, func(int, error) {})
		case u := <-p.upgrades:
			heir, err = p.handOver(ctx, u.answer)
		}
		if heir != nil || err != nil {
			return heir, err
		}
	}
}

// finish lets requests in flight finish and stops everything; why it has come to
// that is passed on. The control loop and the admin address outlive the listeners,
// so that the drain itself is defended and can be watched.
func (p *program) finish(ctx context.Context, why error) error {
	p.draining.Store(true)
	p.tell("STOPPING=1")
	p.log.Info("stopping: finishing the requests in flight", "connections", p.listen.Stats().Open)
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if len(p.o.Sockets) > 0 {
		// The service manager keeps the sockets for the next process.
		p.door.last.Store(true)
		_ = p.listen.Retire(patience, quietTime/5) // Drain says what is left
	}
	p.drain(patience)
	p.crew.stop()
	p.log.Info("stopped")
	return why
}

// drain ends the connections, those that have nothing in flight at once.
func (p *program) drain(patience context.Context) {
	if err := p.listen.Drain(patience); err != nil {
		p.log.Warn("some requests did not finish in time and were cut", "err", err)
	}
}

// build makes all rooms and starts none.
func build(cfg *config.Config, o Options) (_ *program, err error) {
	p := newProgram(cfg, o)
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if err := p.lockData(); err != nil {
		return nil, err
	}
	if err := p.furnish(); err != nil {
		return nil, err
	}
	if err := p.takeCharge(); err != nil {
		return nil, err
	}
	return p, nil
}

func newProgram(cfg *config.Config, o Options) *program {
	p := &program{
		o: o, clk: clock.New(), level: new(slog.LevelVar), written: *cfg, operator: operator(o.Session),
		sockets: &sockets{}, crew: &crew{}, upgrades: make(chan upgrade), ending: make(chan struct{}),
	}
	fit(cfg)
	limitHeap(cfg)
	p.log = logger(cfg.Log, o.Log, p.level)
	p.cfg.Store(cfg)
	return p
}

// furnish makes what a process may have beside another one that serves.
func (p *program) furnish() (err error) {
	cfg := p.cfg.Load()
	if p.sockets, err = passed(p.o); err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.Data, 0o750); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if p.box, err = sealed.LoadOrCreate(filepath.Join(cfg.Data, keyFile)); err != nil {
		return err
	}
	p.door, p.watcher = &door{}, &watcher{}
	if p.door.admit, err = admit.New(cfg.Request.Admit, p.clk, p.prefixHash); err != nil {
		return err
	}
	g, err := p.generation(cfg)
	if err != nil {
		return err
	}
	p.door.now.Store(g)
	if cfg.UnderAttack {
		p.door.admit.UnderAttack(time.Now())
	}
	p.listen = listen.New(cfg.Request.Listen, p.door, p.watcher, p.door, p.clk, p.log)
	p.listen.Keep(cfg.Data, p.box)
	p.listen.Inherit(func(address string) *net.TCPListener { return p.sockets.take(forVisitors, address) })
	p.admin = dashboard.New(shield{p}, p.metrics(), cfg.Admin.Token, p.log)
	p.admin.Inherit(func(address string) *net.TCPListener { return p.sockets.take(forOperators, address) })
	return nil
}

// prefixHash is the short keyed hash by which reference codes name a prefix.
func (p *program) prefixHash(prefix netip.Prefix) uint64 {
	return uint64(refuse.PrefixHash(p.box, prefix))
}

// close gives back what was taken. It may be called on half a program.
func (p *program) close() {
	if p.stop != nil {
		p.stop()
	}
	if p.listen != nil {
		p.listen.Close()
	}
	p.running.Wait()
	p.crew.stop()
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
	p.resign()
	p.sockets.close()
	p.dropCopies()
}

func (p *program) origins() []string {
	var out []string
	for _, o := range p.cfg.Load().Request.Proxy.Origins {
		out = append(out, o.URL)
	}
	return out
}
