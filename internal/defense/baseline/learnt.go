package baseline

import (
	"fmt"
	"time"

	"seawall/internal/traffic"
)

// Learnt sums up what is known at a moment; the zero time is when something was learnt
// last, if ever. It belongs to the goroutine of Learn.
func (b *Baseline) Learnt(at time.Time) traffic.Learnt {
	if at.IsZero() && b.calendar.now > 0 {
		at = minuteTime(b.calendar.now)
	}
	out := traffic.Learnt{At: at, Frozen: b.frozen, Now: b.Normal(), Hour: b.hourSpan(), Day: b.daySpan(), Week: b.weekSpan()}
	for h := range weekHours {
		if w := b.calendar.week[h]; w.weeks > 0 {
			day, hour := monday(h)
			out.Hours[day][hour] = traffic.WeekHour{Weeks: w.weeks, Rates: traffic.Rates{Usual: w.median, Peak: w.peak}}
		}
	}
	return out
}

// monday turns an hour of a week that begins on a Thursday, as 1970 did, into a day
// counted from Monday and its hour.
func monday(h int) (day, hour int) { return (h/24 + 3) % 7, h % 24 }

// hourSpan sums up the short memory.
func (b *Baseline) hourSpan() traffic.Span {
	n := b.Normal()
	s := traffic.Span{
		Requests: traffic.Rates{Usual: b.requests.rate(0.5), Peak: b.requests.rate(0.95)},
		Clients:  n.Clients, PerClient: n.PerClient, OriginP50: n.OriginP50, OriginP95: n.OriginP95,
		AssetShare: n.AssetShare, ClearanceShare: n.ClearanceShare, Samples: len(n.Ordinary),
		// A window is a second; where they are not, learned says how much there is at most.
		Learned: min(time.Duration(b.requests.n)*time.Second, b.learned),
	}
	// It began so many windows ago; where that is more than a day, nobody knows when.
	c := &b.calendar
	left := s.Learned.Seconds() - 0.5 // but for rounding
	for n := c.now; n > c.now-dayMinutes && n > 0 && left > 0; n-- {
		if m := &c.day[n%dayMinutes]; m.number == n && m.seconds > 0 {
			s.Capacity = max(s.Capacity, m.capacity)
			if left -= m.seconds; left <= 0 {
				s.Since = minuteTime(n)
			}
		}
	}
	if b.learned < known {
		s.Instead = fmt.Sprintf("nothing is known yet: %.0f requests a second are taken as usual (defense.baseline.floor, origin_capacity)", n.Requests)
	}
	return s
}

func minuteTime(number int64) time.Time { return time.Unix(number*60, 0).UTC() }

// daySpan sums up the last day's minutes.
func (b *Baseline) daySpan() traffic.Span {
	c := &b.calendar
	var all summary
	for i := range c.day {
		if m := &c.day[i]; m.seconds > 0 && m.number <= c.now && m.number > c.now-dayMinutes {
			all.add(m, &c.dayDetail[i])
		}
	}
	s := all.figures().span()
	s.Learned, s.Samples = time.Duration(all.seconds*float64(time.Second)), b.day.count()
	if all.oldest > 0 {
		s.Since = minuteTime(all.oldest)
	}
	if len(all.rates) < leastMinutes {
		s.Instead = fmt.Sprintf("less than %d minutes are known: the last hour stands for the day", leastMinutes)
	}
	return s
}

// span is what figures say of a stretch.
func (f figures) span() traffic.Span {
	ms := func(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
	return traffic.Span{
		Requests: traffic.Rates{Usual: f.median, Peak: f.peak}, Clients: f.clients, PerClient: f.busiest,
		OriginP50: ms(f.p50), OriginP95: ms(f.p95), Capacity: f.capacity, AssetShare: f.assets, ClearanceShare: f.cleared,
	}
}

// weekSpan sums up the hours of the last week: the median of what they usually show,
// and the 95th percentile of their peaks.
func (b *Baseline) weekSpan() traffic.Span {
	c := &b.calendar
	var usual, peak, clients, busiest, p50, p95, assets, cleared []float64
	var f figures
	first, seconds := 0.0, 0.0
	some := func(list []float64, v float64) []float64 {
		if v > 0 {
			list = append(list, v)
		}
		return list
	}
	for h := range c.week {
		w, d := &c.week[h], &c.weekDetail[h]
		if w.weeks == 0 || d.last > 0 && d.last < float64(c.now/60-weekHours) {
			continue
		}
		usual, peak = append(usual, w.median), append(peak, w.peak)
		clients, busiest = some(clients, d.clients), some(busiest, d.busiest)
		p50, p95 = some(p50, d.p50), some(p95, d.p95)
		if d.clients > 0 {
			assets, cleared = append(assets, d.assets), append(cleared, d.cleared)
		}
		f.capacity, seconds = max(f.capacity, d.capacity), seconds+d.seconds
		if d.first > 0 && (first == 0 || d.first < first) {
			first = d.first
		}
	}
	f.median, f.peak = quantile(usual, 0.5), quantile(peak, 0.95)
	f.clients, f.busiest = quantile(clients, 0.95), quantile(busiest, 0.5)
	f.p50, f.p95, f.assets, f.cleared = quantile(p50, 0.5), quantile(p95, 0.5), quantile(assets, 0.5), quantile(cleared, 0.5)
	s := f.span()
	s.Learned, s.Samples = time.Duration(seconds*float64(time.Second)), b.week.count()
	if first > 0 {
		s.Since = minuteTime(int64(first) * 60)
	}
	switch this := c.usual(); {
	case len(usual) == 0:
		s.Instead = "no hour of the week is known yet: the last hour and day stand for it"
	case this.weeks == 0:
		s.Instead = "this hour of the week is not known yet: the last hour and day stand for it"
	}
	return s
}
