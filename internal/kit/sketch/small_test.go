package sketch

import (
	"fmt"
	"math"
	"testing"
)

func TestSmall(t *testing.T) {
	for _, n := range []int{0, 1, 20, 200, 1000} {
		var s Small
		for range 3 {
			for i := range n {
				s.Add(fmt.Sprint("/page/", i))
			}
		}
		if got := s.Count(); math.Abs(got-float64(n)) > 0.08*float64(n) {
			t.Errorf("%d keys are taken for %.1f", n, got)
		}
	}
	var full Small
	for i := range full {
		full[i] = math.MaxUint64
	}
	if got := full.Count(); math.IsInf(got, 0) || got < 5000 {
		t.Errorf("a full one counts %v", got)
	}
}
