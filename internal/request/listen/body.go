package listen

import (
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"time"
)

// body1 reads the body of a request in HTTP/1, without its framing.
type body1 struct {
	c *conn
	q *request
	// asks says that the client waits to be asked for the body (100-continue).
	asks bool
}

// Read reads a piece of the body, which it asks for if need be.
func (b *body1) Read(p []byte) (int, error) {
	c := b.c
	if b.asks {
		if err := b.ask(); err != nil {
			return 0, err
		}
	}
	n, err := c.readBody(p)
	if err == io.EOF && len(c.trailer) > 0 {
		b.q.trailers(c.trailer)
		c.trailer = nil
	}
	return n, err
}

// ask asks for the body, unless that was done or an answer has begun.
func (b *body1) ask() error {
	c := b.c
	c.wmu.Lock() // what an answer begins with waits for it
	defer c.wmu.Unlock()
	if !b.q.said.CompareAndSwap(0, 1) {
		return nil
	}
	_, err := c.put([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}

// trailers adds what came after a chunked body to the request.
func (q *request) trailers(raw []byte) {
	for len(raw) > 0 {
		var line []byte
		line, raw, _ = bytes.Cut(raw, []byte("\r\n"))
		if name, value, ok := bytes.Cut(line, []byte{':'}); ok {
			if q.http.Trailer == nil {
				q.http.Trailer = http.Header{}
			}
			q.http.Trailer.Add(string(name), textproto.TrimString(string(value)))
		}
	}
}

// beginBody makes the conn read the body of the head in c.x.
func (c *conn) beginBody(h *head) {
	c.left = h.length
	c.readBudget = c.s.cfg.Grace
	c.part = partBody
	switch {
	case h.length < 0:
		c.chunks = chunks{}
		c.trailer = c.trailer[:0]
	case h.length == 0:
		c.part = partHold
	}
}

// readBody reads the next bytes of the body.
func (c *conn) readBody(p []byte) (n int, err error) {
	switch f := c.fault(); {
	case f != faultNone:
		return 0, f
	case c.part != partBody:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	case c.left < 0:
		return c.readChunked(p)
	}
	p = p[:min(int64(len(p)), c.left)]
	if n, err = c.readPart(p); err != nil {
		return n, err
	}
	if c.left -= int64(n); c.left == 0 {
		c.part = partHold
		return n, io.EOF
	}
	return n, nil
}

// readPart reads what was read ahead, or else from the client.
func (c *conn) readPart(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.r += n
		return n, nil
	}
	return c.readClient(p)
}

// readChunked follows the framing. Bytes inside a chunk go straight to p; those
// between pass through buf. What was read ahead is looked at to its end, so that a
// body whose end has come is known to be over.
func (c *conn) readChunked(p []byte) (n int, err error) {
	k := &c.chunks
	for {
		if n > 0 && (c.r == c.w || k.state == chunkData && n == len(p)) {
			return n, nil
		}
		if k.state == chunkData {
			piece := p[n:][:min(int64(len(p)-n), k.left)]
			got, err := c.readPart(piece)
			k.advance(piece[:got])
			if n += got; err != nil {
				return n, err
			}
			continue
		}
		if c.r == c.w {
			c.r, c.w = 0, 0
			c.shrink()
			if c.w, err = c.readClient(c.buf); err != nil {
				c.w = 0
				return 0, err
			}
		}
		for c.r < c.w && k.state != chunkData && k.state != chunkEnd {
			if k.state >= trailerStart {
				c.trailer = append(c.trailer, c.buf[c.r])
			}
			if k.fault = k.step(c.buf[c.r]); k.fault != faultNone {
				return n, c.breakBody(k.fault)
			}
			c.r++
		}
		if most := c.s.cfg.MaxBody; most > 0 && k.data > most {
			return n, c.breakBody(faultTooLarge)
		}
		if k.state == chunkEnd {
			c.part = partHold
			return n, io.EOF
		}
	}
}

// readClient reads from the socket at no less than the minimum rate. Only the
// time that the read waits counts: whoever reads the body slowly on our side
// does not use up the client's budget.
func (c *conn) readClient(p []byte) (int, error) {
	begun := c.s.coarse()
	if !c.enter(phaseBody, begun+ms(max(c.readBudget, 0))) {
		return 0, c.breakBody(faultSlowBody)
	}
	n, err := c.read(p)
	if !c.enter(phaseBusy, 0) {
		return 0, c.breakBody(faultSlowBody)
	}
	spent := time.Duration(c.s.coarse()-begun) * time.Millisecond
	c.readBudget = min(c.s.cfg.Grace,
		c.readBudget-spent+time.Duration(n)*time.Second/time.Duration(c.s.cfg.MinRate))
	if n > 0 {
		return n, nil
	}
	if err == io.EOF {
		c.broken.Store(uint32(faultTruncated))
		if l := c.life.Load(); l != nil {
			l.end() // the client has left
		}
		return 0, io.ErrUnexpectedEOF
	}
	return 0, err
}

// breakBody makes all further reads of the body fail.
func (c *conn) breakBody(f fault) error {
	if c.broken.CompareAndSwap(0, uint32(f)) && f != faultSlowBody {
		c.s.count.malformed[f].Add(1)
	}
	return f
}
