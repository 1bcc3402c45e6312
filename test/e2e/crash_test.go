package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"seawall/internal/demo/flood"
	"seawall/internal/mitigation"
)

// listed is a mitigation as the admin API lists it.
type listed struct {
	mitigation.Mitigation
	Hits uint64 `json:"hits"`
}

func (w *wall) mitigations() []listed {
	var list []listed
	w.api("/api/v1/mitigations", &list)
	return list
}

// byMachine counts what the machine ordered.
func (w *wall) byMachine() int {
	n := 0
	for _, m := range w.mitigations() {
		if m.By == mitigation.ByMachine {
			n++
		}
	}
	return n
}

// tired is an origin that answers 200 requests a second at most.
func tired(t *testing.T) *origin {
	o := newOrigin(t)
	turn := make(chan struct{}, 2)
	inner := o.http.Handler
	o.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turn <- struct{}{}
		time.Sleep(10 * time.Millisecond)
		<-turn
		inner.ServeHTTP(w, r)
	})
	return o
}

// attack floods w until stop is called, as 100 sources that ask for one page.
// Their addresses are told by PROXY protocol, so w must require that.
func attack(t *testing.T, w *wall) (stop func() flood.Counts) {
	t.Helper()
	cfg := flood.Config{
		Target: w.addr, Rate: 20, Length: time.Minute, Connections: 2, Patience: 5 * time.Second, Every: 100 * time.Millisecond,
		Heads: [][]byte{[]byte("GET /flooded HTTP/1.1\r\nHost: site\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
			"Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nConnection: keep-alive\r\n\r\n")},
		Preface: func(src netip.AddrPort) []byte {
			return fmt.Appendf(nil, "PROXY TCP4 %s 127.0.0.1 %d 80\r\n", src.Addr(), src.Port())
		},
	}
	for i := range 100 {
		cfg.Sources = append(cfg.Sources, netip.AddrFrom4([4]byte{203, 0, byte(i), 113}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan flood.Counts, 1)
	go func() {
		c, err := flood.Run(ctx, cfg, func(flood.Counts) {})
		if err != nil && ctx.Err() == nil {
			t.Errorf("flood: %v", err)
		}
		done <- c
	}()
	stop = func() flood.Counts {
		cancel()
		c := <-done
		done <- c
		return c
	}
	t.Cleanup(func() { stop() })
	return stop
}

// relayed is a configuration behind a relay that tells addresses.
func relayed() config {
	return config{
		"trusted_proxies": []string{"loopback"},
		"listen":          config{"proxy_protocol": "optional"},
		"admit":           config{}, // the ordinary budgets
	}
}

// cookieOf gets a clearance.
func cookieOf(t *testing.T, w *wall) string {
	t.Helper()
	resp, _ := fetch(t, "GET", w.url("/page"), "", "Accept: text/html", "User-Agent: Mozilla/5.0", "X-Forwarded-For: 198.51.100.9")
	for _, c := range resp.Cookies() {
		if c.Name == "seawall" {
			return c.Value
		}
	}
	t.Fatalf("no cookie: %v", resp.Header)
	return ""
}

// proven counts the last second's requests that brought a clearance.
func proven(w *wall) uint64 {
	var st struct {
		Window *struct {
			ByClearance []uint64 `json:"by_clearance"`
		} `json:"window"`
	}
	w.api("/api/v1/status", &st)
	n := uint64(0)
	if st.Window != nil {
		for _, c := range st.Window.ByClearance[1:] {
			n += c
		}
	}
	return n
}

// What stood before kill -9 stands after it: a ban, what the machine ordered,
// and the cookies of visitors.
func TestKilledInTheMiddleOfAnAttack(t *testing.T) {
	o := tired(t)
	w := start(t, relayed(), o.url)
	cookie := cookieOf(t, w)
	stop := attack(t, w)
	noticed := until(t, 15*time.Second, "a mitigation by the machine", func() bool { return w.byMachine() > 0 })
	w.order("ban", "192.0.2.66", "--for", "1h", "--note", "before the crash")
	// What is promised is 100 ms, which the journal's own tests look at; here the
	// flood leaves the disk and the processors little time.
	const onDisk = time.Second
	time.Sleep(onDisk)
	var before []listed
	for _, m := range w.mitigations() {
		if time.Since(m.From) > onDisk {
			before = append(before, m)
		}
	}
	w.kill()
	stop()
	w.run()

	after := map[mitigation.ID]string{}
	for _, m := range w.mitigations() {
		after[m.ID] = m.String()
	}
	machine := 0
	for _, m := range before {
		if after[m.ID] != m.String() {
			t.Errorf("%s is now %q", m.String(), after[m.ID])
		}
		if m.By == mitigation.ByMachine {
			machine++
		}
	}
	t.Logf("noticed after %v; %d mitigations by the machine stood again", noticed.Round(time.Millisecond), machine)
	if machine == 0 || len(before) == machine {
		t.Errorf("before the crash: %v", before)
	}
	if resp, _ := fetch(t, "GET", w.url("/"), "", "X-Forwarded-For: 192.0.2.66"); resp.StatusCode != 403 {
		t.Errorf("the banned address: %s", resp.Status)
	}
	// The cookie is still read: the visit counts as one with a clearance.
	until(t, 15*time.Second, "a clearance from before the crash is read", func() bool {
		fetch(t, "GET", w.url("/page"), "", "Cookie: seawall="+cookie, "User-Agent: Mozilla/5.0", "Accept: text/html", "X-Forwarded-For: 198.51.100.9")
		return proven(w) > 0
	})
}

// Undo ends what machine and people ordered, and the machine does not order it
// again though the flood goes on.
func TestUndo(t *testing.T) {
	t.Parallel()
	o := tired(t)
	w := start(t, relayed(), o.url)
	attack(t, w)
	until(t, 15*time.Second, "a mitigation by the machine", func() bool { return w.byMachine() > 0 })
	w.order("ban", "192.0.2.66")
	undone := map[string]bool{}
	for _, m := range w.mitigations() {
		undone[m.Match.String()] = true
	}
	w.order("undo", "--since", "10m")
	end := time.Now().Add(3 * time.Second)
	for time.Now().Before(end) {
		for _, m := range w.mitigations() {
			if undone[m.Match.String()] {
				t.Fatalf("%s is back after undo", m.String())
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	if resp, _ := fetch(t, "GET", w.url("/"), "", "X-Forwarded-For: 192.0.2.66"); resp.StatusCode == 403 {
		t.Error("the ban still stands")
	}
}

// Off lets everything pass at once, under load and whoever was banned; on
// defends again.
func TestOffUnderLoad(t *testing.T) {
	o := tired(t)
	w := start(t, relayed(), o.url)
	attack(t, w)
	w.order("ban", "192.0.2.66")
	banned := func() bool {
		resp, _ := fetch(t, "GET", w.url("/sink"), "", "X-Forwarded-For: 192.0.2.66")
		return resp.StatusCode == 403
	}
	until(t, 5*time.Second, "banned", banned)
	until(t, 15*time.Second, "a mitigation by the machine", func() bool { return w.byMachine() > 0 })
	began := time.Now()
	w.order("off")
	order := time.Since(began)
	if banned() {
		t.Errorf("still banned %v after off", time.Since(began))
	}
	if order > 250*time.Millisecond {
		t.Logf("`seawall off` took %v, most of it to start the command on a busy machine", order)
	}
	// Nothing is refused by the door any more.
	refused := func() (n float64) {
		for _, v := range w.verdicts() {
			if v.Action == "refuse" {
				n += v.Count
			}
		}
		return n
	}
	before := -1.0
	until(t, 5*time.Second, "what was being refused has been counted", func() bool {
		last := before
		before = refused()
		time.Sleep(100 * time.Millisecond)
		return before == last
	})
	time.Sleep(500 * time.Millisecond)
	if n := refused() - before; n > 0 {
		t.Errorf("%v visits were refused while off", n)
	}
	w.order("on")
	until(t, 5*time.Second, "banned again", banned)
}

type verdict struct {
	Action string  `json:"action"`
	Reason string  `json:"reason"`
	Count  float64 `json:"count"`
}

func (w *wall) verdicts() (list []verdict) {
	w.api("/api/v1/verdicts", &list)
	return list
}
