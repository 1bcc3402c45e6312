package listen

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http2/hpack"

	"seawall/internal/request/listen/h2"
	"seawall/internal/traffic"
)

// gather makes a head of the fields of a block, as head.scan makes one of lines.
// It keeps what it needs in one text, and judges each field as it comes.
type gather struct {
	x       *exchange
	buf     *scratch // body: the text
	cookie  []byte   // crumbs, joined (RFC 9113, section 8.2.3)
	size    int      // as SETTINGS_MAX_HEADER_LIST_SIZE counts
	count   int
	fault   bool // malformed
	over    bool // too large
	regular bool // a field proper was seen
	trailer bool // these are trailers
	pseudo  [5]span
	order   []byte // of pseudo-header fields, by their first letters
	trails  http.Header
}

// Pseudo-header fields of requests.
const (
	pseudoMethod = iota
	pseudoScheme
	pseudoAuthority
	pseudoPath
	pseudoProtocol
)

func pseudoIndex(name string) int {
	switch name {
	case ":method":
		return pseudoMethod
	case ":scheme":
		return pseudoScheme
	case ":authority":
		return pseudoAuthority
	case ":path":
		return pseudoPath
	case ":protocol":
		return pseudoProtocol
	}
	return -1
}

func (g *gather) put(s string) span {
	from := len(g.buf.body)
	g.buf.body = append(g.buf.body, s...)
	return span{uint16(from), uint16(len(g.buf.body))}
}

// emit is called by the decoder for each field.
func (h *http2conn) emit(f hpack.HeaderField) {
	h.gather.judge(&h.s.cfg, f.Name, f.Value)
	if h.gather.over {
		h.dec.SetEmitEnabled(false) // what comes still is decoded, and that is all
	}
}

// judge takes one field and keeps in mind what is wrong with it.
func (g *gather) judge(cfg *Config, name, value string) {
	const each = 32 // RFC 9113, section 6.5.2; RFC 9114, section 4.2.2
	g.size += len(name) + len(value) + each
	g.count++
	if g.size > cfg.MaxHead || g.count > cfg.MaxFields {
		g.over = true
	}
	if !g.over && !g.fault {
		g.fault = !g.field(name, value)
	}
}

// field takes one field, and says whether it is right.
func (g *gather) field(name, value string) bool {
	if strings.HasPrefix(name, ":") {
		i := pseudoIndex(name)
		if i < 0 || g.regular || g.trailer || !g.pseudo[i].empty() || value == "" || !plainValue(value) {
			return false
		}
		g.pseudo[i] = g.put(value)
		g.order = append(g.order, name[1])
		return true
	}
	g.regular = true
	if name == "" || !plainValue(value) || value != textproto.TrimString(value) {
		return false
	}
	for i := range len(name) {
		if c := lowerToken(name[i]); c == 0 || c != name[i] {
			return false
		}
	}
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return false
	case "te":
		if value != "trailers" {
			return false
		}
	case "cookie":
		if g.trailer {
			return false
		}
		if len(g.cookie) > 0 {
			g.cookie = append(g.cookie, "; "...)
		}
		g.cookie = append(g.cookie, value...)
		return true
	}
	if g.trailer {
		if framing([]byte(name)) {
			return false
		}
		if g.trails == nil {
			g.trails = http.Header{}
		}
		g.trails.Add(name, value)
		return true
	}
	return g.add(name, value)
}

// add adds a field to the head.
func (g *gather) add(name, value string) bool {
	h := &g.x.head
	n := g.put(name)
	v := g.put(value)
	h.fields = append(h.fields, field{n, v})
	if len(name) <= longestKnown {
		if f := h.known([]byte(name), []byte(value), v); f != faultNone {
			return false
		}
	}
	if !orderless(name) {
		for i := range len(name) {
			h.order = mix(h.order, name[i])
		}
		h.order = mix(h.order, ':')
	}
	return true
}

func plainValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// finish judges what can only be judged with all fields seen.
func (g *gather) finish(ends bool) bool {
	if len(g.cookie) > 0 && !g.add("cookie", string(g.cookie)) {
		return false
	}
	h, p := &g.x.head, &g.pseudo
	text := func(i int) string { return string(p[i].of(g.buf.body)) }
	method := text(pseudoMethod)
	connect := method == "CONNECT"
	switch {
	case method == "" || len(method) > 32 || !isName(method):
		return false
	case connect && p[pseudoProtocol].empty(), !connect && !p[pseudoProtocol].empty():
		return false // this is no forward proxy
	case p[pseudoScheme].empty() || p[pseudoPath].empty():
		return false
	case text(pseudoScheme) != "https" && text(pseudoScheme) != "http":
		return false
	case h.hosts > 1 || h.lengths > 1 || h.expectsOther || h.trailerFaulty:
		return false
	}
	if a := p[pseudoAuthority]; !a.empty() {
		if !validHost(a.of(g.buf.body)) || h.hosts == 1 && !strings.EqualFold(text(pseudoAuthority), string(h.host.of(g.buf.body))) {
			return false
		}
		h.host = a
	} else if h.hosts == 0 {
		return false
	}
	h.version = traffic.HTTP2
	h.method, h.target = p[pseudoMethod], p[pseudoPath]
	if h.checkTarget(h.target.of(g.buf.body), method == "OPTIONS") != faultNone || !h.originForm {
		return false
	}
	switch {
	case connect:
		return !ends && g.upgrade(text(pseudoProtocol))
	case ends && h.length > 0:
		return false
	case !ends && h.lengths == 0:
		h.length = -1
	}
	h.expects = h.expects && h.body()
	if h.order == 0 {
		h.order = 1
	}
	return true
}

// upgrade makes of an extended CONNECT (RFC 8441) the request that asks for the same
// in HTTP/1.1, which is what the rooms and the origin know.
func (g *gather) upgrade(protocol string) bool {
	h := &g.x.head
	if protocol != "websocket" || h.lengths > 0 {
		return false
	}
	order := h.order
	h.method = g.put("GET")
	// A key says nothing in HTTP/2, but some send one; two would be a fault.
	h.fields = slices.DeleteFunc(h.fields, func(f field) bool { return string(f.name.of(g.buf.body)) == "sec-websocket-key" })
	var key [16]byte
	_, _ = rand.Read(key[:])
	g.add("connection", "Upgrade")
	g.add("upgrade", protocol)
	g.add("sec-websocket-key", base64.StdEncoding.EncodeToString(key[:]))
	h.order, h.upgrades, h.minor = order, true, 1
	return true
}

// headers takes the beginning of a field block.
func (h *http2conn) headers(f h2.Frame, p []byte) error {
	if f.Stream%2 == 0 {
		return connError{h2.ProtocolError}
	}
	pad := 0
	if f.Has(h2.Padded) {
		if len(p) < 1 {
			return connError{h2.FrameSizeError}
		}
		pad, p = int(p[0]), p[1:]
	}
	var itself bool
	if f.Has(h2.Prioritied) {
		if len(p) < h2.PrioritySize {
			return connError{h2.FrameSizeError}
		}
		itself = binary.BigEndian.Uint32(p)&h2.MaxWindow == f.Stream
		h.opened.priority(f.Stream, p[:h2.PrioritySize])
		p = p[h2.PrioritySize:]
	}
	if pad > len(p) {
		return connError{h2.ProtocolError}
	}
	p = p[:len(p)-pad]
	b := blockState{stream: f.Stream, ends: f.Has(h2.EndStream)}
	h.mu.Lock()
	st := h.streams[f.Stream]
	switch {
	case st != nil && (st.taken || st.ended && !st.lost):
		b.refuse = h2.StreamClosed
	case st != nil && st.lost:
		b.ignore = true
	case st != nil:
		if b.on = st; !b.ends {
			b.refuse = h2.ProtocolError // trailers end the stream
		}
	case f.Stream <= h.last && h.endedByUs(f.Stream):
		b.ignore = true
	case f.Stream <= h.last:
		h.mu.Unlock()
		return connError{h2.StreamClosed}
	case h.away: // what follows on it is no fault: it crossed our word
		b.ignore, h.last = true, f.Stream
		h.remember(f.Stream)
	case itself:
		h.last, b.refuse = f.Stream, h2.ProtocolError
	case len(h.streams) >= h.mostNow():
		h.last, b.refuse = f.Stream, h2.RefusedStream
	default:
		h.last = f.Stream
	}
	h.mu.Unlock()
	h.block = b
	h.newGather(b.on != nil)
	return h.fragment(f, p)
}

