package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"seawall/internal/kit/pcap"
)

const (
	// lastMoment is the last that a packet may be of, in nanoseconds since 1970: in
	// 2116.
	lastMoment = 1 << 62
	// tried is how many packets that cannot be read a capture may begin with.
	tried = 1000
)

// late is how much earlier than one before it a packet may be: cards with several queues
// hand packets over in about the order in which they came. What is earlier still is left
// out, or it would all come at one moment, and be a flood.
const late = time.Second

// tape is one capture, read packet by packet.
type tape struct {
	about  *File
	reader *pcap.Reader
	reads  func(pcap.Link) bool
	timed  bool // packets must have times

	packet pcap.Packet // the next one
	at     int64       // when it came, nanoseconds since 1970
	begun  bool

	behind *pcap.Packet // comes after packet: that one was far ahead, and had to wait for it
	late   uint64       // left out
}

func newTape(from io.Reader, about *File) (*tape, error) {
	r, err := pcap.NewReader(from)
	if err != nil {
		return nil, &unread{fmt.Sprintf("it is a capture of packets that breaks off in its head: %v", err)}
	}
	about.Form, about.capture = r.Format(), true
	return &tape{about: about, reader: r}, nil
}

// first reads the first packet.
func (t *tape) first(ctx context.Context) error {
	err := t.next(ctx)
	var bad *pcap.Bad
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad):
		return &unread{fmt.Sprintf("none of its first packets can be read: %s", bad.Why)}
	case err == io.EOF && t.about.Bad > 0:
		return &unread{fmt.Sprintf("none of its packets can be read: %s", t.about.Examples[0].Why)}
	case err == io.EOF:
		return &unread{"it holds no packets"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &unread{"it breaks off within its first packet"}
	}
	return err
}

// next reads the next packet; io.EOF where there is none. A packet that is alone far
// ahead of those around it, by a wrong clock, is left out.
func (t *tape) next(ctx context.Context) error {
	if t.behind != nil {
		t.packet, t.behind = *t.behind, nil
		t.at = t.packet.At
		return nil
	}
	before, begun := t.at, t.begun
	if err := t.read(ctx, &t.packet); err != nil {
		return err
	}
	t.at = t.packet.At
	for begun && t.timed && t.at-before > leap*int64(time.Second) {
		ahead, after := t.packet, pcap.Packet{}
		ahead.Bytes = slices.Clone(ahead.Bytes)
		err := t.read(ctx, &after)
		switch {
		case err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF):
			return err
		case err == nil && after.At < ahead.At-int64(late):
			t.late++
			t.packet, t.at = after, after.At
			continue
		case err == nil:
			t.behind = &after
		}
		t.packet = ahead
		return nil
	}
	return nil
}

// read reads one that can be used.
func (t *tape) read(ctx context.Context, p *pcap.Packet) error {
	for {
		bad, err := t.one(p)
		if err != nil {
			return err
		}
		t.about.Packets++
		if bad == nil {
			t.begun = true
			return nil
		}
		t.about.Bad++
		if len(t.about.Examples) < shownBad {
			t.about.Examples = append(t.about.Examples, BadLine{Packet: t.reader.Number(), Why: bad.Why})
		}
		if !t.begun && t.about.Bad >= tried {
			return bad
		}
		if t.about.Bad&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// one reads one, or says why it cannot be used.
func (t *tape) one(p *pcap.Packet) (*pcap.Bad, error) {
	if err := t.reader.Next(p); err != nil {
		var bad *pcap.Bad
		if errors.As(err, &bad) {
			return bad, nil
		}
		return nil, err
	}
	return t.wrong(p), nil
}

// wrong says why a packet cannot be used. One without a time is of the one before it.
func (t *tape) wrong(p *pcap.Packet) *pcap.Bad {
	switch {
	case !t.reads(p.Link):
		return &pcap.Bad{Why: fmt.Sprintf("of its link, type %v, nothing is known here; Ethernet is, and Linux cooked, loopback, and IP alone", p.Link)}
	case !t.timed:
		return nil
	case !p.Timed && !t.begun:
		return &pcap.Bad{Why: "it has no time; --rate says how many come in a second"}
	case !p.Timed:
		p.At = t.at
	case p.At >= lastMoment:
		return &pcap.Bad{Why: "it is of a time after 2115"}
	}
	return nil
}
