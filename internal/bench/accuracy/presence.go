package accuracy

import (
	"slices"
	"strings"
	"time"

	"seawall/internal/traffic"
)

// presence is how a client is connected. A browser has one connection of HTTP/2, or up to
// six of HTTP/1.1, opens another one now and then that it may need, and keeps them.
type presence struct {
	now     *link // by which the request goes that is being made
	links   []*link
	opening int
	waiting []func()      // requests that wait for a connection
	trip    time.Duration // to us and back
	beside  float64       // the chance that it opens a connection that it does not need
	came    bool          // it has connected before

	raids   bool   // it has the one connection that it opened, and opens no other
	givenUp func() // told when a request of it was given up; nil: nobody
}

const (
	mostOfHTTP1 = 6                // connections that a browser opens to one site
	usually     = 0.15             // connections beside the first that a browser opens in vain
	spareFor    = 10 * time.Second // as Chromium keeps a connection that was never used
)

// meets is how a client is connected, from its first request on.
func (s *stage) meets(c *client) *presence {
	if c.net == nil {
		c.net = &presence{trip: time.Duration(20+s.rng.IntN(130)) * time.Millisecond}
		if strings.HasPrefix(c.profile.agent, "Mozilla/5.0 (") && c.ordinary {
			c.net.beside = usually
		}
	}
	return c.net
}

// waits says that a request of c has to wait for a connection; again makes it then.
func (l *listener) waits(c *client, again func()) bool {
	n := l.s.meets(c)
	if n.raids {
		return false
	}
	if n.now = n.usable(); n.now != nil {
		return false
	}
	n.waiting = append(n.waiting, again)
	if n.opening == 0 || c.profile.http != traffic.HTTP2 && len(n.links)+n.opening < mostOfHTTP1 {
		l.connect(c)
	}
	return true
}

// usable is a connection on which a request can be made; nil: there is none.
func (n *presence) usable() *link {
	for _, k := range n.links {
		if len(k.streams) < k.most() {
			return k
		}
	}
	return nil
}

// free has those go on who waited for a connection.
func (n *presence) free(k *link) {
	if n.raids || len(n.waiting) == 0 {
		return
	}
	list := n.waiting
	if !k.h2 {
		list = list[:1]
	}
	n.waiting = n.waiting[len(list):]
	for _, again := range list {
		k.l.s.after(0, again)
	}
}

// connect opens a connection of an ordinary client, by HTTPS.
func (l *listener) connect(c *client) {
	n := c.net
	if !n.came && l.s.rng.Float64() < n.beside {
		l.beside(c)
	}
	n.came = true
	n.opening++
	l.s.after(n.trip, func() {
		k := l.accept(c)
		if k == nil {
			n.opening--
			l.unconnected(c)
			return
		}
		ready := false
		k.ended = func() {
			if !ready {
				n.opening--
			}
			n.links = slices.DeleteFunc(n.links, func(o *link) bool { return o == k })
			l.unconnected(c)
		}
		l.secured(k, func() {
			ready = true
			n.opening--
			n.links = append(n.links, k)
			n.free(k)
		})
	})
}

// unconnected gives up what waits for a connection, where none is left.
func (l *listener) unconnected(c *client) {
	if n := c.net; len(n.links)+n.opening == 0 && len(n.waiting) > 0 {
		l.book.dropped += len(n.waiting)
		n.waiting = nil
	}
}

// secured makes a handshake. A ClientHello comes as soon as the client knows that there is a
// connection, and its end a round trip after our answer, with the first request.
func (l *listener) secured(k *link, then func()) {
	trip := k.c.net.trip
	l.s.after(trip, func() {
		if k.over {
			return
		}
		l.hello(k, func() {
			l.s.after(trip, func() {
				if !k.over {
					l.made(k)
					then()
				}
			})
		})
	})
}

// beside opens a connection that nothing is asked on.
func (l *listener) beside(c *client) {
	if k := l.accept(c); k != nil {
		k.spare = true
		l.secured(k, func() { l.s.after(spareFor, func() { l.close(k, byNobody) }) })
	}
}
