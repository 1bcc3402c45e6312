package slowattack

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is an attack.
type Config struct {
	Times    float64       `yaml:"times"`     // of the usual peak: from here on it is an attack
	Floor    float64       `yaml:"floor"`     // requests that keep us waiting at a time, below which nothing is an attack
	EndAfter time.Duration `yaml:"end_after"` // of calm, until an attack is over
}

// DefaultConfig leaves alone a crowd on bad lines.
func DefaultConfig() Config { return Config{Times: 3, Floor: 30, EndAfter: 10 * time.Second} }

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if !(c.Times >= 1.5) {
		l.Add("times", "write 3", "%v times the usual peak is ordinary traffic", c.Times)
	}
	if !(c.Floor >= 10) {
		l.Add("floor", "write 30", "%v requests that keep us waiting are no attack", c.Floor)
	}
	if c.EndAfter < time.Second || c.EndAfter > 30*time.Second {
		l.Add("end_after", "write 10s", "%v is not between 1s and 30s", c.EndAfter)
	}
	return l
}
