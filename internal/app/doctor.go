package app

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"time"

	"seawall/internal/config"
	"seawall/internal/doctor"
	"seawall/internal/packet/filter"
)

// Doctor is what the doctor is told of a configuration (named says whether a
// person has given one) and of this machine.
func Doctor(cfg *config.Config, named bool) doctor.Env {
	site := doctor.Site{
		Configured: named,
		Interfaces: cfg.Packet.Interfaces, Pins: cfg.Packet.Pins, Ports: cfg.Packet.Ports,
		Listen: slices.Concat(cfg.Request.Listen.Addresses, cfg.Request.Listen.TLS.Addresses), Admin: cfg.Admin.Listen,
		MaxConns: cfg.Request.Listen.MaxConns, MaxStreams: cfg.Request.Proxy.MaxStreams,
		Ceiling: int64(cfg.Ceiling()), PID: running(cfg.Data).PID,
	}
	for _, o := range cfg.Request.Proxy.Origins {
		site.Origins = append(site.Origins, o.URL)
	}
	return doctor.Env{
		Proc: os.DirFS("/proc"), Sys: os.DirFS("/sys"),
		Links: doctor.MachineLinks, Kernel: kernel{}, Firewall: firewall, Site: site,
	}
}

// kernel answers the doctor's questions about the packet filter.
type kernel struct{}

func (kernel) Probe() error { return filter.Probe() }

func (kernel) Helpers() (out []doctor.Helper) {
	for _, h := range filter.Helpers() {
		out = append(out, doctor.Helper{Name: h.Name, For: h.For, Err: h.Err, Lacks: errors.Is(h.Err, filter.ErrUnsupported)})
	}
	return out
}

func (kernel) Program(id uint32) (string, bool, error) { return filter.ProgramName(id) }

func (kernel) TryNative(name string) error { return filter.TryNative(name) }

func (kernel) DropCost(sources int, during time.Duration) (time.Duration, error) {
	return filter.DropCost(sources, during)
}

// firewall is what both kinds of rules are listed by; a program that is not there
// has none.
func firewall() (rules string, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, list := range [][]string{{"nft", "list", "ruleset"}, {"iptables-save"}, {"ip6tables-save"}} {
		out, err := exec.CommandContext(ctx, list[0], list[1:]...).Output()
		if errors.Is(err, exec.ErrNotFound) {
			continue
		}
		if err != nil {
			return rules, false
		}
		rules += string(out)
	}
	return rules, true
}
