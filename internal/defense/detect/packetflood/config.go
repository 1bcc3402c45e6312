package packetflood

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is a flood.
type Config struct {
	Times float64 `yaml:"times"` // of the usual peak: from here on packets are a flood
	// Floor is in packets a second of a kind that visitors hardly send (RSTs,
	// fragments, ICMP, malformed ones), FloorVisitors of one that they send
	// (ACKs, UDP, Initials): below it nothing is a flood.
	Floor         float64       `yaml:"floor"`
	FloorVisitors float64       `yaml:"floor_visitors"`
	EndAfter      time.Duration `yaml:"end_after"` // of calm, until a flood is over
}

// DefaultConfig leaves alone what any server bears.
func DefaultConfig() Config {
	return Config{Times: 3, Floor: 1000, FloorVisitors: 5000, EndAfter: 10 * time.Second}
}

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if !(c.Times >= 1.5) {
		l.Add("times", "write 3", "%v times the usual peak is ordinary traffic", c.Times)
	}
	if !(c.Floor >= 100) {
		l.Add("floor", "write 1000", "%v packets a second are no flood", c.Floor)
	}
	if !(c.FloorVisitors >= c.Floor) {
		l.Add("floor_visitors", "write 5000", "%v is less than floor", c.FloorVisitors)
	}
	if c.EndAfter < time.Second || c.EndAfter > 30*time.Second {
		l.Add("end_after", "write 10s", "%v is not between 1s and 30s", c.EndAfter)
	}
	return l
}
