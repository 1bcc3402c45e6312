package observe

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// What a replay counts in one place gives the windows that two tallies in turns give, sample
// by sample: in quiet seconds, in those with more than is kept, and in those of which only
// some are looked at field by field.
func TestGatherInPlace(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Seed, cfg.Samples, cfg.SampleAbove, cfg.Stays = 1, 200, 1000, true
	clk := clock.NewStopped(time.Unix(1e9, 0))
	place, turns := New(cfg, clk), New(cfg, clk)
	rng := rand.New(rand.NewPCG(1, 2))
	for sec := range 40 {
		for range [...]int{0, 30, 199, 200, 5000, 700, 60}[sec%7] {
			v := visit()
			v.Client = netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(9)), byte(rng.IntN(256))})
			v.Path, v.Network = fmt.Sprint("/", rng.IntN(300)), uint32(rng.IntN(300))
			d := letIn
			if rng.IntN(5) == 0 {
				d = mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, ID: mitigation.ID(1 + rng.IntN(3))}
			}
			place.Record(v, d, served)
			turns.Record(v, d, served)
		}
		clk.Set(clk.Now().Add(time.Second))
		got, want := place.Cut(traffic.Origin{}), turns.end(traffic.Origin{}, turns.gather)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("second %d: %d samples of %d, not the same as %d of %d", sec, len(got.Samples), got.Offered, len(want.Samples), want.Offered)
		}
	}
}
