package app

import (
	"seawall/internal/config"
	"seawall/internal/defense"
	"seawall/internal/defense/detect/cachebust"
	"seawall/internal/defense/detect/costly"
	"seawall/internal/defense/detect/httpflood"
	"seawall/internal/defense/detect/login"
	"seawall/internal/defense/detect/packetflood"
	"seawall/internal/defense/detect/pulse"
	"seawall/internal/defense/detect/reflection"
	"seawall/internal/defense/detect/scan"
	"seawall/internal/defense/detect/scrape"
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
		pulse.New(d.Pulse), // of what the others found
	}
}
