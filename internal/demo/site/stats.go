package site

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
)

// Stats is what has reached the site since it began.
type Stats struct {
	Visitors uint64 `json:"visitors"` // requests of known visitors
	Others   uint64 `json:"others"`   // requests of everybody else who has an address
	Checks   uint64 `json:"checks"`   // requests that came from this machine itself: health checks
	Served   uint64 `json:"served"`   // answered with what was asked for
	Full     uint64 `json:"full"`     // turned away: the line was full
	TooLate  uint64 `json:"too_late"` // failed: too long in line
	Waiting  int64  `json:"waiting"`  // in line now
}

type counters struct{ visitors, others, checks, served, full, tooLate atomic.Uint64 }

// count puts a request down to visitors, others or checks.
func (s *Site) count(r *http.Request) {
	a := source(r)
	switch {
	case !a.IsValid() || a.IsLoopback():
		s.counts.checks.Add(1)
	case s.visitors[a]:
		s.counts.visitors.Add(1)
	default:
		s.counts.others.Add(1)
	}
}

// source is the address that asked: the last one forwarded, which the server
// in front of the site added itself, or else the other end of the connection.
func source(r *http.Request) netip.Addr {
	if f := r.Header.Values("X-Forwarded-For"); len(f) > 0 {
		last := f[len(f)-1]
		if i := strings.LastIndexByte(last, ','); i >= 0 {
			last = last[i+1:]
		}
		if a, err := netip.ParseAddr(strings.TrimSpace(last)); err == nil {
			return a.Unmap()
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a, _ := netip.ParseAddr(host)
	return a.Unmap()
}

// Stats reads the counters.
func (s *Site) Stats() Stats {
	return Stats{
		Visitors: s.counts.visitors.Load(),
		Others:   s.counts.others.Load(),
		Checks:   s.counts.checks.Load(),
		Served:   s.counts.served.Load(),
		Full:     s.counts.full.Load(),
		TooLate:  s.counts.tooLate.Load(),
		Waiting:  s.workers.waiting.Load(),
	}
}

// StatsHandler answers every request with Stats as JSON. It takes no worker, so
// that it can be read while the site drowns; serve it on a port of its own.
func (s *Site) StatsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// The reader has gone if this fails; there is nobody to tell.
		_ = json.NewEncoder(w).Encode(s.Stats())
	})
}
