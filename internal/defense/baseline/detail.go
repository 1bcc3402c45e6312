package baseline

import (
	"slices"
	"time"
)

// detail is what a minute showed besides requests: sums over its seconds.
type detail struct {
	calm             float64 // seconds that clients and busiest are summed over
	clients, busiest float64 // a second
	offered          float64 // requests, of which assets and cleared are parts
	assets, cleared  float64
	asked            float64 // seconds that p50 and p95 are summed over
	p50, p95         float64 // of the origin's time to first byte, milliseconds
}

// detailNumbers is how many numbers a detail has.
const detailNumbers = 9

func (d *detail) numbers() [detailNumbers]float64 {
	return [...]float64{d.calm, d.clients, d.busiest, d.offered, d.assets, d.cleared, d.asked, d.p50, d.p95}
}

func detailOf(n [detailNumbers]float64) detail {
	return detail{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8]}
}

// visits enters a window of ordinary traffic.
func (d *detail) visits(w *digest) {
	seconds := w.span.Seconds()
	d.calm, d.clients, d.busiest = seconds, w.clients*seconds, w.busiest*seconds
	d.offered, d.assets, d.cleared = w.offered, min(w.assets, w.offered), min(w.cleared, w.offered)
}

// origin enters a window in which the origin was asked.
func (d *detail) origin(w *digest) {
	seconds := w.span.Seconds()
	d.asked, d.p50, d.p95 = seconds, millis(w.p50)*seconds, millis(w.p95)*seconds
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// addDetail adds to the minute that is being learnt.
func (c *calendar) addDetail(more *detail) {
	if c.now == 0 {
		return
	}
	sum, with := c.dayDetail[c.now%dayMinutes].numbers(), more.numbers()
	for i := range sum {
		sum[i] += with[i]
	}
	c.dayDetail[c.now%dayMinutes] = detailOf(sum)
}

// weekDetail is what one hour of the week usually shows besides requests. What is 0 is
// not known.
type weekDetail struct {
	first, last     float64 // the hours since 1970 that were learnt first and last
	capacity        float64 // highest rate borne in comfort, the last time
	clients         float64 // a second, 95th percentile of the minutes
	busiest         float64 // requests a second of the busiest client, median of the minutes
	p50, p95        float64 // milliseconds, medians of the minutes
	assets, cleared float64 // shares
	seconds         float64 // learnt of the hour, the last time
}

const weekNumbers = 10

func (w *weekDetail) numbers() [weekNumbers]float64 {
	return [...]float64{w.first, w.last, w.capacity, w.clients, w.busiest, w.p50, w.p95, w.assets, w.cleared, w.seconds}
}

func weekDetailOf(n [weekNumbers]float64) weekDetail {
	return weekDetail{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9]}
}

// closeDetail adds the hour that is over to its place in the week, as closeHour does.
func (c *calendar) closeDetail(number int64) {
	var s summary
	for m := number * 60; m < number*60+60; m++ {
		if d := &c.day[m%dayMinutes]; d.number == m && d.seconds > 0 {
			s.add(d, &c.dayDetail[m%dayMinutes])
		}
	}
	f := s.figures()
	w := &c.weekDetail[hourOfWeek(number*60)]
	if w.first == 0 {
		w.first = float64(number)
	}
	w.last, w.capacity, w.seconds = float64(number), f.capacity, s.seconds
	blend := func(old *float64, v float64, known bool) {
		switch {
		case !known:
		case *old == 0:
			*old = v
		default:
			*old += weekWeight * (v - *old)
		}
	}
	calm, asked := len(s.clients) > 0, len(s.p50) > 0
	blend(&w.clients, f.clients, calm)
	blend(&w.busiest, f.busiest, calm)
	blend(&w.assets, f.assets, calm)
	blend(&w.cleared, f.cleared, calm)
	blend(&w.p50, f.p50, asked)
	blend(&w.p95, f.p95, asked)
}

// summary gathers minutes.
type summary struct {
	seconds                             float64
	oldest                              int64 // minutes since 1970; 0 none
	capacity                            float64
	rates, clients, busiest, p50, p95   []float64
	sumOffered, sumAssets, sumOfCleared float64
}

func (s *summary) add(m *minute, d *detail) {
	s.seconds += m.seconds
	if s.oldest == 0 || m.number < s.oldest {
		s.oldest = m.number
	}
	s.capacity = max(s.capacity, m.capacity)
	s.rates = append(s.rates, m.rate())
	if d.calm > 0 {
		s.clients, s.busiest = append(s.clients, d.clients/d.calm), append(s.busiest, d.busiest/d.calm)
		s.sumOffered, s.sumAssets, s.sumOfCleared = s.sumOffered+d.offered, s.sumAssets+d.assets, s.sumOfCleared+d.cleared
	}
	if d.asked > 0 {
		s.p50, s.p95 = append(s.p50, d.p50/d.asked), append(s.p95, d.p95/d.asked)
	}
}

// figures are what a summary comes to; what is 0 is not known.
type figures struct {
	median, peak, clients, busiest, p50, p95, assets, cleared, capacity float64
}

func (s *summary) figures() figures {
	return figures{
		median: quantile(s.rates, 0.5), peak: quantile(s.rates, 0.95), capacity: s.capacity,
		clients: quantile(s.clients, 0.95), busiest: quantile(s.busiest, 0.5), p50: quantile(s.p50, 0.5), p95: quantile(s.p95, 0.5),
		assets: s.sumAssets / max(s.sumOffered, 1), cleared: s.sumOfCleared / max(s.sumOffered, 1),
	}
}

// quantile sorts values and returns the one that a share p of them does not exceed; 0
// of none.
func quantile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(int(float64(len(values))*p), len(values)-1)]
}
