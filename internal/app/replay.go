package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"seawall/internal/bench/accuracy"
	"seawall/internal/config"
	"seawall/internal/defense"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/journal"
	"seawall/internal/kit/pcap"
	"seawall/internal/kit/sealed"
	"seawall/internal/mitigation"
	"seawall/internal/packet/twin"
	"seawall/internal/replay"
	"seawall/internal/request/admit"
	"seawall/internal/request/identify"
	"seawall/internal/request/identify/geo"
	"seawall/internal/traffic"
)

// replaySeed makes every replay the same.
const replaySeed = 1

// still is the door and the loop of a configuration, on a clock that stands still and
// with nothing on disk.
type still struct {
	clk   *clock.Clock
	who   *identify.Identify
	door  *admit.Admit
	loop  *defense.Loop
	made  *notebook
	steps *[]defense.Record
}

// standStill makes one whose clock shows at. origin tells how the line stands, packets
// which ones came, links what became of connections; nil: there is no packet filter, and
// nobody counts connections.
func standStill(cfg *config.Config, at time.Time, origin func() traffic.Origin, packets *twin.Twin, links func() traffic.Links) (*still, error) {
	clk, log := clock.NewStopped(at), slog.New(slog.DiscardHandler)
	places, err := geo.Open(cfg.Request.Identify.CountryFile, cfg.Request.Identify.NetworkFile)
	if err != nil {
		return nil, err
	}
	s := &still{clk: clk, steps: new([]defense.Record)}
	box := sealed.New([32]byte{1}) // nothing that it seals leaves this process
	if s.who, err = identify.New(cfg.Request.Identify, box, places, clk, log); err != nil {
		return nil, err
	}
	doorCfg, loopCfg := cfg.Request.Admit, cfg.Defense
	doorCfg.Watch = cfg.Watch()
	doorCfg.Seed, loopCfg.Observe.Seed = replaySeed, replaySeed
	loopCfg.Observe.Stays = true // no connection reads anything into the place of a string
	if s.door, err = admit.New(doorCfg, clk, func(netip.Prefix) uint64 { return 0 }); err != nil {
		return nil, err
	}
	if cfg.UnderAttack {
		s.door.UnderAttack(at)
	}
	s.made = &notebook{to: appliers{s.door}}
	deps := defense.Deps{
		Clock: clk, Log: log, Applier: s.made, Stance: stance{s.door, cfg.UnderAttack}, Detectors: detectors(cfg),
		Origin: origin, Links: links, Offences: s.door.Offences(), SetOff: s.door.SetOff,
		Watch: cfg.Watch(), Rules: cfg.Rules.Parsed(), Shadows: s.door.Shadows, Trials: s.door.Trials,
		Tell: func(r defense.Record) { *s.steps = append(*s.steps, r) },
	}
	if packets != nil {
		s.made.to = append(s.made.to, packets)
		deps.Packets = func() traffic.Packets { return packets.Cut(clk.Now()) }
		deps.PacketsYet = packets.Yet
	}
	s.loop, err = defense.New(loopCfg, deps)
	return s, err
}

// Replay returns how to replay with a configuration.
func Replay(cfg *config.Config, o ReplaySetup) replay.Options {
	packets := o.packets(cfg)
	return replay.Options{World: replayWorld(cfg, o.Learn, packets), Reads: twin.Reads, Protected: protected(packets)}
}

