package e2e

import (
	"net/http"
	"testing"
	"time"
)

// An order meets also who waits in line for the origin already: they are refused with its
// reason, never reach the origin, and count as refused; others keep their places.
func TestOrdersReachTheLine(t *testing.T) {
	t.Parallel()
	const flood = 8
	o := newOrigin(t)
	w := start(t, config{"proxy": config{"max_in_flight": 1}}, o.url)
	type result struct {
		status int
		ref    string
	}
	get := func(path, agent string, into chan<- result) {
		r, err := http.NewRequest("GET", w.url(path), nil)
		if err != nil {
			t.Error(err)
		}
		r.Header.Set("User-Agent", agent)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			into <- result{}
			return
		}
		resp.Body.Close()
		into <- result{resp.StatusCode, resp.Header.Get("Seawall-Ref")}
	}
	slow, bots, other := make(chan result, 1), make(chan result, flood), make(chan result, 1)
	go get("/slow?d=2s", "Mozilla/5.0", slow)
	until(t, 5*time.Second, "the origin is busy", func() bool { return o.count("/slow") == 1 })
	for range flood {
		go get("/page", "flood/1", bots)
	}
	go get("/other", "Mozilla/5.0", other)
	time.Sleep(500 * time.Millisecond) // they are in line
	w.refuse(`user_agent == "flood/1"`)
	for range flood {
		if r := <-bots; r.status == http.StatusOK || r.ref == "" {
			t.Errorf("in line: %+v", r)
		}
	}
	for name, c := range map[string]chan result{"at the origin": slow, "in line with them": other} {
		if r := <-c; r.status != http.StatusOK {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if o.count("/page") != 0 || o.count("/other") != 1 {
		t.Errorf("the origin was asked for /page %d times, for /other %d times", o.count("/page"), o.count("/other"))
	}
	refused := 0.0
	for _, v := range w.verdicts() {
		if v.Action == "refuse" && v.Reason == "mitigation" {
			refused = v.Count
		}
	}
	if refused != flood {
		t.Errorf("%v count as refused", refused)
	}
}
