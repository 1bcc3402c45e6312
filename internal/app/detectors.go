package app

import (
	"seawall/internal/config"
	"seawall/internal/defense"
	"seawall/internal/defense/detect/cachebust"
	"seawall/internal/defense/detect/carpet"
	"seawall/internal/defense/detect/connflood"
	"seawall/internal/defense/detect/costly"
	"seawall/internal/defense/detect/handshakeflood"
	"seawall/internal/defense/detect/httpflood"
	"seawall/internal/defense/detect/login"
	"seawall/internal/defense/detect/packetflood"
	"seawall/internal/defense/detect/protocolabuse"
	"seawall/internal/defense/detect/pulse"
	"seawall/internal/defense/detect/reflection"
	"seawall/internal/defense/detect/scan"
	"seawall/internal/defense/detect/scrape"
	"seawall/internal/defense/detect/slowattack"
	"seawall/internal/defense/detect/synflood"
)

// detectors are those that judge each window, a plain list.
func detectors(cfg *config.Config) []defense.Detector {
	d := &cfg.Defense
	return []defense.Detector{
		httpflood.New(d.HTTPFlood),
		cachebust.New(d.CacheBust),
		costly.New(d.Costly),
		login.New(d.Login),
		scan.New(d.Scan),
		scrape.New(d.Scrape),
		synflood.New(d.SynFlood),
		reflection.New(d.Reflection),
		packetflood.New(d.PacketFlood),
		connflood.New(d.ConnFlood),
		handshakeflood.New(d.HandshakeFlood),
		slowattack.New(d.SlowAttack),
		protocolabuse.New(d.ProtocolAbuse),
		carpet.New(d.Carpet),
		pulse.New(d.Pulse), // of what the others found
	}
}
