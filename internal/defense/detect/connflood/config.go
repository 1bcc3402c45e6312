package connflood

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is a flood.
type Config struct {
	Times    float64       `yaml:"times"`     // of the usual peak: from here on it is a flood
	Floor    float64       `yaml:"floor"`     // useless connections a second, below which nothing is a flood
	Held     float64       `yaml:"held"`      // useless connections at a time, below which nothing is a flood
	EndAfter time.Duration `yaml:"end_after"` // of calm, until a flood is over
}

// DefaultConfig leaves alone what scans bring. Held is a twentieth of the places
// that there are by default.
func DefaultConfig() Config {
	return Config{Times: 3, Floor: 100, Held: 400, EndAfter: 10 * time.Second}
}

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if !(c.Times >= 1.5) {
		l.Add("times", "write 3", "%v times the usual peak is ordinary traffic", c.Times)
	}
	if !(c.Floor >= 10) {
		l.Add("floor", "write 100", "%v connections a second are no flood", c.Floor)
	}
	if !(c.Held >= 50) {
		l.Add("held", "write 400", "%v connections at a time are no flood", c.Held)
	}
	if c.EndAfter < time.Second || c.EndAfter > 30*time.Second {
		l.Add("end_after", "write 10s", "%v is not between 1s and 30s", c.EndAfter)
	}
	return l
}
