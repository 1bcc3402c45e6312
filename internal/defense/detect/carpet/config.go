package carpet

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is a flood.
type Config struct {
	Times        float64       `yaml:"times"`         // of the usual peak: from here on it is a flood
	Floor        float64       `yaml:"floor"`         // requests or connections a second, below which nothing is a flood
	FloorPackets float64       `yaml:"floor_packets"` // packets a second, the same
	EndAfter     time.Duration `yaml:"end_after"`     // of calm, until a flood is over
}

// DefaultConfig leaves alone what any site bears.
func DefaultConfig() Config {
	return Config{Times: 3, Floor: 200, FloorPackets: 5000, EndAfter: 10 * time.Second}
}

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if !(c.Times >= 1.5) {
		l.Add("times", "write 3", "%v times the usual peak is ordinary traffic", c.Times)
	}
	if !(c.Floor >= 20) {
		l.Add("floor", "write 200", "%v requests or connections a second are no flood", c.Floor)
	}
	if !(c.FloorPackets >= 100) {
		l.Add("floor_packets", "write 5000", "%v packets a second are no flood", c.FloorPackets)
	}
	if c.EndAfter < time.Second || c.EndAfter > 30*time.Second {
		l.Add("end_after", "write 10s", "%v is not between 1s and 30s", c.EndAfter)
	}
	return l
}
