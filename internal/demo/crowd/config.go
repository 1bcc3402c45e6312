package crowd

import (
	"net/netip"
	"time"

	"seawall/internal/kit/problem"
)

// Config describes the visitors.
type Config struct {
	Target    netip.AddrPort // where they connect; must be loopback
	Host      string         // the name of the site, as they type it
	Addresses []netip.Addr   // one for each visitor, in order of arrival
	Browsers  []Browser      // visitor i uses Browsers[i % len(Browsers)]
	Rate      float64        // requests a second of each visitor, on average
	Patience  time.Duration  // after which a visitor gives a request up
	Seed      uint64         // of everything random

	// Preface is sent first on each connection; nil for none.
	Preface func(src netip.AddrPort) []byte
	// Check says what is wrong with a body that should be the answer for path.
	Check func(path string, body []byte) error
}

// Browser is a family of browsers: which headers it sends, and in which order.
type Browser struct {
	Agent string
	// Page and Asset list the header lines of a request for a page and for an
	// asset. In them {host}, {agent}, {referer}, {cookie}, {etag}, {accept},
	// {dest} and {site} stand for what changes; a line whose value comes out
	// empty is left out. {host} stands for the Host line's value.
	Page, Asset []string
	// Form lists the lines of a request that sends a form, with {length} too.
	Form []string
}

// Validate says what is wrong with c.
func (c Config) Validate() problem.List {
	var l problem.List
	if !c.Target.Addr().Unmap().IsLoopback() {
		l.Add("target", "visitors go to loopback addresses only", "%v is not a loopback address", c.Target)
	}
	if len(c.Addresses) == 0 {
		l.Add("addresses", "give one for each visitor", "no addresses")
	}
	if len(c.Browsers) == 0 {
		l.Add("browsers", "give at least one", "no browsers")
	}
	if c.Rate <= 0 || c.Rate > 100 {
		l.Add("rate", "at most 100 requests a second of each visitor", "%v requests a second", c.Rate)
	}
	if c.Patience <= 0 {
		l.Add("patience", "write a time, such as 10s", "no patience")
	}
	if c.Check == nil {
		l.Add("check", "say how to tell a right body", "no check")
	}
	return l
}
