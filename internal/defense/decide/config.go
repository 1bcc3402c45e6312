package decide

import (
	"time"

	"seawall/internal/kit/problem"
)

// Config says how long and how many.
type Config struct {
	TimeToLive time.Duration `yaml:"time_to_live"` // of what refuses or slows, beyond its last hit
	TimeMost   time.Duration `yaml:"time_most"`    // what time_to_live may double to within one attack
	Ban        time.Duration `yaml:"ban"`          // of a repeat offender, the first time
	BanMost    time.Duration `yaml:"ban_most"`     // what ban may double to
	Bans       int           `yaml:"bans"`         // prefixes that the machine bans at most at a time
	Signatures int           `yaml:"signatures"`   // that act at most at a time
	// LeastOrdinary is how many ordinary requests a signature must have been
	// tested on before it may refuse, unless it rests on a poor standing.
	LeastOrdinary int `yaml:"least_ordinary"`
}

// DefaultConfig lets everything end within a minute of an attack's end.
func DefaultConfig() Config {
	return Config{
		TimeToLive: 30 * time.Second, TimeMost: 10 * time.Minute,
		Ban: time.Minute, BanMost: time.Hour, Bans: 20_000,
		Signatures: 32, LeastOrdinary: 300,
	}
}

// Validate lists what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	between := func(key string, v, least, most time.Duration) {
		if v < least || v > most {
			l.Add(key, "", "%v is not between %v and %v", v, least, most)
		}
	}
	between("time_to_live", c.TimeToLive, 5*time.Second, 10*time.Minute)
	between("time_most", c.TimeMost, c.TimeToLive, time.Hour)
	between("ban", c.Ban, 10*time.Second, time.Hour)
	between("ban_most", c.BanMost, c.Ban, 24*time.Hour)
	if c.Bans < 0 || c.Bans > 100_000 {
		l.Add("bans", "write 20000", "%d is not between 0 and 100000", c.Bans)
	}
	if c.Signatures < 1 || c.Signatures > 64 {
		l.Add("signatures", "write 32", "%d is not between 1 and 64", c.Signatures)
	}
	if c.LeastOrdinary < 20 {
		l.Add("least_ordinary", "write 300", "%d ordinary requests are too few to test anything on", c.LeastOrdinary)
	}
	return l
}

// The house's limits, not to be set by anybody.
const (
	// Never is the share of recent ordinary traffic from which a signature is
	// not enforced (DESIGN, "Never").
	Never = 0.001
	// neverSum is the same for all that refuses at a time.
	neverSum = 2 * Never
	// newcomers is the share of first visits from which a signature counts as
	// locking them out.
	newcomers = 0.02
	// served is the share of their requests below which visitors are hurt.
	served = 0.97

	emergencyTime  = 10 * time.Second
	afterAttack    = 20 * time.Second // what is left to signatures when an attack is over
	banAfterAttack = 40 * time.Second // and to bans of that attack
	slowBefore     = 900 * time.Millisecond
	slowNewcomers  = 3 * time.Second
	undoneFor      = time.Hour
	offenderFor    = time.Hour
	addressFor     = 50 * time.Minute // an ended ban's address; swept often enough for the hour
	endedFor       = 30 * 24 * time.Hour

	bansATick = 2048 // that end or are shortened in one call; more would take too long

	mostOrders    = 20_000
	mostMatches   = 24 // people's, about visits: of the 64 that the door asks, the machine's signatures are the rest
	mostUndone    = 32_768
	mostOffenders = 32_768
	mostEnded     = 4096
	mostLevels    = 4096
)
