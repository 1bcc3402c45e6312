package decide

import (
	"testing"
	"time"

	"seawall/internal/kit/clock"
)

// The worst second: 20,000 clients are banned, and later all bans end at once.
func BenchmarkBansBeginAndEnd(b *testing.B) {
	b.ReportAllocs()
	list := offences(20_000)
	for b.Loop() {
		d := New(DefaultConfig())
		now := Moment{At: clock.Instant(time.Hour), Wall: time.Unix(1_800_000_000, 0)}
		d.Offences(now, list)
		now.At, now.Wall = now.At.Add(time.Minute), now.Wall.Add(time.Minute)
		d.Tick(now)
	}
}

// An idle tick with 20,000 bans in force, ten of which happen each second.
func BenchmarkTick(b *testing.B) {
	b.ReportAllocs()
	d := New(DefaultConfig())
	now := Moment{At: clock.Instant(time.Hour), Wall: time.Unix(1_800_000_000, 0)}
	d.Offences(now, offences(20_000))
	for b.Loop() {
		d.Tick(now)
	}
}
