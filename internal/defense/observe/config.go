package observe

import "seawall/internal/kit/problem"

// Config says how much is looked at and kept.
type Config struct {
	// Shards is how many places there are to count in, a power of two; 0 means
	// twice the processors that Go uses, at most 64.
	Shards int `yaml:"shards"`
	// Samples is the most requests of a window that are kept for study.
	Samples int `yaml:"samples"`
	// Keys is how many heavy hitters are followed for each of client, path and
	// user agent; other fields take fixed shares of it.
	Keys int `yaml:"keys"`
	// Top is how many heavy hitters of a field a window shows.
	Top int `yaml:"top"`
	// SampleAbove is the rate, in requests a second, above which only one
	// request in N is looked at field by field, N being rate / SampleAbove.
	SampleAbove int `yaml:"sample_above"`
	// Seed is for what is replayed, which must give the same each time: then it is not
	// 0, and one goroutine calls Record and Cut. It is nobody's setting.
	Seed uint64 `yaml:"-"`
	// Stays says that strings of visits stay as they are for ever, as those of a log do
	// and those of a connection, which reads the next request into their place, do
	// not. Samples then share them. It is nobody's setting.
	Stays bool `yaml:"-"`
}

// DefaultConfig fits a machine with 1 GiB or more.
func DefaultConfig() Config {
	return Config{Samples: 2000, Keys: 128, Top: 20, SampleAbove: 20_000}
}

// SmallConfig fits a process that may take 64 MiB in all.
func SmallConfig() Config {
	return Config{Samples: 500, Keys: 64, Top: 20, SampleAbove: 10_000}
}

// Validate says what is wrong with the settings.
func (c Config) Validate() problem.List {
	var l problem.List
	if c.Shards < 0 || c.Shards > maxShards || c.Shards&(c.Shards-1) != 0 {
		l.Add("shards", "write 0, or a power of two up to 64", "%d shards cannot be", c.Shards)
	}
	in := func(key string, v, least, most int) {
		if v < least || v > most {
			l.Add(key, "", "%d is not between %d and %d", v, least, most)
		}
	}
	in("samples", c.Samples, 100, 20_000)
	in("keys", c.Keys, 32, 1024)
	in("top", c.Top, 5, 100)
	in("sample_above", c.SampleAbove, 1000, 10_000_000)
	return l
}
