package baseline

import (
	"slices"
	"time"
)

const (
	dayMinutes = 24 * 60
	weekHours  = 7 * 24
	// leastMinutes of an hour must have been learnt before it counts.
	leastMinutes = 10
	// weekWeight is how much of an hour of the week its newest instance
	// makes up: about the last six weeks matter.
	weekWeight = 0.3
)

// minute is what one minute of the last day showed.
type minute struct {
	number   int64   // minutes since 1970; which minute this is
	seconds  float64 // learnt
	requests float64
	capacity float64 // highest rate borne in comfort
}

func (m *minute) rate() float64 { return m.requests / max(m.seconds, 1) }

// weekHour is what one hour of the week usually shows.
type weekHour struct {
	weeks  int // learnt; 0 means that the rest is not valid
	median float64
	peak   float64
}

// calendar is the long memory: the last day by the minute, and weeks by the
// hour of the week.
type calendar struct {
	day  [dayMinutes]minute
	week [weekHours]weekHour

	dayDetail  [dayMinutes]detail // of the same minute in day
	weekDetail [weekHours]weekDetail

	now      int64   // the minute that is being learnt
	at       int64   // the minute that it is, whether it is learnt from or not; 0: now
	peak     float64 // of the last day's minutes, 95th percentile
	capacity float64 // of the last day
}

func hourOfWeek(minuteNumber int64) int {
	// 1970 began on a Thursday; which day the week begins with does not matter.
	h := minuteNumber / 60 % weekHours
	return int((h + weekHours) % weekHours)
}

func (c *calendar) add(wall time.Time, span time.Duration, rate, capacity float64) {
	number := wall.Unix() / 60
	if wall.Unix() < 0 {
		return
	}
	if number != c.now {
		if number/60 != c.now/60 {
			c.closeHour(c.now / 60)
		}
		c.now = number
		c.survey()
	}
	m := &c.day[number%dayMinutes]
	if m.number != number {
		*m = minute{number: number}
		c.dayDetail[number%dayMinutes] = detail{}
	}
	m.seconds += span.Seconds()
	m.requests += rate * span.Seconds()
	m.capacity = max(m.capacity, capacity)
	c.capacity = max(c.capacity, capacity)
}

// closeHour adds the hour that is over to its place in the week.
func (c *calendar) closeHour(number int64) {
	var rates []float64
	for m := number * 60; m < number*60+60; m++ {
		if d := &c.day[m%dayMinutes]; d.number == m && d.seconds > 0 {
			rates = append(rates, d.rate())
		}
	}
	if len(rates) < leastMinutes {
		return
	}
	slices.Sort(rates)
	median, peak := rates[len(rates)/2], rates[len(rates)*95/100]
	h := &c.week[hourOfWeek(number*60)]
	if h.weeks == 0 {
		h.median, h.peak = median, peak
	} else {
		h.median += weekWeight * (median - h.median)
		h.peak += weekWeight * (peak - h.peak)
	}
	h.weeks++
	c.closeDetail(number)
}

// survey looks over the last day. Once a minute.
func (c *calendar) survey() {
	var rates []float64
	c.capacity = 0
	for i := range c.day {
		d := &c.day[i]
		if d.seconds > 0 && d.number <= c.now && d.number > c.now-dayMinutes {
			rates = append(rates, d.rate())
			c.capacity = max(c.capacity, d.capacity)
		}
	}
	c.peak = 0
	if len(rates) >= leastMinutes {
		slices.Sort(rates)
		c.peak = rates[len(rates)*95/100]
	}
}

// usual returns what this hour of the week showed before. It goes by the clock: during
// an attack, from which nothing is learnt, the day goes on.
func (c *calendar) usual() weekHour {
	if c.at != 0 {
		return c.week[hourOfWeek(c.at)]
	}
	return c.week[hourOfWeek(c.now)]
}
