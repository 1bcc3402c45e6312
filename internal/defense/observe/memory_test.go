package observe

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryIsFixed holds doc.go to its word, before and after a stranger has
// sent as many different long strings as he liked.
func TestMemoryIsFixed(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		most int64 // bytes
	}{
		{"default", DefaultConfig(), 6 << 20},
		{"small", SmallConfig(), 2 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Shards = 4 // what two processors give
			clk := clock.New()
			before := heap()
			o := New(c.cfg, clk)
			fresh := heap() - before
			long := strings.Repeat("x", 4000)
			v := visit()
			for i := range 20_000 {
				id := fmt.Sprint(i)
				v.Client = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
				v.Method, v.Host, v.Path, v.RawQuery, v.UserAgent = id, id+long, "/"+id+long, id+long, id+long
				v.HeaderOrder, v.QueryShape, v.Network = uint64(i), uint64(i), uint32(i)
				v.JA4, v.OpeningHTTP2 = id+long, uint64(i)
				d := letIn
				d.ID = 1 + 3
				o.Record(v, d, served)
				if i == 10_000 {
					o.Cut(traffic.Origin{})
				}
			}
			with := heap()
			w := o.Cut(traffic.Origin{})
			window := heap() - with
			runtime.KeepAlive(w)
			w = nil
			after := heap() - before
			t.Logf("new %.2f MiB, used %.2f MiB, a full window %.2f MiB",
				float64(fresh)/(1<<20), float64(after)/(1<<20), float64(window)/(1<<20))
			// The merge keeps some scratch space.
			if fresh > c.most || after > fresh+256<<10 {
				t.Errorf("%d bytes at first, %d after use; the most is %d", fresh, after, c.most)
			}
			if most := int64(c.cfg.Samples)*900 + 128<<10; window > most {
				t.Errorf("a window takes %d bytes, more than %d", window, most)
			}
			runtime.KeepAlive(o)
			runtime.KeepAlive(w)
		})
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	o := New(DefaultConfig(), clock.New())
	v := visit()
	n := 0
	if a := testing.AllocsPerRun(3000, func() {
		n++
		v.HeaderOrder = uint64(n)
		o.Record(v, letIn, served)
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

var agents = func() (a [64]string) {
	for i := range a {
		a[i] = fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", i+60)
	}
	return
}()

func fill(v *traffic.Visit, i int) {
	v.Client = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	v.UserAgent = agents[i&63]
	v.HeaderOrder = uint64(i & 15)
	v.Network = uint32(i & 511)
}

func BenchmarkRecord(b *testing.B) {
	for name, cfg := range map[string]int{"all fields": 10_000_000, "one in N": 20_000} {
		b.Run(name, func(b *testing.B) {
			c := DefaultConfig()
			c.SampleAbove = cfg
			o := New(c, clock.New())
			if cfg == 20_000 {
				o.step.Store(10)
			}
			v := visit()
			b.ReportAllocs()
			for i := range b.N {
				fill(v, i%2000)
				o.Record(v, letIn, served)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		o := New(DefaultConfig(), clock.New())
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			v := visit()
			for i := 0; pb.Next(); i++ {
				fill(v, i%2000)
				o.Record(v, letIn, served)
			}
		})
		w := o.Cut(traffic.Origin{})
		b.ReportMetric(100*float64(w.Lost)/float64(w.Offered), "%lost")
	})
}

func BenchmarkPeek(b *testing.B) {
	o := New(DefaultConfig(), clock.New())
	b.ReportAllocs()
	for range b.N {
		o.Peek()
	}
}

func BenchmarkCut(b *testing.B) {
	for _, n := range []int{80, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := New(DefaultConfig(), clock.New())
			v := visit()
			b.ReportAllocs()
			for range b.N {
				b.StopTimer()
				for i := range n {
					fill(v, i)
					o.Record(v, letIn, served)
				}
				b.StartTimer()
				o.Cut(traffic.Origin{})
			}
		})
	}
}
