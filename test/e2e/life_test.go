package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load asks for a page again and again on several connections until stop is
// called, which returns how many requests were answered, and fails the test for
// each that was not.
func load(t *testing.T, w *wall, method string) (stop func() int64) {
	t.Helper()
	var answered atomic.Int64
	var running sync.WaitGroup
	end := make(chan struct{})
	for range 4 {
		c := client(t)
		running.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				req, _ := http.NewRequest(method, w.url("/page"), nil)
				resp, err := c.Do(req)
				if err != nil {
					t.Errorf("a request was lost: %v", err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("a request was answered %s", resp.Status)
					return
				}
				answered.Add(1)
				time.Sleep(5 * time.Millisecond) // a load, not a flood
			}
		})
	}
	once := sync.OnceFunc(func() { close(end) })
	t.Cleanup(func() { once(); running.Wait() }) // nothing is told after the test's end
	return func() int64 {
		once()
		running.Wait()
		return answered.Load()
	}
}

// A new origin takes over without a request being lost, slow ones and open
// streams among them; a broken file changes nothing and is explained in the log.
func TestReload(t *testing.T) {
	t.Parallel()
	one, two := newOrigin(t), newOrigin(t)
	w := start(t, nil, one.url)
	stop := load(t, w, "POST") // a POST is never repeated for us
	slow := make(chan string, 1)
	go func() {
		resp, err := http.Get(w.url("/slow?d=1s"))
		if err != nil {
			slow <- err.Error()
			return
		}
		resp.Body.Close()
		slow <- resp.Status
	}()
	until(t, 5*time.Second, "the slow request at the origin", func() bool { return one.count("/slow") == 1 })

	origins := []*origin{two, one, two}
	for i, o := range origins {
		have := o.count("/page")
		w.write(config{"refuse": config{"site": fmt.Sprint(i)}}, o.url)
		w.signal(syscall.SIGHUP)
		until(t, 5*time.Second, "the new origin is asked", func() bool { return o.count("/page") > have+10 })
	}
	have := one.count("/page")
	if n := stop(); n < 33 { // over ten for each reload
		t.Errorf("only %d requests", n)
	}
	if n := one.count("/page") - have; n > 4 { // what was on its way may still arrive
		t.Error("the old origin is still asked")
	}
	if s := <-slow; s != "200 OK" {
		t.Errorf("the slow request across the reload: %s", s)
	}

	text, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(text), `"listen": {`, `"nosuch": 1, "listen": {"max_head": "large",`, 1)
	if err := os.WriteFile(w.file, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	w.signal(syscall.SIGHUP)
	until(t, 5*time.Second, "both problems in the log", func() bool {
		log := w.log.String()
		return strings.Contains(log, "nosuch: is no setting") && strings.Contains(log, "listen.max_head") && strings.Contains(log, "the old one stays in force")
	})
	if resp, _ := fetch(t, "GET", w.url("/page"), ""); resp.StatusCode != 200 {
		t.Errorf("after a broken file: %s", resp.Status)
	}
	_, errs, code := w.command("reload")
	if code != 2 || !strings.Contains(errs, "nosuch: is no setting") || !strings.Contains(errs, "listen.max_head") {
		t.Errorf("`seawall reload` ended with %d: %s", code, errs)
	}
}

// A reload reaches also who repeats the same refused request on a connection: what was
// kept of that is forgotten.
func TestReloadReachesWhoRepeats(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	w.refuse(`path == "/no"`)
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for i := range 8 { // mostly within a second, for which it would be kept
		site := fmt.Sprint("the site of reload ", i)
		w.write(config{"refuse": config{"site": site}}, o.url)
		w.order("reload")
		for range 4 {
			if _, err := io.WriteString(c, "GET /no HTTP/1.1\r\nHost: site\r\nAccept: text/html\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			page, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode == 200 || !strings.Contains(string(page), site) {
				t.Fatalf("after reload %d: %s, %v\n%s", i, resp.Status, err, page)
			}
		}
	}
}

