package identify

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/sealed"
	"seawall/internal/request/identify/geo"
	"seawall/internal/traffic"
)

// Identify fills in visits. Safe for concurrent use.
type Identify struct {
	trusted trusted
	header  string
	https   bool // whatever arrives here came by HTTPS
	cookie  string
	goodFor time.Duration
	box     *sealed.Box
	places  *geo.Places
	clock   *clock.Clock
	budget  budget
	// rooms are buffers to open cookies in. On the stack they would not stay:
	// the cipher is behind an interface.
	rooms sync.Pool
}

// New makes the room. places may come from geo.Open with the two files that cfg
// names. box must be the same after a restart, or nobody is known any more.
func New(cfg Config, box *sealed.Box, places *geo.Places, clk *clock.Clock, log *slog.Logger) (*Identify, error) {
	if err := cfg.Validate().Err(); err != nil {
		return nil, err
	}
	if box == nil || places == nil || clk == nil {
		return nil, errors.New("identify: needs a box, places and a clock")
	}
	t, err := newTrusted(cfg.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("trusted_proxies: %w", err)
	}
	country, network := places.About()
	log.Info("countries and networks are known",
		"countries_of", country.Day.Format(time.DateOnly), "networks_of", network.Day.Format(time.DateOnly))
	return &Identify{
		trusted: t,
		header:  cfg.ClientHeader,
		https:   cfg.Scheme == SchemeHTTPS,
		cookie:  cfg.Cookie,
		goodFor: cfg.ClearanceFor,
		box:     box,
		places:  places,
		clock:   clk,
		budget:  budget{perMinute: uint64(cfg.NewPerMinute)},
		rooms:   sync.Pool{New: func() any { return new([sealedRoom]byte) }},
	}, nil
}

// Locate fills in where v.Client is, which is all that can be told of a connection
// before its first request.
func (id *Identify) Locate(v *traffic.Visit) {
	v.Client = v.Client.Unmap()
	v.Country, v.Network = id.places.Lookup(v.Client)
}

// Identify fills v from what listen has put there and from h. v.Client must be
// the address that the connection vouches for: the peer's, or the one that a
// trusted proxy gave in a PROXY header.
func (id *Identify) Identify(v *traffic.Visit, h traffic.Headers) {
	v.Secure = id.secure(v, h)
	vouched := v.Client.Unmap()
	v.Client = id.client(vouched, h)
	if !v.Located || v.Client != vouched {
		v.Country, v.Network = id.places.Lookup(v.Client)
		v.Located = v.Client == vouched
	}
	v.Host = hostName(v.Host)
	v.QueryShape = queryShape(v.RawQuery)
	v.Kind = kindOf(v, h)
	v.Clearance, v.ClearanceID, v.ClearanceAt = traffic.ClearanceNone, 0, time.Time{}
	if c, ok := id.clearanceOf(v, h); ok {
		v.Clearance, v.ClearanceID, v.ClearanceAt = traffic.ClearanceProven, c.id, c.issued
	}
}
