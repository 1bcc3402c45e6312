package cachebust

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is a flood.
type Config struct {
	Times    float64       `yaml:"times"`     // of the usual peak of requests with a query
	Floor    float64       `yaml:"floor"`     // new queries a second below which nothing is a flood
	EndAfter time.Duration `yaml:"end_after"` // of calm, until a flood is over
}

// DefaultConfig leaves alone what any server bears.
func DefaultConfig() Config { return Config{Times: 5, Floor: 20, EndAfter: 10 * time.Second} }

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if !(c.Times >= 1.5) {
		l.Add("times", "write 5", "%v times the usual peak is ordinary traffic", c.Times)
	}
	if !(c.Floor >= 1) {
		l.Add("floor", "write 20", "%v requests a second are no flood", c.Floor)
	}
	if c.EndAfter < time.Second || c.EndAfter > 30*time.Second {
		l.Add("end_after", "write 10s", "%v is not between 1s and 30s", c.EndAfter)
	}
	return l
}
