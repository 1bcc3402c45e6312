package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// aboveIdle is how much resident memory a stream may take (the promise is for
// 1 GiB either way).
const aboveIdle = 16 << 20

// memory reads what a process has resident, in bytes.
func memory(t testing.TB, pid int) (rss, anon int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		for name, into := range map[string]*int64{"VmRSS:": &rss, "RssAnon:": &anon} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				if _, err := fmt.Sscan(rest, into); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				*into <<= 10
			}
		}
	}
	return rss, anon
}

// peak watches a process's memory until stop is called, which returns the most.
func peak(t testing.TB, pid int) (stop func() (rss, anon int64)) {
	var mu sync.Mutex
	var rss, anon int64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			r, a := memory(t, pid)
			mu.Lock()
			rss, anon = max(rss, r), max(anon, a)
			mu.Unlock()
			select {
			case <-end:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() (int64, int64) {
		close(end)
		<-ended
		return rss, anon
	}
}

// upload sends n zeros; chunked where the length is not told.
func upload(t testing.TB, w *wall, n int64, chunked bool) {
	t.Helper()
	req, err := http.NewRequest("POST", w.url("/sink"), io.LimitReader(nothing{}, n))
	if err != nil {
		t.Fatal(err)
	}
	if !chunked {
		req.ContentLength = n
	}
	c := client(t)
	c.Timeout = 5 * time.Minute
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != fmt.Sprint(n) {
		t.Fatalf("of %d bytes the origin got %q (%s, %v)", n, b, resp.Status, err)
	}
}

// download takes n zeros.
func download(t testing.TB, w *wall, n int64) {
	t.Helper()
	c := client(t)
	c.Timeout = 5 * time.Minute
	resp, err := c.Get(w.url(fmt.Sprintf("/zeros?n=%d", n)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.Copy(io.Discard, resp.Body); err != nil || got != n {
		t.Fatalf("got %d of %d bytes, %v", got, n, err)
	}
}

// nothing is an endless reader of zeros.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// 64 MiB each way, and slowly read as well, take bounded memory.
func TestStreamMemory(t *testing.T) {
	o := newOrigin(t)
	w := start(t, nil, o.url)
	fetch(t, "GET", w.url("/"), "")
	idle, idleAnon := memory(t, w.cmd.Process.Pid)
	stop := peak(t, w.cmd.Process.Pid)
	const size = 64 << 20
	upload(t, w, size, false)
	upload(t, w, size, true)
	download(t, w, size)
	// A reader that stops for a while must not make Seawall collect the rest.
	resp, err := client(t).Get(w.url(fmt.Sprintf("/zeros?n=%d", size)))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	n, err := io.Copy(io.Discard, resp.Body)
	if resp.Body.Close(); err != nil || n != size {
		t.Fatalf("got %d of %d bytes, %v", n, size, err)
	}
	rss, anon := stop()
	t.Logf("resident at most %d KiB above %d KiB idle (anonymous %d above %d)", (rss-idle)>>10, idle>>10, (anon-idleAnon)>>10, idleAnon>>10)
	if rss-idle > aboveIdle {
		t.Errorf("%d MiB above idle", (rss-idle)>>20)
	}
}

// BenchmarkStream takes 1 GiB up and 1 GiB down through Seawall and reports the
// resident memory above idle.
func BenchmarkStream(b *testing.B) {
	const size = 1 << 30
	for name, run := range map[string]func(*wall){
		"up":      func(w *wall) { upload(b, w, size, false) },
		"chunked": func(w *wall) { upload(b, w, size, true) },
		"down":    func(w *wall) { download(b, w, size) },
	} {
		b.Run(name, func(b *testing.B) {
			o := newOrigin(b)
			w := start(b, nil, o.url)
			fetch(b, "GET", w.url("/"), "")
			idle, _ := memory(b, w.cmd.Process.Pid)
			b.SetBytes(size)
			stop := peak(b, w.cmd.Process.Pid)
			for b.Loop() {
				run(w)
			}
			rss, _ := stop()
			b.ReportMetric(float64(rss-idle)/(1<<20), "MiB-above-idle")
			b.ReportMetric(float64(idle)/(1<<20), "MiB-idle")
			if rss-idle > aboveIdle {
				b.Errorf("%d MiB above idle", (rss-idle)>>20)
			}
		})
	}
}
