package app

import (
	"net/netip"
	"slices"
	"testing"

	"seawall/internal/config"
)

// Whoever the configuration trusts passes the packet filter, from a private
// address, too.
func TestTrustedPassThePacketFilter(t *testing.T) {
	cfg := config.Default()
	cfg.Request.TrustedProxies = []string{"private", "203.0.113.4"}
	cfg.Request.Identify.TrustedProxies = []string{"100.64.0.0/10"}
	cfg.Request.Listen.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("169.254.1.0/24")}
	cfg.Request.Admit.Allow = []string{"198.51.100.0/24"}
	cfg.Request.Admit.Monitors = []string{"2001:db8::/48"}
	always := alwaysAllowed(cfg)
	for _, want := range []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "203.0.113.4/32",
		"100.64.0.0/10", "169.254.1.0/24", "198.51.100.0/24", "2001:db8::/48",
	} {
		if !slices.Contains(always, netip.MustParsePrefix(want)) {
			t.Errorf("%s is not always allowed", want)
		}
	}
}
