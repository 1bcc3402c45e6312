package packet

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"time"
)

// How long cookies stay armed after SYNs were many last, and how often it is
// proven that they work.
const (
	armedFor   = 10 * time.Second
	proveEvery = 10 * time.Minute
	glance     = 200 * time.Millisecond
)

// cookies is what is known of SYN cookies. It belongs to the goroutine of
// watchSyns.
type cookies struct {
	rang   time.Time // when SYNs were many last
	proven time.Time // when it was last tried whether they work
	why    error     // why not; nil: they work
	said   string    // the last complaint
}

// watchSyns arms the cookies when SYNs are many, and disarms them when they no
// longer are, until ctx ends.
func (p *Packet) watchSyns(ctx context.Context) {
	var c cookies
	if p.filter.Armed() {
		c.rang = time.Now() // one that crashed had armed them
	}
	for ctx.Err() == nil {
		rang, err := p.filter.Alarm(time.Now().Add(glance))
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				p.log.Error("SYN cookies will not be used", "err", err)
			}
			return
		}
		p.turnCookies(&c, rang, time.Now())
	}
}

func (p *Packet) turnCookies(c *cookies, rang bool, now time.Time) {
	if rang {
		c.rang = now
	}
	armed := p.filter.Armed()
	if stale := now.Sub(c.proven); !armed && (stale > proveEvery || rang && c.why != nil && stale > armedFor) {
		c.why, c.proven = p.tryCookies(), now
		p.hush()
		p.tellCookies(c)
		if c.why != nil {
			if err := p.filter.CheckAlways(); err != nil {
				p.log.Error("have the kernel's own SYN cookies known", "err", err)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.off || len(p.at) == 0:
		// SetOff has disarmed them.
	case rang && !armed && c.why == nil:
		if err := p.filter.Arm(true); err != nil {
			c.why = err
			p.tellCookies(c)
			return
		}
		p.log.Warn("more connections are asked for than usual: they are answered with SYN cookies until that is over")
	case armed && now.Sub(c.rang) > armedFor:
		if err := p.filter.Arm(false); err != nil {
			p.log.Error("SYN cookies are no longer used", "err", err)
			return
		}
		p.log.Info("connections are answered by the kernel again")
	}
}

// hush forgets alarms that the SYNs of a trial have raised. A flood raises the
// next one within a moment.
func (p *Packet) hush() {
	for range 64 {
		if rang, err := p.filter.Alarm(time.Now().Add(time.Millisecond)); !rang || err != nil {
			return
		}
	}
}

// tryCookies proves that cookies work at every interface. It takes up to a second
// where they do not, and holds nobody up meanwhile.
func (p *Packet) tryCookies() error {
	p.mu.Lock()
	at, off, ports := maps.Clone(p.at), p.off, p.ports
	p.mu.Unlock()
	if off || len(at) == 0 || len(ports) == 0 {
		return errors.New("no interface is filtered")
	}
	if err := p.filter.Arm(true); err != nil {
		return err
	}
	var errs []error
	for name, how := range at {
		i, err := net.InterfaceByName(name)
		if err == nil {
			err = (&prover{p.filter, i, how, ports[0]}).prove()
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, p.filter.Arm(false))...)
}

func (p *Packet) tellCookies(c *cookies) {
	said := ""
	if c.why != nil {
		said = c.why.Error()
	}
	if said == c.said {
		return
	}
	c.said = said
	if c.why != nil {
		p.log.Warn("SYN cookies will not be used; the kernel answers floods of SYNs by itself", "err", c.why)
		return
	}
	p.log.Info("SYN cookies work on this machine, and are used when SYNs are many")
}
