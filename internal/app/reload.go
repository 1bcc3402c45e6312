package app

import (
	"errors"
	"reflect"
	"slices"

	"seawall/internal/config"
	"seawall/internal/kit/problem"
	"seawall/internal/kit/systemd"
	"seawall/internal/request/identify"
	"seawall/internal/request/identify/geo"
	"seawall/internal/request/refuse"
)

// reload reads the configuration again and puts the whole of it in force, or,
// if anything in it is wrong or needs a restart, nothing.
func (p *program) reload() error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	p.tell(systemd.Reloading()...)
	defer p.tell("READY=1")
	next, err := p.o.Load()
	if err != nil {
		return err
	}
	if errs := next.Locate(needsRestart(&p.written, next)); len(errs) > 0 {
		return errs
	}
	written := *next
	fit(next)
	g, err := p.generation(next)
	if err != nil {
		return err
	}
	if err := p.door.admit.Reconfigure(next.Request.Admit); err != nil {
		g.rooms.close()
		return err
	}
	if !slices.Equal(p.written.Rules, next.Rules) {
		if err := p.loop.Rules(next.Rules.Parsed()); err != nil {
			g.rooms.close()
			return errors.Join(err, p.door.admit.Reconfigure(p.cfg.Load().Request.Admit))
		}
	}
	before := p.door.now.Swap(g)
	p.listen.Changed()
	p.packet.Always(append(alwaysAllowed(next), p.operator...))
	p.cfg.Store(next)
	p.written = written
	setLevel(p.level, next.Log.Level)
	p.log.Info("the new configuration is in force")
	// Visits that met the old rooms may still be on their way. This ends with
	// the last of them, or with the program.
	p.retiring.Go(func() { before.rooms.retire(p.ending) })
	return nil
}

// needsRestart lists the changed settings that a running program cannot take
// over.
func needsRestart(old, next *config.Config) problem.List {
	var l problem.List
	listen := next.Request.Listen
	if !reflect.DeepEqual(old.Request.TrustedProxies, next.Request.TrustedProxies) {
		listen.TrustedProxies = old.Request.Listen.TrustedProxies // once is enough
	}
	for _, s := range []struct {
		key      string
		old, new any
	}{
		{"data", old.Data, next.Data},
		{"memory", old.Memory, next.Memory},
		{"log.format", old.Log.Format, next.Log.Format},
		{"admin", old.Admin, next.Admin},
		{"trusted_proxies", old.Request.TrustedProxies, next.Request.TrustedProxies},
		{"listen", old.Request.Listen, listen},
		{"defense", old.Defense, next.Defense},
		{"packet", old.Packet, next.Packet},
		{"mode", old.Mode, next.Mode},
		{"under_attack", old.UnderAttack, next.UnderAttack},
	} {
		if !reflect.DeepEqual(s.old, s.new) {
			l.Add(s.key, "restart Seawall to change it, or take the change back", "cannot change while Seawall runs")
		}
	}
	return l
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
	g.rooms, err = newRooms(cfg.Request.Proxy, p.door.admit, g.identify, g.refuse, p.clk, p.log)
	return g, err
}
