package proxy

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

type patterned struct{ left int64 }

func (p *patterned) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), p.left)
	p.left -= n
	return int(n), nil
}

// carry sends size bytes up and down and returns how much memory grew at most.
// Client and origin run in the same process, so theirs counts too.
func carry(t testing.TB, h *house, size int64) (growth uint64) {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	inUse := func() uint64 {
		runtime.ReadMemStats(&m)
		return m.Sys - m.HeapReleased
	}
	idle := inUse()
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		var top uint64
		for {
			select {
			case <-stop:
				peak <- top
				return
			case <-time.After(5 * time.Millisecond):
				top = max(top, inUse())
			}
		}
	}()
	res, err := http.Post("http://"+h.addr+"/up", "application/octet-stream", io.LimitReader(&patterned{size}, size))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if string(b) != fmt.Sprint(size) {
		t.Errorf("the origin got %q of %d bytes", b, size)
	}
	if res, err = http.Get(fmt.Sprintf("http://%s/down?%d", h.addr, size)); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if n != size || err != nil {
		t.Errorf("the client got %d of %d bytes, %v", n, size, err)
	}
	close(stop)
	if top := <-peak; top > idle {
		growth = top - idle
	}
	return growth
}

func carrier(t testing.TB) *house {
	return newHouse(t, testConfig(site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/up" {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
			return
		}
		var n int64
		fmt.Sscan(r.URL.RawQuery, &n)
		w.Header().Set("Content-Length", fmt.Sprint(n))
		io.Copy(w, &patterned{n})
	}).URL))
}

func TestBoundedMemory(t *testing.T) {
	growth := carry(t, carrier(t), 128<<20)
	t.Logf("128 MiB up and 128 MiB down: memory grew by %.1f MiB", float64(growth)/(1<<20))
	if growth > 16<<20 {
		t.Errorf("memory grew by %d bytes", growth)
	}
}

// BenchmarkGiB carries 1 GiB up and 1 GiB down.
func BenchmarkGiB(b *testing.B) {
	h := carrier(b)
	b.SetBytes(2 << 30)
	for b.Loop() {
		growth := carry(b, h, 1<<30)
		b.ReportMetric(float64(growth)/(1<<20), "MiB-above-idle")
		if growth > 16<<20 {
			b.Errorf("memory grew by %d bytes", growth)
		}
	}
}
