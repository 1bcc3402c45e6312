package demo

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"seawall/internal/demo/flood"
)

// Guise is how the bots of Wide keep from being alike.
type Guise string

// The guises.
const (
	GuisePlain   Guise = ""        // they do not
	GuiseQueries Guise = "queries" // each request has a query of its own, name and value
	GuiseAgents  Guise = "agents"  // each request says that it comes from another browser
	GuisePages   Guise = "pages"   // all turn to another page every five seconds
	GuisePulses  Guise = "pulses"  // two seconds of flood, and two of nothing
)

const (
	pageTurn  = 5 * time.Second
	pulseTime = 2 * time.Second
)

// turned are the pages that GuisePages goes through.
var turned = [...]string{"/", "/news", "/donate", "/join", "/poster"}

// dress has a flood go in a guise.
func dress(c *flood.Config, g Guise) error {
	switch g {
	case GuisePlain:
	case GuiseQueries:
		c.Dress = func(b, head []byte, n uint64, _ time.Duration) []byte {
			rest := bytes.TrimPrefix(head, []byte("GET / "))
			x := scatter(n)
			b = append(b, "GET /?"...)
			b = strconv.AppendUint(b, x>>40, 36)
			b = append(b, '=')
			b = strconv.AppendUint(b, x, 36)
			b = append(b, ' ')
			return append(b, rest...)
		}
	case GuiseAgents:
		c.Dress = func(b, head []byte, n uint64, _ time.Duration) []byte {
			before, rest, _ := bytes.Cut(head, []byte("User-Agent: "))
			_, rest, _ = bytes.Cut(rest, []byte("\r\n"))
			x := scatter(n)
			b = append(b, before...)
			b = fmt.Appendf(b, "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:%d.%d) Gecko/20100101 Firefox/%d.%d\r\n", 60+x%100, x>>8%10, 60+x%100, x>>16%10)
			return append(b, rest...)
		}
	case GuisePages:
		c.Dress = func(b, head []byte, _ uint64, since time.Duration) []byte {
			b = append(b, "GET "...)
			b = append(b, turned[int(since/pageTurn)%len(turned)]...)
			return append(b, bytes.TrimPrefix(head, []byte("GET /"))...)
		}
	case GuisePulses:
		c.On, c.Off = pulseTime, pulseTime
	default:
		return fmt.Errorf("%q is no guise", g)
	}
	return nil
}

// scatter makes a number of n that looks like chance (the finalizer of MurmurHash3,
// Appleby 2011).
func scatter(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>33) * 0xff51afd7ed558ccd
	n = (n ^ n>>33) * 0xc4ceb9fe1a85ec53
	return n ^ n>>33
}
