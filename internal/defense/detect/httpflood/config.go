package httpflood

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is a flood.
type Config struct {
	Times        float64       `yaml:"times"`         // of the usual peak: this much demand is looked at
	Floor        float64       `yaml:"floor"`         // requests a second below which nothing is a flood
	BlatantTimes float64       `yaml:"blatant_times"` // of the usual peak: this much is blatant
	BlatantFloor float64       `yaml:"blatant_floor"` // requests a second below which nothing is blatant
	EndAfter     time.Duration `yaml:"end_after"`     // of calm, until a flood is over
}

// DefaultConfig suits sites from a request a second upwards: the floors keep
// small sites from alarm at what any server bears.
func DefaultConfig() Config {
	return Config{Times: 3, Floor: 30, BlatantTimes: 5, BlatantFloor: 150, EndAfter: 10 * time.Second}
}

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if c.Times < 1.5 {
		l.Add("times", "write 3", "%v times the usual peak is ordinary traffic", c.Times)
	}
	if c.Floor < 1 {
		l.Add("floor", "write 30", "%v requests a second are no flood", c.Floor)
	}
	if c.BlatantTimes < c.Times {
		l.Add("blatant_times", "write 5", "%v is less than times", c.BlatantTimes)
	}
	if c.BlatantFloor < c.Floor {
		l.Add("blatant_floor", "write 150", "%v is less than floor", c.BlatantFloor)
	}
	if c.EndAfter < time.Second || c.EndAfter > 30*time.Second {
		l.Add("end_after", "write 10s", "%v is not between 1s and 30s", c.EndAfter)
	}
	return l
}
