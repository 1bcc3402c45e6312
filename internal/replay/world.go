package replay

import (
	"time"

	"seawall/internal/defense"
	"seawall/internal/kit/accesslog"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/pcap"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Together is how many requests are made out before the first of them is decided on.
const Together = 16

// Door is what a request meets.
type Door interface {
	Identify(v *traffic.Visit, h traffic.Headers)
	// Expect is told which visits, at most Together, Decide is asked about next, in
	// order. What Identify has filled in does not change until then.
	Expect(visits []traffic.Visit)
	Decide(v *traffic.Visit) mitigation.Verdict
}

// World is what is replayed in, on a clock that stands still.
type World struct {
	Clock *clock.Clock
	Door  Door
	Loop  *defense.Loop
	Steps *[]defense.Record // those of the loop so far
	Made  func() []Made     // what was applied and withdrawn since it was asked last
	// Packets judges those of captures, for the loop; nil: there can be none.
	Packets Ladder
	Keep    func() error // keeps what was learnt, where that is wanted
	Close   func() error // ends it
}

// Made is a mitigation that was applied, or withdrawn.
type Made struct {
	M    mitigation.Mitigation
	Over bool
}

// Options says how to replay.
type Options struct {
	Format *accesslog.Format // of all files; nil: it is found out
	// World makes one whose clock shows at.
	World func(at time.Time) (*World, error)
	// Reads says whether packets of a link can be read; nil: none can.
	Reads     func(pcap.Link) bool
	Protected string // for whom packets are judged, in words
	// Rate has a single capture played with so many packets a second, whatever times
	// it tells; 0: in its own time. With For, it is played over and over for so long.
	Rate uint64
	For  time.Duration
	// Progress is told, now and then, how many bytes of how many were read; nil: nobody.
	Progress func(read, all int64, at time.Time)
}
