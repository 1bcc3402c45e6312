package defense

import (
	"seawall/internal/defense/baseline"
	"seawall/internal/defense/decide"
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
	"seawall/internal/defense/observe"
	"seawall/internal/kit/problem"
)

// Config holds the settings of the loop's parts.
type Config struct {
	Observe     observe.Config     `yaml:"observe"`
	Baseline    baseline.Config    `yaml:"baseline"`
	HTTPFlood   httpflood.Config   `yaml:"http_flood"`
	CacheBust   cachebust.Config   `yaml:"cache_busting"`
	Costly      costly.Config      `yaml:"costly_requests"`
	Login       login.Config       `yaml:"logins"`
	Scan        scan.Config        `yaml:"scanning"`
	Scrape      scrape.Config      `yaml:"scraping"`
	Pulse       pulse.Config       `yaml:"pulses"`
	SynFlood    synflood.Config    `yaml:"syn_flood"`
	Reflection  reflection.Config  `yaml:"reflection"`
	PacketFlood packetflood.Config `yaml:"packet_flood"`

	ConnFlood      connflood.Config      `yaml:"connection_flood"`
	HandshakeFlood handshakeflood.Config `yaml:"handshake_flood"`
	SlowAttack     slowattack.Config     `yaml:"slow_attack"`
	ProtocolAbuse  protocolabuse.Config  `yaml:"protocol_abuse"`
	Carpet         carpet.Config         `yaml:"carpet_bombing"`

	Decide decide.Config `yaml:"decide"`
}

// DefaultConfig is sensible from the first minute.
func DefaultConfig() Config {
	return Config{
		Observe: observe.DefaultConfig(), Baseline: baseline.DefaultConfig(),
		HTTPFlood: httpflood.DefaultConfig(), CacheBust: cachebust.DefaultConfig(), Costly: costly.DefaultConfig(),
		Login: login.DefaultConfig(), Scan: scan.DefaultConfig(), Scrape: scrape.DefaultConfig(), Pulse: pulse.DefaultConfig(),
		SynFlood:   synflood.DefaultConfig(),
		Reflection: reflection.DefaultConfig(), PacketFlood: packetflood.DefaultConfig(),
		ConnFlood: connflood.DefaultConfig(), HandshakeFlood: handshakeflood.DefaultConfig(),
		SlowAttack: slowattack.DefaultConfig(), ProtocolAbuse: protocolabuse.DefaultConfig(), Carpet: carpet.DefaultConfig(),
		Decide: decide.DefaultConfig(),
	}
}

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	l.Under("observe", c.Observe.Validate())
	l.Under("baseline", c.Baseline.Validate())
	l.Under("http_flood", c.HTTPFlood.Validate())
	l.Under("cache_busting", c.CacheBust.Validate())
	l.Under("costly_requests", c.Costly.Validate())
	l.Under("logins", c.Login.Validate())
	l.Under("scanning", c.Scan.Validate())
	l.Under("scraping", c.Scrape.Validate())
	l.Under("pulses", c.Pulse.Validate())
	l.Under("syn_flood", c.SynFlood.Validate())
	l.Under("reflection", c.Reflection.Validate())
	l.Under("packet_flood", c.PacketFlood.Validate())
	l.Under("connection_flood", c.ConnFlood.Validate())
	l.Under("handshake_flood", c.HandshakeFlood.Validate())
	l.Under("slow_attack", c.SlowAttack.Validate())
	l.Under("protocol_abuse", c.ProtocolAbuse.Validate())
	l.Under("carpet_bombing", c.Carpet.Validate())
	l.Under("decide", c.Decide.Validate())
	return l
}
