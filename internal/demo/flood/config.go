package flood

import (
	"net/netip"
	"time"

	"seawall/internal/kit/problem"
)

// Ceilings on what any flood may be, whoever asks.
const (
	MostSources     = 100_000
	MostConnections = 16_000  // open at once, in all
	MostRate        = 100_000 // requests a second, in all
	MostTime        = 10 * time.Minute
	MostSpreadTime  = time.Hour  // of Spread
	MostRequests    = 20_000_000 // of Spread
)

// Config describes a botnet.
type Config struct {
	Target      string        // "127.0.0.1:8080"; must be loopback
	Sources     []netip.Addr  // where its requests say that they come from
	Rate        float64       // requests a second of each source
	Length      time.Duration // how long it goes on
	Connections int           // that each source opens at most
	Patience    time.Duration // after which a source gives an answer up
	Heads       [][]byte      // whole requests; source i sends Heads[i % len(Heads)]
	// Dress appends request n of all to b, made of its source's head, as it is since the
	// flood began; nil sends the head.
	Dress func(b, head []byte, n uint64, since time.Duration) []byte
	// On and Off are how long it goes on and pauses in turn; Off 0: it does not pause.
	On, Off time.Duration
	Preface func(src netip.AddrPort) []byte // sent first on each connection; nil for none
	Every   time.Duration                   // how often Run reports
}

// Validate says what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if n := len(c.Sources); n < 1 || n > MostSources {
		l.Add("sources", "between 1 and 100000", "%d sources", n)
	}
	if c.Rate <= 0 || c.Rate*float64(len(c.Sources)) > MostRate {
		l.Add("rate", "at most 100000 requests a second in all", "%v requests a second from each of %d sources", c.Rate, len(c.Sources))
	}
	if c.Length <= 0 || c.Length > MostTime {
		l.Add("length", "at most ten minutes", "%v", c.Length)
	}
	if c.Off < 0 || c.Off > 0 && c.On <= 0 {
		l.Add("on", "write a time, such as 2s", "on for %v, off for %v", c.On, c.Off)
	}
	if c.Connections < 1 || c.Connections*len(c.Sources) > MostConnections {
		l.Add("connections", "at most 16000 in all", "%d connections for each of %d sources", c.Connections, len(c.Sources))
	}
	if c.Patience <= 0 {
		l.Add("patience", "write a time, such as 10s", "no patience")
	}
	if len(c.Heads) == 0 {
		l.Add("heads", "give at least one request", "nothing to send")
	}
	if c.Every <= 0 {
		l.Add("every", "write a time, such as 250ms", "no time between reports")
	}
	return l
}
