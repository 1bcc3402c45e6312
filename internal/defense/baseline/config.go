package baseline

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says what holds before anything is known, and how much is remembered.
type Config struct {
	// Floor is a rate, in requests a second, that is normal for any site:
	// Normal.Requests and Normal.Peak are never below it.
	Floor float64 `yaml:"floor"`
	// OriginCapacity is what the origin is known to bear, in requests a
	// second; 0 unknown.
	OriginCapacity float64 `yaml:"origin_capacity"`
	// FloorShare of OriginCapacity is taken as normal until something is
	// learnt.
	FloorShare float64 `yaml:"floor_share"`
	// Delay is how long a window waits before it is learnt from; when an attack
	// is found meanwhile, it never is. For the first seconds it is shorter.
	Delay time.Duration `yaml:"delay"`
	// Samples is how many ordinary requests are kept for testing signatures on.
	Samples int `yaml:"samples"`
	// FromLog says that what is learnt comes from a log, in which nobody brings a
	// clearance. It is not a setting.
	FromLog bool `yaml:"-"`
}

// DefaultConfig fits any site.
func DefaultConfig() Config {
	return Config{Floor: 20, FloorShare: 0.3, Delay: 10 * time.Second, Samples: 4000}
}

// Validate says what is wrong with the settings.
func (c Config) Validate() problem.List {
	var l problem.List
	// Written so that NaN is out of range too.
	in := func(key, hint string, v, least, most float64) {
		if !(v >= least && v <= most) {
			l.Add(key, hint, "%v is not between %v and %v", v, least, most)
		}
	}
	in("floor", "write 20", c.Floor, 1, 1e6)
	in("origin_capacity", "write 0 when it is not known", c.OriginCapacity, 0, 1e7)
	in("floor_share", "write 0.3", c.FloorShare, 0, 1)
	if c.Delay < leastDelay || c.Delay > time.Minute {
		l.Add("delay", "write 10s", "%v is not between %v and 1m", c.Delay, leastDelay)
	}
	in("samples", "write 4000", float64(c.Samples), 100, 50_000)
	return l
}
