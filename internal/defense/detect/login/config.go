package login

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is a flood, and how many failures are guesses.
type Config struct {
	Times    float64       `yaml:"times"`       // of the usual peak of POSTs to the page
	Floor    float64       `yaml:"floor"`       // POSTs a second to one page below which nothing is a flood
	EndAfter time.Duration `yaml:"end_after"`   // of calm, until a flood is over
	OneFails int           `yaml:"one_fails"`   // attempts of one client that fail within a minute
	AllFail  int           `yaml:"all_fail"`    // attempts of all clients that do
	Quiet    time.Duration `yaml:"quiet_after"` // without a further attempt, until guessing is over
}

// DefaultConfig lets people mistype.
func DefaultConfig() Config {
	return Config{Times: 5, Floor: 10, EndAfter: 10 * time.Second, OneFails: 8, AllFail: 30, Quiet: 90 * time.Second}
}

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if !(c.Times >= 1.5) {
		l.Add("times", "write 5", "%v times the usual peak is ordinary traffic", c.Times)
	}
	if !(c.Floor >= 1) {
		l.Add("floor", "write 10", "%v requests a second are no flood", c.Floor)
	}
	if c.EndAfter < time.Second || c.EndAfter > 30*time.Second {
		l.Add("end_after", "write 10s", "%v is not between 1s and 30s", c.EndAfter)
	}
	if c.OneFails < 3 {
		l.Add("one_fails", "write 8", "people mistype a password %d times", c.OneFails)
	}
	if c.AllFail < c.OneFails {
		l.Add("all_fail", "write 30", "%d is less than one_fails", c.AllFail)
	}
	if c.Quiet < time.Minute || c.Quiet > time.Hour {
		l.Add("quiet_after", "write 90s", "%v is not between 1m and 1h", c.Quiet)
	}
	return l
}
