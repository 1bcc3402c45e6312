package app

import (
	"seawall/internal/config"
	"seawall/internal/defense"
	"seawall/internal/defense/detect/httpflood"
	"seawall/internal/defense/detect/packetflood"
	"seawall/internal/defense/detect/reflection"
	"seawall/internal/defense/detect/synflood"
)

// detectors are those that judge each window, a plain list.
func detectors(cfg *config.Config) []defense.Detector {
	return []defense.Detector{
		httpflood.New(cfg.Defense.HTTPFlood),
		synflood.New(cfg.Defense.SynFlood),
		reflection.New(cfg.Defense.Reflection),
		packetflood.New(cfg.Defense.PacketFlood),
	}
}
