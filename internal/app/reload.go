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
	fit(next)
	old := p.cfg.Load()
	if errs := next.Locate(needsRestart(old, next)); len(errs) > 0 {
		return errs
	}
	g, err := p.generation(next)
	if err != nil {
		return err
	}
	if err := p.door.admit.Reconfigure(next.Request.Admit); err != nil {
		g.rooms.close()
		return err
	}
	before := p.door.now.Swap(g)
	p.cfg.Store(next)
	setLevel(p.level, next.Log.Level)
	p.log.Info("the new configuration is in force")
	// Visits that met the old rooms may still be on their way. This ends with
	// the last of them, or with the program.
	go before.rooms.retire()
	return nil
}

// needsRestart lists the changed settings that a running program cannot take
// over.
func needsRestart(old, next *config.Config) problem.List {
	var l problem.List
	for _, s := range []struct {
		key      string
		old, new any
	}{
		{"data", old.Data, next.Data},
		{"memory", old.Memory, next.Memory},
		{"log.format", old.Log.Format, next.Log.Format},
		{"admin", old.Admin, next.Admin},
		{"listen", old.Request.Listen, next.Request.Listen},
		{"defense", old.Defense, next.Defense},
		{"under_attack", old.UnderAttack, next.UnderAttack},
	} {
		if !reflect.DeepEqual(s.old, s.new) {
			l.Add(s.key, "restart Seawall to change it, or take the change back", "cannot change while Seawall runs")
		}
	}
	return l
}
