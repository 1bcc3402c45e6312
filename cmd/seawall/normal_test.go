package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"seawall/internal/traffic"
)

func learnt() *traffic.Learnt {
	l := &traffic.Learnt{At: noon, Now: &traffic.Normal{Requests: 81, Peak: 240, Capacity: 410}}
	for i, s := range []*traffic.Span{&l.Hour, &l.Day, &l.Week} {
		*s = traffic.Span{
			Learned: time.Duration(1+i*i*40) * time.Hour, Since: noon.Add(-time.Duration(1+i*83) * time.Hour),
			Requests: traffic.Rates{Usual: 80 + float64(i), Peak: 1234.5}, Clients: 40.2, PerClient: 3.26,
			OriginP50: 8 * time.Millisecond, OriginP95: 31 * time.Millisecond, Capacity: 410, AssetShare: 0.724, ClearanceShare: 0.955, Samples: 4000 - 1000*i,
		}
	}
	for d := range l.Hours {
		for h := range l.Hours[d] {
			if d < 6 || h < 11 {
				usual := float64(1+h) * 10
				l.Hours[d][h] = traffic.WeekHour{Weeks: 1 + d%3, Rates: traffic.Rates{Usual: usual, Peak: 3 * usual}}
			}
		}
	}
	return l
}

// What is normal, in its states, as text.
func TestDrawsNormal(t *testing.T) {
	frozen := learnt()
	frozen.Frozen = true
	young := &traffic.Learnt{At: noon, Now: &traffic.Normal{Requests: 20, Peak: 20}}
	young.Hour.Instead, young.Day.Instead, young.Week.Instead = "nothing is known yet: 20 requests a second are taken as usual", "the last hour stands for the day", "the last hour and day stand for it"
	quiet := learnt()
	quiet.Hours = [7][24]traffic.WeekHour{3: {5: {Weeks: 1}}}
	var all strings.Builder
	for _, c := range []struct {
		name  string
		l     *traffic.Learnt
		saved bool
	}{{"learning", learnt(), false}, {"an attack", frozen, false}, {"nothing is known", young, false}, {"from the data folder", quiet, true}} {
		text := drawNormal(c.l, c.saved)
		for line := range strings.Lines(text) {
			if n := utf8.RuneCountInString(line); n > 100 {
				t.Errorf("%s: %d wide: %s", c.name, n, line)
			}
		}
		all.WriteString("== " + c.name + "\n" + text)
	}
	golden(t, "normal.golden", all.String())
}

func TestRate(t *testing.T) {
	for v, want := range map[float64]string{0: "–", -1: "–", 0.04: "0.0", 3.25: "3.2", 9.99: "10.0", 10.4: "10", 1234.5: "1,235"} {
		if got := rate(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
