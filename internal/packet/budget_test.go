package packet

import (
	"testing"

	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
)

// Budgets let a burst through, stop the rest, and are the processor's own: the
// test may be moved from one to another, so it counts with a margin.
func TestBudgets(t *testing.T) {
	small := func(c *filter.Config) { c.ICMPRate, c.FragmentRate = 80, 80 } // bursts of ten
	ping := v4(craft.Frame{Proto: craft.ICMP, Kind: 8}).Bytes()
	rest := v6(craft.Frame{Proto: craft.UDP, Offset: 1232, Payload: make([]byte, 100)}).Bytes()
	first := v4(craft.Frame{Proto: craft.UDP, More: true, Payload: make([]byte, 512)}).Bytes()
	for _, c := range []struct {
		name  string
		rung  filter.Rung
		frame []byte
		want  filter.Reason
	}{
		{"ping", filter.ICMP, ping, filter.StopICMP},
		{"later fragments", filter.Fragments, rest, filter.StopFragments},
		{"fragments to a protected port", filter.Fragments, first, filter.StopFragments},
	} {
		f := load(t, small)
		passed := many(t, f, c.frame, 2000)
		if n, err := f.Counts(); err != nil || n.Done[c.want].Packets != uint64(2000-passed) {
			t.Errorf("%s: counted %d, %v", c.name, n.Done[c.want].Packets, err)
		}
		if passed < 10 || passed > 1000 {
			t.Errorf("%s: %d of 2000 passed", c.name, passed)
		}
		off := load(t, func(cfg *filter.Config) { small(cfg); set(c.rung, filter.Off)(cfg) })
		if passed := many(t, off, c.frame, 2000); passed != 2000 {
			t.Errorf("%s: %d of 2000 passed with the rung off", c.name, passed)
		}
	}
	f := load(t, small)
	for kind := byte(133); kind <= 137; kind++ {
		if passed := many(t, f, v6(craft.Frame{Proto: craft.ICMPv6, Kind: kind}).Bytes(), 500); passed != 500 {
			t.Errorf("neighbour discovery %d: %d of 500 passed", kind, passed)
		}
	}
}

func many(t *testing.T, f *filter.Filter, frame []byte, n int) (passed int) {
	t.Helper()
	for range n {
		ok, err := f.Try(frame)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			passed++
		}
	}
	return passed
}
