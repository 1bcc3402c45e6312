package listen

import (
	"io"
	"time"
)

// beginBody makes the conn hand on the head of size bytes and then the body.
func (c *conn) beginBody(h *head) {
	c.give = h.size
	c.left = h.length
	c.readBudget = c.s.cfg.Grace
	switch {
	case h.length < 0:
		c.chunks = chunks{}
		c.part = partBody
	case h.length > 0:
		c.part = partBody
	default:
		c.part = partHold
	}
}

// readBody hands on the next bytes of the body, framing included.
func (c *conn) readBody(p []byte) (n int, err error) {
	if f := c.fault(); f != faultNone {
		return 0, f
	}
	if c.left < 0 {
		return c.readChunked(p)
	}
	p = p[:min(int64(len(p)), c.left)]
	if c.r < c.w {
		n = copy(p, c.buf[c.r:c.w])
		c.r += n
	} else if n, err = c.readClient(p); err != nil {
		return n, err
	}
	if c.left -= int64(n); c.left == 0 {
		c.part = partHold
	}
	return n, nil
}

// readChunked follows the framing. Bytes inside a chunk go straight to p; at
// its edges they pass through buf, so that nothing of the next message is read
// into p.
func (c *conn) readChunked(p []byte) (n int, err error) {
	k := &c.chunks
	if c.r == c.w {
		c.r, c.w = 0, 0
		if k.state == chunkData {
			n, err = c.readClient(p[:min(int64(len(p)), k.left)])
			k.advance(p[:n])
			return n, err
		}
		c.shrink()
		if c.w, err = c.readClient(c.buf); err != nil {
			c.w = 0
			return 0, err
		}
	}
	n = k.advance(c.buf[c.r : c.r+min(c.w-c.r, len(p))])
	copy(p, c.buf[c.r:c.r+n])
	c.r += n
	if most := c.s.cfg.MaxBody; most > 0 && k.data > most {
		k.fault = faultTooLarge
		return 0, c.breakBody(faultTooLarge)
	}
	if n == 0 && k.fault != faultNone {
		return 0, c.breakBody(k.fault)
	}
	if k.state == chunkEnd {
		c.part = partHold
	}
	return n, nil
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
