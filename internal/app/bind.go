package app

import (
	"errors"
	"os"

	"seawall/internal/kit/problem"
)

// bind takes the addresses; all that cannot be had are named at once.
func (p *program) bind() error {
	cfg := p.cfg.Load()
	served, steered := p.listen.Listen(), p.admin.Listen(cfg.Admin.Listen)
	if err := errors.Join(served, steered); err != nil {
		var l problem.List
		self := Running{Serve: p.sockets.addresses()}
		if served != nil {
			tryServe(&l, cfg, self)
		}
		if steered != nil {
			tryListen(&l, "admin.listen", cfg.Admin.Listen, self)
		}
		if len(l) > 0 {
			return cfg.Locate(l)
		}
		return err
	}
	if err := p.sockets.stray(cfg); err != nil {
		return err
	}
	// What was not asked for would connect visitors whom nobody serves.
	p.sockets.close()
	return nil
}

// removeStray removes the packet filter of one that crashed, where it filtered what
// this one shall not.
func (p *program) removeStray() {
	cfg := p.cfg.Load()
	if left, err := ReadRunning(cfg.Data); err == nil && left.Pins != "" && (len(cfg.Packet.Interfaces) == 0 || left.Pins != cfg.Packet.Pins) {
		if err := left.removeFilter(); err != nil {
			p.log.Error("an earlier Seawall's packet filter is still there", "err", err)
		}
	}
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
