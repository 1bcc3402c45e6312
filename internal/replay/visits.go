package replay

import (
	"strings"
	"time"

	"seawall/internal/traffic"
)

// group is some requests that come one after the other.
type group struct {
	visits [Together]traffic.Visit
	of     [Together]*client // nil: there are too many to tell it apart
}

// makeOut finds out who asks for what, as far as that does not hang on when. Each step is
// taken for all of the group, so that the processor waits for their places in memory side by
// side.
func (r *runner) makeOut(entries []held) {
	g := &r.group
	var keys [Together]uint64
	for i := range entries {
		keys[i], _ = traffic.ClientKey(entries[i].client)
	}
	r.hits.clients.find(keys[:len(entries)], g.of[:])
	for i := range entries {
		e, v := &entries[i], &g.visits[i]
		*v = traffic.Visit{
			Peer: e.client, Client: e.client, Method: e.method, Host: e.host, Path: e.path, RawQuery: e.query, UserAgent: e.agent,
			HTTP: e.http, Respelt: e.respelt,
		}
		if c := g.of[i]; c != nil {
			c.place(v)
		}
	}
	for i := range entries {
		v := &g.visits[i]
		known := v.Located
		r.head.agent = v.UserAgent
		r.w.Door.Identify(v, &r.head)
		if c := g.of[i]; c != nil && v.Located && !known {
			c.learn(v)
		}
	}
	r.w.Door.Expect(g.visits[:len(entries)])
}

// request replays one.
func (r *runner) request(e *held, v *traffic.Visit, c *client) {
	v.At = r.w.Clock.Now()
	d := r.w.Door.Decide(v)
	out := traffic.Outcome{Status: 403, Took: time.Microsecond}
	if d.LetsIn() {
		out = traffic.Outcome{
			Status: e.status, BytesOut: e.bytes, Took: e.took, Reached: true, OriginTime: max(e.origin, 0),
			Failed: e.status == 502 || e.status == 504,
		}
		if out.OriginTime == 0 {
			out.OriginTime = e.took
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

// headers are what a log tells of a request's fields, as far as anybody asks for it.
type headers struct{ agent string }

// Get makes headers traffic.Headers.
func (h *headers) Get(name string) string {
	switch name {
	case "User-Agent":
		return h.agent
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
