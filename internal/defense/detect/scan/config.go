package scan

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is a scan.
type Config struct {
	Missing  int           `yaml:"missing"`   // different pages that are not there, asked for by a client within a minute
	Probes   int           `yaml:"probes"`    // different names that scanners look for, of a client within a minute
	EndAfter time.Duration `yaml:"end_after"` // without a further request of such a client, until it is over
}

// DefaultConfig leaves alone who follows some broken links.
func DefaultConfig() Config { return Config{Missing: 20, Probes: 4, EndAfter: 90 * time.Second} }

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if c.Missing < 5 {
		l.Add("missing", "write 20", "%d broken links are followed by anybody", c.Missing)
	}
	if c.Probes < 2 {
		l.Add("probes", "write 4", "%d such name may be a mistake", c.Probes)
	}
	if c.EndAfter < time.Minute || c.EndAfter > time.Hour {
		l.Add("end_after", "write 90s", "%v is not between 1m and 1h", c.EndAfter)
	}
	return l
}
