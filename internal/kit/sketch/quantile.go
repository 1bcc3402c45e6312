package sketch

import (
	"math"
	"math/bits"
	"time"
)

// The log-linear scale: numbers below 32 exactly, then 32 steps for every
// doubling up to 2^27; what is larger counts as the last step. A step is at
// most 1/32 wide, so its middle is at most 1.6 % off. (The scheme of HDR
// Histogram, Tene.)
const (
	stepBits  = 5
	perDouble = 1 << stepBits
	maxBits   = 27
	// Steps is how many steps the scale has.
	Steps = (maxBits - stepBits + 1) * perDouble
)

// Step returns the step of the scale that v falls into.
func Step(v uint64) int {
	if v < perDouble {
		return int(v)
	}
	e := bits.Len64(v) - stepBits - 1
	return min(e*perDouble+int(v>>e), Steps-1)
}

// Middle returns the middle of a step.
func Middle(step int) uint64 {
	if step < 2*perDouble {
		return uint64(step)
	}
	e := step/perDouble - 1
	return uint64(perDouble+step%perDouble)<<e + 1<<(e-1)
}

// Quantiles estimates quantiles of durations from a microsecond to two
// minutes. It takes 6 KiB. The zero value is ready to use.
type Quantiles struct {
	steps [Steps]uint64
	n     uint64
	most  time.Duration
}

// Add sees one duration.
func (q *Quantiles) Add(d time.Duration) {
	d = max(d, 0)
	q.steps[Step(uint64(d/time.Microsecond))]++
	q.n++
	q.most = max(q.most, d)
}

// Count returns how many durations were seen.
func (q *Quantiles) Count() uint64 { return q.n }

// Quantile returns the duration that a share p of those seen does not exceed;
// 0 when none was seen.
func (q *Quantiles) Quantile(p float64) time.Duration {
	if q.n == 0 {
		return 0
	}
	rank := uint64(math.Ceil(min(max(p, 0), 1) * float64(q.n)))
	rank = max(rank, 1)
	var sum uint64
	for i, c := range &q.steps { // not a copy of it
		if sum += c; sum >= rank {
			return min(time.Duration(Middle(i))*time.Microsecond, q.most)
		}
	}
	return q.most
}

// Merge adds what o saw. o is left as it is.
func (q *Quantiles) Merge(o *Quantiles) {
	if o.n == 0 {
		return
	}
	for i, c := range &o.steps {
		q.steps[i] += c
	}
	q.n += o.n
	q.most = max(q.most, o.most)
}

// Reset forgets everything.
func (q *Quantiles) Reset() {
	if q.n != 0 {
		*q = Quantiles{}
	}
}
