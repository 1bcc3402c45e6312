package defense

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

type nothing struct{}

func (nothing) Apply(mitigation.Mitigation) error { return nil }
func (nothing) Withdraw(mitigation.ID) error      { return nil }

// threadTime is the processor's time that this thread has used so far.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	const rusageThread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The worst ticks: reports as fast as they can come, a hundred thousand paths a
// second, twenty thousand bans that come and go. With -v it prints what each
// took. What counts is the processor's time: what else the machine does, and how
// slow its disk is, shows only in the time that passed.
func TestWorstTicks(t *testing.T) {
	clk := clock.New()
	l, err := New(DefaultConfig(), Deps{Clock: clk, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), DataDir: t.TempDir(), Applier: nothing{}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	took := func(what string, f func()) {
		begin, before := time.Now(), threadTime(t)
		f()
		d, cpu := time.Since(begin), threadTime(t)-before
		t.Logf("%-45s %v, in %v", what, cpu.Round(10*time.Microsecond), d.Round(10*time.Microsecond))
		if cpu > time.Second {
			t.Errorf("%s took %v of a processor's time", what, cpu)
		}
	}
	now := l.moment()
	list := func(from int) []mitigation.Offence {
		var out []mitigation.Offence
		for i := range offencesATick {
			n := from + i
			out = append(out, mitigation.Offence{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32), Refused: 40})
		}
		return out
	}
	for i := range 20 {
		took("1,024 offences", func() { l.take(now, l.decider.Offences(now, list(i*offencesATick))); l.flush(now) })
	}
	feed := func() {
		for i := range 100_000 {
			v := traffic.Visit{At: clk.Now(), Client: netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}), Path: fmt.Sprintf("/x/%d", i), Method: "GET", Host: "h", UserAgent: fmt.Sprintf("Mozilla/5.0 (%d)", i), HeaderOrder: uint64(i)*7919 + 1}
			l.Record(&v, mitigation.Verdict{Rank: mitigation.RankNewcomer}, traffic.Outcome{Status: 200, Reached: true, OriginTime: time.Millisecond, Took: time.Millisecond})
		}
	}
	for range 3 {
		feed()
		now = l.moment()
		took("tick of a second, 100,000 paths, 20,000 bans", l.tick)
		l.cutAt = 0
	}
	now = l.moment()
	took("publish", func() { l.publish(now) })
	l.take(now, l.decider.Step(decide.Input{Now: now, Window: l.window, Findings: []attack.Finding{{Vector: attack.HTTPFlood, Rate: 1e5}}}))
	took("step in the attack", func() {
		l.take(now, l.decider.Step(decide.Input{Now: now, Window: l.window, Findings: []attack.Finding{{Vector: attack.HTTPFlood, Rate: 1e5}}}))
		l.flush(now)
	})
	took("end of the attack", func() { l.take(now, l.decider.Step(decide.Input{Now: now, Window: l.window})); l.flush(now) })
	later := now
	later.At = later.At.Add(time.Hour)
	later.Wall = later.Wall.Add(time.Hour)
	for range 10 {
		took("easing", func() { l.take(now, l.decider.Tick(now)); l.flush(now) })
	}
	for range 10 {
		took("all bans expire", func() { l.take(later, l.decider.Tick(later)); l.flush(later) })
	}
	if active, _ := l.decider.Counts(); active != 0 {
		t.Errorf("%d are still there", active)
	}
}
