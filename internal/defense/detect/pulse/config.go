package pulse

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says what belongs together.
type Config struct {
	Pause time.Duration `yaml:"pause"` // between two pulses, at most
}

// DefaultConfig remembers as long as decide does what helped.
func DefaultConfig() Config { return Config{Pause: 10 * time.Minute} }

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if c.Pause < 10*time.Second || c.Pause > time.Hour {
		l.Add("pause", "write 10m", "%v is not between 10s and 1h", c.Pause)
	}
	return l
}
