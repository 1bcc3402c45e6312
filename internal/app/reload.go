package app

import (
	"reflect"

	"seawall/internal/config"
	"seawall/internal/kit/problem"
)

// reload reads the configuration again and puts the whole of it in force, or,
// if anything in it is wrong or needs a restart, nothing.
func (p *program) reload() error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	next, err := p.load()
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
	before := p.door.now.Swap(g)
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
		{"under_attack", old.UnderAttack, next.UnderAttack},
	} {
		if !reflect.DeepEqual(s.old, s.new) {
			l.Add(s.key, "restart Seawall to change it, or take the change back", "cannot change while Seawall runs")
		}
	}
	return l
}
