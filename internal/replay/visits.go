package replay

import (
	"strings"
	"time"

	"seawall/internal/kit/accesslog"
	"seawall/internal/traffic"
)

// ahead is how many requests are made out before the first of them is decided on.
const ahead = 16

// group is some requests that come one after the other.
type group struct {
	visits [ahead]traffic.Visit
	of     [ahead]*client // nil: there are too many to tell it apart
}

// makeOut finds out who asks for what, as far as that does not hang on when.
func (r *runner) makeOut(entries []accesslog.Entry) {
	g := &r.group
	for i := range entries {
		g.of[i] = r.hits.client(entries[i].Client)
	}
	for i := range entries {
		e, v, c := &entries[i], &g.visits[i], g.of[i]
		*v = traffic.Visit{
			Peer: e.Client, Client: e.Client, Method: e.Method, Host: e.Host, Path: e.Path, RawQuery: e.Query, UserAgent: e.Agent,
			HTTP: version(e.Protocol),
		}
		if c != nil && c.from == e.Client {
			v.Country, v.Network, v.Located = c.country, c.network, true
		}
		r.head = headers{agent: e.Agent, referer: e.Referer}
		r.w.Door.Identify(v, &r.head)
		if c != nil && v.Located {
			c.from, c.country, c.network = e.Client, v.Country, v.Network
		}
	}
	r.w.Door.Expect(g.visits[:len(entries)])
}

// request replays one.
func (r *runner) request(e *accesslog.Entry, v *traffic.Visit, c *client) {
	v.At = r.w.Clock.Now()
	d := r.w.Door.Decide(v)
	out := traffic.Outcome{Status: 403, Took: time.Microsecond}
	if d.LetsIn() {
		out = traffic.Outcome{
			Status: e.Status, BytesOut: e.Bytes, Took: e.Took, Reached: true, OriginTime: max(e.Origin, 0),
			Failed: e.Status == 502 || e.Status == 504,
		}
		if out.OriginTime == 0 {
			out.OriginTime = e.Took
		}
	}
	r.w.Loop.Record(v, d, out)
	r.hits.visit(c, v, d)
	if d.ID != 0 {
		if m := r.done[d.ID]; m != nil {
			m.Requests++
		}
	}
}

func version(protocol string) traffic.HTTPVersion {
	switch protocol {
	case "HTTP/1.0":
		return traffic.HTTP10
	case "HTTP/1.1":
		return traffic.HTTP11
	case "HTTP/2.0", "HTTP/2":
		return traffic.HTTP2
	case "HTTP/3.0", "HTTP/3":
		return traffic.HTTP3
	}
	return traffic.HTTPUnknown
}

// headers are what a log tells of a request's fields.
type headers struct{ agent, referer string }

// Get makes headers traffic.Headers.
func (h *headers) Get(name string) string {
	switch name {
	case "User-Agent":
		return h.agent
	case "Referer":
		return h.referer
	case "Accept":
		if strings.HasPrefix(h.agent, "Mozilla/5.0 (") && !strings.HasPrefix(h.agent, "Mozilla/5.0 (compatible") {
			return "text/html"
		}
		return "*/*"
	}
	return ""
}

// Values makes headers traffic.Headers.
func (h *headers) Values(name string) []string {
	if v := h.Get(name); v != "" {
		return []string{v}
	}
	return nil
}