// replayWorld returns what makes the world of a replay. Where learn is a data folder,
// what was learnt is left there at the end, and nobody else uses it until then.
func replayWorld(cfg *config.Config, learn string, packets twin.Config) func(at time.Time) (*replay.World, error) {
	return func(at time.Time) (*replay.World, error) {
		of := *cfg
		of.Defense.Baseline.FromLog = true
		ladder := twin.New(packets)
		s, err := standStill(&of, at, func() traffic.Origin { return traffic.Origin{Healthy: 1} }, ladder, nil)
		if err != nil {
			return nil, err
		}
		w := &replay.World{
			Clock: s.clk, Door: &replayDoor{who: s.who, door: s.door}, Loop: s.loop, Steps: s.steps, Made: s.made.take, Packets: replayLadder{ladder},
			Keep: func() error { return nil }, Close: s.loop.Close,
		}
		if learn == "" {
			return w, nil
		}
		// From the start, so that nobody reads for hours in vain.
		if err := os.MkdirAll(learn, 0o750); err != nil {
			return nil, err
		}
		shelf, err := defense.NewShelf(learn)
		if errors.Is(err, journal.ErrInUse) {
			err = fmt.Errorf("a Seawall runs on %s and learns by itself; stop it to have this learnt", learn)
		}
		if err != nil {
			return nil, err
		}
		w.Keep = func() error { return shelf.Leave(s.loop) }
		w.Close = func() error { return errors.Join(shelf.Close(), s.loop.Close()) }
		return w, nil
	}
}

// AccuracyWorld returns what makes the world of a made-up scenario.
func AccuracyWorld(cfg *config.Config) func(at time.Time, origin func() traffic.Origin, wired bool) (*accuracy.World, error) {
	return func(at time.Time, origin func() traffic.Origin, wired bool) (*accuracy.World, error) {
		var ladder *twin.Twin
		if wired {
			ladder = twin.New(ReplaySetup{}.packets(cfg))
		}
		var w *accuracy.World
		links := func() traffic.Links {
			if w == nil || w.Links == nil {
				return traffic.Links{}
			}
			return w.Links()
		}
		s, err := standStill(cfg, at, origin, ladder, links)
		if err != nil {
			return nil, err
		}
		in := &cfg.Request.Listen
		w = &accuracy.World{
			Clock: s.clk, Door: s.door, Loop: s.loop, Close: s.loop.Close, Greeter: s.door,
			Limits: accuracy.Limits{
				Conns: in.MaxConns, PerClient: in.MaxConnsPerClient, PerNetwork: in.MaxConnsPerNetwork,
				Head: in.HeadTimeout, Idle: in.IdleTimeout, Grace: in.Grace, MinRate: in.MinRate,
				Shakes: in.TLS.Handshakes.Rate, ShakesAtOnce: in.TLS.Handshakes.Burst, TimesNetwork: in.TLS.Handshakes.TimesNetwork,
			},
		}
		if wired {
			w.Wire = wire{ladder}
		}
		return w, nil
	}
}

// wire is the twin of the packet filter, for frames that are made up.
type wire struct{ *twin.Twin }

func (w wire) Frame(at clock.Instant, frame []byte) bool {
	return w.Judge(at, &pcap.Packet{Link: pcap.Ethernet, Length: len(frame), Bytes: frame})
}

// replayDoor is a door without listen in front of it. One goroutine uses it.
type replayDoor struct {
	who   *identify.Identify
	door  *admit.Admit
	group admit.Group // of the visits that are expected
	next  int         // of them
}

func (d *replayDoor) Identify(v *traffic.Visit, h traffic.Headers) { d.who.Identify(v, h) }

// All that replay makes out together fits in a group.
const _ = uint(admit.GroupSize - replay.Together)

func (d *replayDoor) Expect(visits []traffic.Visit) {
	d.next = 0
	d.door.Expect(&d.group, visits)
}

func (d *replayDoor) Decide(v *traffic.Visit) mitigation.Verdict {
	d.next++
	return d.door.DecideExpected(&d.group, d.next-1, v)
}

// notebook notes what is applied. The loop's goroutine is the replay's own.
type notebook struct {
	to   appliers
	made []replay.Made
}

func (n *notebook) Apply(m mitigation.Mitigation) error {
	n.made = append(n.made, replay.Made{M: m})
	return n.to.Apply(m)
}

func (n *notebook) Withdraw(id mitigation.ID) error {
	n.made = append(n.made, replay.Made{M: mitigation.Mitigation{ID: id}, Over: true})
	return n.to.Withdraw(id)
}

func (n *notebook) take() []replay.Made {
	m := n.made
	n.made = nil
	return m
}
