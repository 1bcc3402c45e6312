package site

import (
	"net/netip"
	"time"

	"seawall/internal/kit/problem"
)

// Config says how much the site can bear.
type Config struct {
	// Workers is how many requests are worked on at once.
	Workers int `json:"workers" yaml:"workers"`
	// Work is how long a worker is taken by one request; a poster takes it
	// PosterWeight times.
	Work time.Duration `json:"work" yaml:"work"`
	// Line is how many requests may stand in line before others are turned away.
	Line int `json:"line" yaml:"line"`
	// Patience is how long a request may stand in line before it fails.
	Patience time.Duration `json:"patience" yaml:"patience"`
	// Visitors are the addresses whose requests Stats counts as visitors'.
	Visitors []netip.Addr `json:"visitors,omitempty" yaml:"visitors,omitempty"`
}

// PosterWeight is how many times the work of a page a poster is.
const PosterWeight = 10

// DefaultConfig is a site that answers 500 requests a second, as a small
// content management system on a small server does.
func DefaultConfig() Config {
	return Config{Workers: 5, Work: 10 * time.Millisecond, Line: 4000, Patience: 30 * time.Second}
}

// Capacity is how many requests a second the site answers at most.
func (c Config) Capacity() float64 {
	if c.Work <= 0 {
		return 0
	}
	return float64(c.Workers) / c.Work.Seconds()
}

// Validate says what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if c.Workers < 1 || c.Workers > 1000 {
		l.Add("workers", "write a number from 1 to 1000", "%d workers", c.Workers)
	}
	if c.Work < 0 || c.Work > 10*time.Second {
		l.Add("work", "write a time from 0s to 10s", "%v of work", c.Work)
	}
	if c.Line < 1 || c.Line > 100_000 {
		l.Add("line", "write a number from 1 to 100000", "a line of %d", c.Line)
	}
	if c.Patience <= 0 {
		l.Add("patience", "write a time, such as 30s", "no patience")
	}
	return l
}
