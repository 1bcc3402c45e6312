package app

import (
	"seawall/internal/config"
	"seawall/internal/defense"
	"seawall/internal/defense/detect/carpet"
	"seawall/internal/defense/detect/connflood"
	"seawall/internal/defense/detect/handshakeflood"
	"seawall/internal/defense/detect/httpflood"
	"seawall/internal/defense/detect/packetflood"
	"seawall/internal/defense/detect/protocolabuse"
	"seawall/internal/defense/detect/reflection"
	"seawall/internal/defense/detect/slowattack"
	"seawall/internal/defense/detect/synflood"
)

// detectors are those that judge each window, a plain list.
func detectors(cfg *config.Config) []defense.Detector {
	return []defense.Detector{
		httpflood.New(cfg.Defense.HTTPFlood),
		synflood.New(cfg.Defense.SynFlood),
		reflection.New(cfg.Defense.Reflection),
		packetflood.New(cfg.Defense.PacketFlood),
		connflood.New(cfg.Defense.ConnFlood),
		handshakeflood.New(cfg.Defense.HandshakeFlood),
		slowattack.New(cfg.Defense.SlowAttack),
		protocolabuse.New(cfg.Defense.ProtocolAbuse),
		carpet.New(cfg.Defense.Carpet),
	}
}
