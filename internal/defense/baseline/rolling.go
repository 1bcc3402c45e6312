package baseline

import (
	"encoding/binary"
	"fmt"
	"math"

	"seawall/internal/kit/sketch"
)

// hour is how many windows the short memory holds.
const hour = 3600

// scale is how finely rates are kept: in sixteenths.
const scale = 16

// rolling holds the last hour's values of one number, as steps of sketch's
// scale, with a histogram of them kept along: a median costs a walk over the
// histogram and no sorting.
type rolling struct {
	ring  [hour]uint16
	count [sketch.Steps]uint16
	next  int // where the next value goes
	n     int
}

func (r *rolling) add(v uint64) {
	step := uint16(sketch.Step(v))
	if r.n == hour {
		r.count[r.ring[r.next]]--
	} else {
		r.n++
	}
	r.ring[r.next] = step
	r.count[step]++
	r.next = (r.next + 1) % hour
}

func (r *rolling) addRate(v float64) { r.add(uint64(max(v, 0)*scale + 0.5)) }

// quantile returns the value that a share p of those held does not exceed; 0
// when none is held.
func (r *rolling) quantile(p float64) uint64 {
	if r.n == 0 {
		return 0 // without a walk: most of them are of packets and connections, which may not be watched
	}
	rank := max(int(math.Ceil(p*float64(r.n))), 1)
	for step, c := range r.count {
		if rank -= int(c); rank <= 0 {
			return sketch.Middle(step)
		}
	}
	return 0
}

func (r *rolling) rate(p float64) float64 { return float64(r.quantile(p)) / scale }

// pack writes the values, oldest first, two bytes each.
func (r *rolling) pack() []byte {
	out := make([]byte, 0, 2*r.n)
	for i := range r.n {
		out = binary.LittleEndian.AppendUint16(out, r.ring[(r.next-r.n+i+hour)%hour])
	}
	return out
}

// unpack reads what pack wrote into an empty r.
func (r *rolling) unpack(b []byte) error {
	if len(b)%2 != 0 || len(b) > 2*hour {
		return fmt.Errorf("%d bytes cannot be an hour of values", len(b))
	}
	for ; len(b) > 0; b = b[2:] {
		step := binary.LittleEndian.Uint16(b)
		if step >= sketch.Steps {
			return fmt.Errorf("there is no step %d", step)
		}
		r.add(sketch.Middle(int(step)))
	}
	return nil
}
