package app

import (
	"net/netip"
	"slices"
	"testing"

	"seawall/internal/config"
	"seawall/internal/packet/filter"
	"seawall/internal/packet/twin"
)

// What is protected is said by a person, or else by the configuration.
func TestReplayProtects(t *testing.T) {
	cfg := config.Default()
	cfg.Request.Listen.Addresses, cfg.Request.Listen.TLS.Addresses = []string{"0.0.0.0:80", "[::]:80", "127.0.0.1:0"}, []string{":443"}
	cfg.Packet.Ports, cfg.Packet.UDPPorts = []uint16{8443}, []uint16{4433}
	cfg.Request.Admit.Allow = []string{"192.0.2.0/24"}
	cfg.Packet.Filter.ICMP, cfg.Packet.Filter.Budget = filter.DryRun, filter.Off
	site := []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("2001:db8::/32")}
	for _, c := range []struct {
		setup    ReplaySetup
		tcp, udp []uint16
		says     string
	}{
		{ReplaySetup{}, []uint16{80, 443}, []uint16{80, 443, 4433}, "TCP ports 80, 443 and UDP ports 80, 443, 4433"},
		{ReplaySetup{Named: true}, []uint16{80, 443, 8443}, []uint16{80, 443, 4433}, "TCP ports 80, 443, 8443 and UDP ports 80, 443, 4433"},
		{ReplaySetup{Named: true, Ports: []uint16{25565}}, []uint16{25565}, []uint16{25565}, "port 25565"},
		{ReplaySetup{Ports: []uint16{443, 80, 443}, To: site}, []uint16{80, 443}, []uint16{80, 443}, "ports 80, 443 of 203.0.113.7, 2001:db8::/32"},
		{ReplaySetup{AnyPort: true, Ports: []uint16{1}}, []uint16{1}, []uint16{1}, "any port"},
	} {
		got := c.setup.packets(cfg)
		if !slices.Equal(got.TCP, c.tcp) || !slices.Equal(got.UDP, c.udp) || got.AnyPort != c.setup.AnyPort || protected(got) != c.says {
			t.Errorf("%+v: TCP %v, UDP %v, %q", c.setup, got.TCP, got.UDP, protected(got))
		}
		if !slices.Contains(got.Allow, netip.MustParsePrefix("192.0.2.0/24")) || got.SourceRate != 20_000 ||
			got.Off != [twin.Rungs]bool{twin.ICMP: true, twin.Budget: true} {
			t.Errorf("%+v", got)
		}
	}
}
