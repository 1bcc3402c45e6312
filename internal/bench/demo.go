package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// setup is what the demo's role "run" is told; what is left out keeps the
// demo's default only where this says so.
type setup struct {
	Kind      string  `json:"kind"`
	Guise     string  `json:"guise,omitempty"`
	Front     string  `json:"front"`
	Through   string  `json:"through,omitempty"`
	Seconds   int     `json:"seconds"`
	Quiet     int     `json:"quiet"`
	After     int     `json:"after"`
	Settle    int     `json:"settle"`
	Visitors  int     `json:"visitors"`
	Newcomers int     `json:"newcomers"`
	Rate      float64 `json:"rate"` // requests a second of each visitor
	Requests  uint64  `json:"requests,omitempty"`
	FloodRate float64 `json:"flood_rate,omitempty"`
	// RefuseAfter: the rest of a flood is refused by order after so many requests.
	RefuseAfter uint64    `json:"refuse_after,omitempty"`
	Site        siteSetup `json:"site"`
	SiteListen  string    `json:"site_listen"`
	Memory      int64     `json:"memory,omitempty"` // bytes
}

// siteSetup is the campaign site's capacity: workers/work requests a second.
type siteSetup struct {
	Workers  int           `json:"workers"`
	Work     time.Duration `json:"work"`
	Line     int           `json:"line"`
	Patience time.Duration `json:"patience"`
}

// standard is the scenario that everything is judged by.
func (b *bench) standard(kind string) setup {
	s := setup{
		Kind: kind, Front: "seawall", Seconds: 20, Quiet: 10, After: 5, Settle: 60,
		Visitors: 40, Newcomers: 8, Rate: 2, SiteListen: "127.0.0.1:0",
		Site: siteSetup{Workers: 5, Work: 10 * time.Millisecond, Line: 4000, Patience: 30 * time.Second},
	}
	if b.o.Short {
		s.Seconds, s.After = 10, 2
	}
	return s
}

// summary is what is read of the demo's summary.
type summary struct {
	Visitors struct {
		Quiet, During, After, Newcomers felt
	} `json:"visitors"`
	Flood struct {
		Sent         uint64  `json:"sent"`
		Answered     uint64  `json:"answered"`
		Refused      uint64  `json:"refused"`
		Errors       uint64  `json:"errors"`
		Reached      uint64  `json:"reached"`
		Rate         float64 `json:"rate"`
		ReachedShare float64 `json:"reached_share"`
		ReachedLate  float64 `json:"reached_share_after_2s"`
		Stemmed      float64 `json:"stemmed_s"`
	} `json:"flood"`
	Seawall struct {
		Noticed   float64 `json:"noticed_s"`
		Mitigated float64 `json:"mitigated_s"`
		Withdrawn float64 `json:"withdrawn_s"`
		Attacks   int     `json:"attacks"`
		PeakRSS   int64   `json:"peak_rss_bytes"`
		IdleRSS   int64   `json:"idle_rss_bytes"`
		CPU       float64 `json:"cpu_cores"`
	} `json:"seawall"`
}

type felt struct {
	Meant  uint64            `json:"meant"`
	Served uint64            `json:"served"`
	Share  float64           `json:"share"`
	Wrong  map[string]uint64 `json:"wrong"`
	P50    float64           `json:"p50_ms"`
	P99    float64           `json:"p99_ms"`
}

// demo runs the demo once.
func (b *bench) demo(ctx context.Context, s setup) (summary, error) {
	spec, err := json.Marshal(s)
	if err != nil {
		return summary{}, fmt.Errorf("write the setup: %w", err)
	}
	out, err := b.play(ctx, "run", append(spec, '\n'))
	if err != nil {
		return summary{}, err
	}
	var sum summary
	if err := json.Unmarshal(bytes.TrimSpace(out), &sum); err != nil {
		return summary{}, fmt.Errorf("read the summary %.200q: %w", out, err)
	}
	if v := sum.Visitors.During; v.Meant > 0 {
		b.say("  visitors: %s served, half within %.0f ms, 99 %% within %.0f ms", percent(v.Share), v.P50, v.P99)
	}
	return sum, nil
}

// row puts a summary into the table.
func (s *summary) row(front string) Row {
	came := -1.0
	if s.Visitors.Newcomers.Meant > 0 {
		came = s.Visitors.Newcomers.Share
	}
	return Row{
		Front: front, Served: s.Visitors.During.Share, P50: s.Visitors.During.P50, P99: s.Visitors.During.P99,
		QuietP99: s.Visitors.Quiet.P99, Newcomers: came, Reached: s.Flood.ReachedShare,
		CPU: s.Seawall.CPU, RSS: s.Seawall.PeakRSS,
	}
}
