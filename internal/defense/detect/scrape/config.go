package scrape

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much is scraping.
type Config struct {
	Pages    int           `yaml:"pages"`     // different pages that a client reads within a minute
	EndAfter time.Duration `yaml:"end_after"` // without a further page, until it is over
}

// DefaultConfig leaves alone who opens many links at once, and slow crawlers.
func DefaultConfig() Config { return Config{Pages: 60, EndAfter: 90 * time.Second} }

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if c.Pages < 20 || c.Pages > 2000 {
		l.Add("pages", "write 60", "%d is not between 20 and 2000", c.Pages)
	}
	if c.EndAfter < time.Minute || c.EndAfter > time.Hour {
		l.Add("end_after", "write 90s", "%v is not between 1m and 1h", c.EndAfter)
	}
	return l
}
