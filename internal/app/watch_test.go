package app

import (
	"testing"

	"seawall/internal/config"
	"seawall/internal/packet/filter"
)

// In watch mode the packet filter only counts, but for what people order; what is off
// stays off.
func TestOnlyWatch(t *testing.T) {
	cfg := config.Default()
	cfg.Packet.Filter.ICMP = filter.Off
	fit(cfg)
	if f := cfg.Packet.Filter; f.Malformed != filter.Enforce || cfg.Request.Admit.Watch {
		t.Errorf("in defend mode: %+v", f)
	}
	cfg.Mode = "watch"
	fit(cfg)
	f := cfg.Packet.Filter
	for name, mode := range map[string]filter.Mode{
		"malformed": f.Malformed, "reflected": f.Reflected, "fragments": f.Fragments,
		"budget": f.Budget, "initials": f.Initials, "connections": f.Connections,
	} {
		if mode != filter.DryRun {
			t.Errorf("%s is %v", name, mode)
		}
	}
	if f.ICMP != filter.Off || f.Block != filter.Enforce || f.Signatures != filter.Enforce || !cfg.Request.Admit.Watch {
		t.Errorf("%+v", f)
	}
	if l := needsRestart(config.Default(), cfg); len(l) == 0 || l[len(l)-1].Key != "mode" {
		t.Errorf("a reload may change it: %v", l)
	}
}
