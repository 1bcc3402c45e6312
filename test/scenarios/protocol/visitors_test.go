package protocol

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// way is how a visitor comes.
type way struct {
	name   string
	scheme string
	http2  bool
}

func ways(http2 bool) []way {
	list := []way{{"HTTP/1.1", "http", false}, {"HTTPS/1.1", "https", false}}
	if http2 {
		list = append(list, way{"HTTPS/2", "https", true})
	}
	return list
}

// crowd is people who read the site: some stay, and keep their connections and
// cookies; some come anew with every page.
type crowd struct {
	w     *wall
	site  *site
	ways  []way
	stop  context.CancelFunc
	going sync.WaitGroup

	mu   sync.Mutex
	news tally // of newcomers
	stay tally // of those who stay
}

// tally is what visitors felt.
type tally struct {
	asked, served int
	took          []time.Duration // of those served
	wrong         map[string]int
}

func (t *tally) share() float64 {
	if t.asked == 0 {
		return 0
	}
	return float64(t.served) / float64(t.asked)
}

func (t *tally) p99() time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	slices.Sort(t.took)
	return t.took[len(t.took)*99/100]
}

// How many come each way, how long they look at a page, and within what time they
// all have come.
const (
	staying   = 6
	newcomers = 2
	reading   = time.Second
	arriving  = 300 * time.Millisecond
)

// patience is how long a visitor waits for anything.
const patience = 10 * time.Second

// visit has a crowd come. It stays until leave.
func visit(w *wall, s *site, http2 bool) *crowd {
	c := &crowd{w: w, site: s, ways: ways(http2)}
	var ctx context.Context
	ctx, c.stop = context.WithCancel(context.Background())
	for k, way := range c.ways {
		for i := range staying + newcomers {
			c.going.Go(func() {
				time.Sleep(rand.N(arriving))
				from := netip.AddrFrom4([4]byte{127, 16, byte(k*64 + i), 1})
				client := c.client(way, from)
				defer func() { client.CloseIdleConnections() }()
				for ctx.Err() == nil {
					if i >= staying {
						client.CloseIdleConnections()
						from = netip.AddrFrom4([4]byte{127, 17 + byte(k), byte(rand.N(256)), 1 + byte(rand.N(254))})
						client = c.client(way, from)
					}
					c.page(ctx, client, way, i >= staying)
					select {
					case <-ctx.Done():
					case <-time.After(reading/2 + rand.N(reading)):
					}
				}
			})
		}
	}
	return c
}

// leave has everybody finish the page they asked for and go.
func (c *crowd) leave() {
	c.stop()
	c.going.Wait()
}

// forget begins to count anew.
func (c *crowd) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.news, c.stay = tally{}, tally{}
}

// felt is what was felt since forget.
func (c *crowd) felt() (stay, news tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stay, c.news
}

func (c *crowd) client(how way, from netip.Addr) *http.Client {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	d.SetMultipathTCP(false)
	to := c.w.clear
	if how.scheme == "https" {
		to = c.w.secure
	}
	jar, _ := cookiejar.New(nil)
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", to.String())
		},
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		MaxConnsPerHost:     2,
		MaxIdleConnsPerHost: 2,
		Protocols:           new(http.Protocols),
	}
	tr.Protocols.SetHTTP1(!how.http2)
	tr.Protocols.SetHTTP2(how.http2)
	return &http.Client{Transport: tr, Jar: jar, Timeout: patience}
}

// page asks for the page and then, at once, for what belongs to it.
func (c *crowd) page(ctx context.Context, client *http.Client, how way, new bool) {
	c.ask(client, how, "/", new)
	var all sync.WaitGroup
	for _, path := range assets() {
		if ctx.Err() == nil {
			all.Go(func() { c.ask(client, how, path, new) })
		}
	}
	all.Wait()
}

func (c *crowd) ask(client *http.Client, how way, path string, new bool) {
	began := time.Now()
	err := fetch(client, how.scheme+"://"+host+path, len(c.site.pages[path]))
	took := time.Since(began)
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &c.stay
	if new {
		t = &c.news
	}
	t.asked++
	if err == nil {
		t.served++
		t.took = append(t.took, took)
		return
	}
	if t.wrong == nil {
		t.wrong = map[string]int{}
	}
	t.wrong[how.name+": "+err.Error()]++
}

func fetch(client *http.Client, url string, size int) error {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	r.Header.Set("Accept-Language", "en")
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s", resp.Status)
	case size > 0 && n != int64(size):
		return fmt.Errorf("%d bytes instead of %d", n, size)
	}
	return nil
}

// everyWayOpen asks once each way from an address never seen before, as somebody
// does who comes when the attack is over.
func (c *crowd) everyWayOpen(t testing.TB) error {
	t.Helper()
	for k, way := range c.ways {
		client := c.client(way, netip.AddrFrom4([4]byte{127, 24, byte(k), 1}))
		client.Timeout = 3 * time.Second
		err := fetch(client, way.scheme+"://"+host+"/", len(c.site.pages["/"]))
		client.CloseIdleConnections()
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
	}
	return nil
}