func (h *http2conn) continuation(f h2.Frame, p []byte) error {
	if h.block.stream == 0 {
		return connError{h2.ProtocolError}
	}
	if err := h.glitch(glitchMore); err != nil {
		return err
	}
	return h.fragment(f, p)
}

// fragment decodes a piece of a field block. All of it is decoded, whatever comes
// of it, or the client's table and ours would differ.
func (h *http2conn) fragment(f h2.Frame, p []byte) error {
	b := &h.block
	b.bytes += len(p)
	b.frames++
	if b.bytes > 4*h.s.cfg.MaxHead || b.frames > 8 {
		h.s.count.glitched.Add(1)
		h.c.odd(traffic.OddFields)
		return connError{h2.EnhanceYourCalm}
	}
	if _, err := h.dec.Write(p); err != nil {
		return connError{h2.CompressionError}
	}
	if !f.Has(h2.EndHeaders) {
		return nil
	}
	if err := h.dec.Close(); err != nil {
		return connError{h2.CompressionError}
	}
	done := *b
	*b = blockState{}
	err := h.blockRead(done)
	h.freeGather()
	return err
}

// blockRead acts on a whole field block.
func (h *http2conn) blockRead(b blockState) error {
	g := h.gather
	switch {
	case b.ignore:
		return h.glitch(glitchFrame)
	case b.refuse == h2.RefusedStream:
		h.mu.Lock()
		h.out = h2.AppendReset(h.buffer(), b.stream, b.refuse)
		h.remember(b.stream)
		h.mu.Unlock()
		return h.glitch(glitchRefused)
	case b.refuse != h2.NoError:
		return streamError{b.stream, b.refuse}
	case b.on != nil:
		if g.fault || g.over {
			return streamError{b.stream, h2.ProtocolError}
		}
		return b.on.endWith(g.trails)
	case g.over:
		h.tooLarge(b)
		return h.glitch(glitchStream)
	case g.fault || !g.finish(b.ends):
		h.s.count.malformed[faultFields].Add(1)
		return streamError{b.stream, h2.ProtocolError}
	}
	return h.meetDoor(b)
}

// tooLarge answers a request whose head is larger than we take.
func (h *http2conn) tooLarge(b blockState) {
	h.s.count.malformed[faultHeadSize].Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	block := h2.AppendField(h2.AppendStatus(nil, http.StatusRequestHeaderFieldsTooLarge), "Content-Length", "0")
	h.out = h2.AppendHeaders(h.buffer(), b.stream, block, true)
	if !b.ends {
		h.out = h2.AppendReset(h.out, b.stream, h2.NoError)
		h.remember(b.stream)
	}
}

func (h *http2conn) newGather(trailer bool) {
	h.gather = h.s.newGather(h.c, '2', trailer)
	h.dec.SetEmitEnabled(true)
}

func (h *http2conn) freeGather() {
	h.s.freeGather(h.gather)
	h.gather = nil
}

// newGather makes one for a version of HTTP.
func (s *Server) newGather(c *conn, version byte, trailer bool) *gather {
	g := &gather{buf: s.scratch(), trailer: trailer}
	g.buf.body = g.buf.body[:0]
	g.x = s.newExchange(c)
	g.x.head.order = mix(fnvOffset, version)
	return g
}

func (s *Server) freeGather(g *gather) {
	s.scratches.Put(g.buf)
	if g.x != nil {
		s.freeExchange(g.x)
	}
}
