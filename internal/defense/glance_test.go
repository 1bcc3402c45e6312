package defense

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// A flood that is slowed by what it has in common is no reason to put newcomers into one
// rank with it; any other is, and those whom the line keeps waiting besides.
func TestSlowedFloodIsNoEmergency(t *testing.T) {
	slow := mitigation.Verdict{Action: mitigation.Slow, Reason: mitigation.ReasonMitigation, ID: 7, Rank: mitigation.RankSuspect}
	for _, c := range []struct {
		name   string
		d      mitigation.Verdict
		others int // let in besides
		origin traffic.Origin
		want   bool
	}{
		{"slowed", slow, 0, traffic.Origin{Waiting: 600, Behind: 595, Limit: 20}, false},
		{"let in", mitigation.Verdict{Rank: mitigation.RankNewcomer}, 0, traffic.Origin{Limit: 20}, true},
		{"slowed, and others come", slow, 16, traffic.Origin{Waiting: 600, Behind: 595, Limit: 20}, false},
		{"slowed, and others wait", slow, 16, traffic.Origin{Waiting: 600, Behind: 500, Limit: 20}, true},
	} {
		m, err := match.Parse(`path == "/"`)
		if err != nil {
			t.Fatal(err)
		}
		clk := clock.NewStopped(time.Date(2019, 11, 12, 9, 0, 0, 0, time.UTC))
		var line traffic.Origin
		l, err := New(DefaultConfig(), Deps{
			Clock: clk, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Applier: nothing{},
			Origin: func() traffic.Origin { return line },
			Rules:  []decide.Rule{{Name: "slowly", Match: m, Action: mitigation.Slow}},
		})
		if err != nil {
			t.Fatal(err)
		}
		// come asks for so many pages.
		come := func(n int, d mitigation.Verdict) {
			for i := range n {
				a := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0xc6120000+uint32(i))))
				v := traffic.Visit{At: clk.Now(), Client: a, Method: "GET", Host: "campaign.example", Path: "/", Kind: traffic.KindPage}
				l.Record(&v, d, traffic.Outcome{Status: 200, Reached: true, OriginTime: time.Millisecond, Took: time.Millisecond})
			}
		}
		glance := func() { clk.Set(clk.Now().Add(glanceEvery)); l.Step() }
		for range 100 { // in peace
			come(8, mitigation.Verdict{})
			glance()
		}
		line = c.origin
		come(800, c.d)
		come(c.others, mitigation.Verdict{})
		glance()
		if got := l.decider.Emergent(); got != c.want {
			t.Errorf("%s: newcomers are put behind everybody else: %v, want %v", c.name, got, c.want)
		}
		if !c.want && l.pressed > 0 {
			t.Errorf("%s: the line of the slowed is taken for a crowd's", c.name)
		}
		l.Close()
	}
}
