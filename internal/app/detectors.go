package app

import (
	"seawall/internal/config"
	"seawall/internal/defense"
	"seawall/internal/defense/detect/httpflood"
)

// detectors are those that judge each window, a plain list.
func detectors(cfg *config.Config) []defense.Detector {
	return []defense.Detector{
		httpflood.New(cfg.Defense.HTTPFlood),
	}
}