// SIGTERM: what is under way is finished, new connections are refused, and the
// program ends with 0.
func TestDrain(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	var got [3]string
	var running sync.WaitGroup
	for i := range got {
		running.Go(func() {
			resp, err := client(t).Get(w.url("/slow?d=4s")) // time for all of the following
			if err != nil {
				got[i] = err.Error()
				return
			}
			defer resp.Body.Close()
			got[i] = resp.Status
		})
	}
	idle := w.dial() // an idle connection must not hold the end up
	until(t, 5*time.Second, "three requests at the origin", func() bool { return o.count("/slow") == 3 })
	w.signal(syscall.SIGTERM)
	until(t, 3*time.Second, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", w.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if resp, err := http.Get("http://" + w.admin + "/readyz"); err != nil || resp.StatusCode != 503 {
		t.Errorf("/readyz while draining: %v, %v", resp, err)
	}
	running.Wait()
	for _, s := range got {
		if s != "200 OK" {
			t.Errorf("a request under way: %s", s)
		}
	}
	if err := w.wait(5 * time.Second); err != nil {
		t.Errorf("ended with %v", err)
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("the idle connection got something")
	}
}

// A second signal does not wait for anybody.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		o := newOrigin(t)
		w := start(t, nil, o.url)
		go func() {
			if resp, err := http.Get(w.url("/slow?d=1m")); err == nil {
				resp.Body.Close()
			}
		}()
		until(t, 5*time.Second, "the request at the origin", func() bool { return o.count("/slow") == 1 })
		w.signal(syscall.SIGTERM)
		until(t, 10*time.Second, "draining", func() bool { return strings.Contains(w.log.String(), "finishing the requests in flight") })
		w.signal(s)
		if err := w.wait(10 * time.Second); err == nil {
			t.Errorf("%v: ended as if all was well", s)
		}
	}
}

// slowly sends b byte by byte until the connection is closed.
func slowly(c net.Conn, b byte, every time.Duration) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		buf := make([]byte, 1024)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	for {
		select {
		case <-gone:
			return
		case <-time.After(every):
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
		}
	}
}

// Clients that hold a connection without using it are cut; one that is merely
// slow is not.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, config{"listen": config{"head_timeout": "500ms", "idle_timeout": "700ms", "grace": "1s", "min_rate": 20_000}}, o.url)
	t.Run("clients", func(t *testing.T) {
		cut := func(t *testing.T, took, least time.Duration) {
			t.Helper()
			if took < least || took > least+10*time.Second {
				t.Errorf("cut after %v", took)
			}
		}
		t.Run("slow head", func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			c := w.dial()
			fmt.Fprint(c, "GET /head HTTP/1.1\r\nHost: site\r\nX: ")
			slowly(c, 'a', 50*time.Millisecond)
			cut(t, time.Since(began), 300*time.Millisecond)
		})
		t.Run("no head", func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			c := w.dial()
			_, _ = c.Read(make([]byte, 1))
			cut(t, time.Since(began), 300*time.Millisecond)
		})
		t.Run("slow body", func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			c := w.dial()
			fmt.Fprint(c, "POST /sink HTTP/1.1\r\nHost: site\r\nContent-Length: 1000000\r\n\r\n")
			slowly(c, 'a', 20*time.Millisecond)
			cut(t, time.Since(began), 300*time.Millisecond)
		})
		t.Run("slow read", func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			c := w.dial()
			if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "GET /zeros?n=%d HTTP/1.1\r\nHost: site\r\n\r\n", 64<<20)
			buf := make([]byte, 100)
			for { // far below the least rate
				if _, err := c.Read(buf); err != nil {
					break
				}
				if time.Since(began) > 15*time.Second {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			cut(t, time.Since(began), 300*time.Millisecond)
		})
		t.Run("honest upload", func(t *testing.T) {
			t.Parallel()
			c := w.dial()
			const size, pieces = 640_000, 40
			fmt.Fprintf(c, "POST /sink HTTP/1.1\r\nHost: site\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", size)
			for range pieces { // 160 kB a second, for four times the grace
				if _, err := c.Write(make([]byte, size/pieces)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			b := make([]byte, 4096)
			n, err := c.Read(b)
			if err != nil || !strings.HasPrefix(string(b[:n]), "HTTP/1.1 200") {
				t.Errorf("%q, %v", b[:n], err)
			}
		})
		t.Run("event stream", func(t *testing.T) {
			t.Parallel()
			resp, err := client(t).Get(w.url("/events"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			buf, began := make([]byte, 100), time.Now()
			for time.Since(began) < 2*time.Second {
				if _, err := resp.Body.Read(buf); err != nil {
					t.Fatalf("cut after %v: %v", time.Since(began), err)
				}
			}
		})
	})
	for _, kind := range []string{"head", "new", "body", "write"} {
		if w.timeouts(kind) == 0 {
			t.Errorf("no connection was counted as too slow a %s", kind)
		}
	}
	if o.count("/head") > 0 {
		t.Error("half a head reached the origin")
	}
}
