package observe

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// Where strings stay, samples hold the same, share those strings, and keep no more of a
// long one than others do.
func TestStays(t *testing.T) {
	var samples [2][]traffic.Sample
	path := "/a/path"
	for i, stays := range []bool{false, true} {
		cfg := DefaultConfig()
		cfg.Seed, cfg.Samples, cfg.Stays = 1, 200, stays
		o := New(cfg, clock.New())
		for n := range 1000 {
			v := visit()
			v.Path, v.Host = path, "host.example"
			v.UserAgent = strings.Repeat(fmt.Sprint(n%10), 100+n%100)
			v.RawQuery, v.Method, v.JA4 = strings.Repeat("q", n), "GET", strings.Repeat("j", n%40)
			o.Record(v, letIn, served)
		}
		samples[i] = o.Cut(traffic.Origin{}).Samples
	}
	if len(samples[0]) != 200 || !reflect.DeepEqual(samples[0], samples[1]) {
		t.Errorf("%d and %d samples, which are not the same", len(samples[0]), len(samples[1]))
	}
	for i, want := range []bool{false, true} {
		if shared := unsafe.StringData(samples[i][0].Visit.Path) == unsafe.StringData(path); shared != want {
			t.Errorf("stays %v: shared %v", want, shared)
		}
	}
	for i := range samples[1] {
		if v := &samples[1][i].Visit; len(v.RawQuery) > keepQuery || len(v.UserAgent) > keepAgent || len(v.JA4) > keepJA4 {
			t.Fatalf("%d, %d and %d bytes are kept", len(v.RawQuery), len(v.UserAgent), len(v.JA4))
		}
	}
}
