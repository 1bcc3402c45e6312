package costly

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is a flood.
type Config struct {
	Times    float64       `yaml:"times"`     // of the usual peak of requests for the page
	Floor    float64       `yaml:"floor"`     // requests a second for the page below which nothing is a flood
	Busy     float64       `yaml:"busy"`      // seconds of the origin's time a second, on the page
	Costly   float64       `yaml:"costly"`    // times the usual time that a costly page takes
	EndAfter time.Duration `yaml:"end_after"` // of calm, until a flood is over
}

// DefaultConfig asks for a worker's whole time, and more requests than people reload.
func DefaultConfig() Config {
	return Config{Times: 5, Floor: 4, Busy: 1, Costly: 3, EndAfter: 10 * time.Second}
}

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if !(c.Times >= 1.5) {
		l.Add("times", "write 5", "%v times the usual peak is ordinary traffic", c.Times)
	}
	if !(c.Floor >= 1) {
		l.Add("floor", "write 4", "%v requests a second are no flood", c.Floor)
	}
	if !(c.Busy >= 0.1) {
		l.Add("busy", "write 1", "%v seconds a second keep no origin busy", c.Busy)
	}
	if !(c.Costly >= 1.5) {
		l.Add("costly", "write 3", "%v times the usual time is an ordinary page", c.Costly)
	}
	if c.EndAfter < time.Second || c.EndAfter > 30*time.Second {
		l.Add("end_after", "write 10s", "%v is not between 1s and 30s", c.EndAfter)
	}
	return l
}
