package protocolabuse

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is an attack.
type Config struct {
	Times float64 `yaml:"times"` // of the usual peak: from here on it is an attack
	// Floor is in malformed requests a second, below which nothing is an attack. A
	// connection closed for abuse counts as ten.
	Floor    float64       `yaml:"floor"`
	EndAfter time.Duration `yaml:"end_after"` // of calm, until an attack is over
}

// DefaultConfig leaves alone what scanners send, which try some dozens of things.
func DefaultConfig() Config { return Config{Times: 3, Floor: 50, EndAfter: 10 * time.Second} }

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if !(c.Times >= 1.5) {
		l.Add("times", "write 3", "%v times the usual peak is ordinary traffic", c.Times)
	}
	if !(c.Floor >= 10) {
		l.Add("floor", "write 50", "%v malformed requests a second are no attack", c.Floor)
	}
	if c.EndAfter < time.Second || c.EndAfter > 30*time.Second {
		l.Add("end_after", "write 10s", "%v is not between 1s and 30s", c.EndAfter)
	}
	return l
}
