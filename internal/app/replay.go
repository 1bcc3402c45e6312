package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"seawall/internal/config"
	"seawall/internal/defense"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/journal"
	"seawall/internal/kit/sealed"
	"seawall/internal/mitigation"
	"seawall/internal/replay"
	"seawall/internal/request/admit"
	"seawall/internal/request/identify"
	"seawall/internal/request/identify/geo"
	"seawall/internal/traffic"
)

// replaySeed makes every replay the same.
const replaySeed = 1

// ReplayWorld returns what makes the door and the loop of a configuration, on a clock
// that stands still and with nothing on disk. Where learn is a data folder, what was
// learnt is left there at the end.
func ReplayWorld(cfg *config.Config, learn string) func(at time.Time) (*replay.World, error) {
	return func(at time.Time) (*replay.World, error) {
		clk, log := clock.NewStopped(at), slog.New(slog.DiscardHandler)
		places, err := geo.Open(cfg.Request.Identify.CountryFile, cfg.Request.Identify.NetworkFile)
		if err != nil {
			return nil, err
		}
		box := sealed.New([32]byte{1}) // nothing that it seals leaves this process
		who, err := identify.New(cfg.Request.Identify, box, places, clk, log)
		if err != nil {
			return nil, err
		}
		doorCfg, loopCfg := cfg.Request.Admit, cfg.Defense
		doorCfg.Seed, loopCfg.Observe.Seed = replaySeed, replaySeed
		door, err := admit.New(doorCfg, clk, func(netip.Prefix) uint64 { return 0 })
		if err != nil {
			return nil, err
		}
		if cfg.UnderAttack {
			door.UnderAttack(at)
		}
		made := &notebook{to: door}
		steps := new([]defense.Record)
		loop, err := defense.New(loopCfg, defense.Deps{
			Clock: clk, Log: log, Applier: made, Stance: stance{door, cfg.UnderAttack}, Detectors: detectors(cfg),
			Origin:   func() traffic.Origin { return traffic.Origin{Healthy: 1} },
			Offences: door.Offences(), SetOff: door.SetOff,
			Tell: func(r defense.Record) { *steps = append(*steps, r) },
		})
		if err != nil {
			return nil, err
		}
		return &replay.World{
			Clock: clk, Door: replayDoor{who, door}, Loop: loop, Steps: steps, Made: made.take,
			Close: func() error {
				if learn == "" {
					return loop.Close()
				}
				err := os.MkdirAll(learn, 0o750)
				if err == nil {
					err = loop.Leave(learn)
				}
				if errors.Is(err, journal.ErrInUse) {
					err = fmt.Errorf("a Seawall runs on %s and learns by itself; stop it to have this learnt", learn)
				}
				return errors.Join(err, loop.Close())
			},
		}, nil
	}
}

// replayDoor is a door without listen in front of it.
type replayDoor struct {
	who  *identify.Identify
	door *admit.Admit
}

func (d replayDoor) Identify(v *traffic.Visit, h traffic.Headers) { d.who.Identify(v, h) }

func (d replayDoor) Decide(v *traffic.Visit) mitigation.Verdict { return d.door.Decide(v) }

// notebook notes what is applied. The loop's goroutine is the replay's own.
type notebook struct {
	to   *admit.Admit
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
