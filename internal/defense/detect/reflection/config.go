package reflection

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is a flood.
type Config struct {
	Floor    float64       `yaml:"floor"`     // answers a second that nobody asked for, below which nothing is a flood
	EndAfter time.Duration `yaml:"end_after"` // of calm, until a flood is over
}

// DefaultConfig leaves alone what strays in from attacks on others.
func DefaultConfig() Config { return Config{Floor: 1000, EndAfter: 10 * time.Second} }

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if !(c.Floor >= 100) {
		l.Add("floor", "write 1000", "%v packets a second are no flood", c.Floor)
	}
	if c.EndAfter < time.Second || c.EndAfter > 30*time.Second {
		l.Add("end_after", "write 10s", "%v is not between 1s and 30s", c.EndAfter)
	}
	return l
}
