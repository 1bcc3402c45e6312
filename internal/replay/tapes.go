package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// tapes are captures that are read as one, in the order of their times.
type tapes struct {
	list []*source
	pace *pace  // nil: in their own time
	late uint64 // packets that those which have ended left out
}

// pace is how a capture is played in another time than its own.
type pace struct {
	rate  uint64        // packets a second
	long  time.Duration // over and over, so long; 0: once
	first int64         // when it begins, nanoseconds since 1970
	n     uint64        // packets so far
	again func() (*source, error)
	times int
}

// add takes up a capture and reads its first packet.
func (l *tapes) add(ctx context.Context, s *source) error {
	s.tape.timed = l.pace == nil
	if err := s.tape.first(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.about.Name, err)
	}
	if p := l.pace; p != nil {
		if p.first = s.tape.packet.At; !s.tape.packet.Timed || p.first >= lastMoment {
			p.first = 0
		}
		s.tape.at, p.n, p.times = p.first, 1, 1
	}
	l.list = append(l.list, s)
	return nil
}

// first is the one whose next packet is the earliest; nil where there is none.
func (l *tapes) first() *source {
	var first *source
	for _, s := range l.list {
		if first == nil || s.tape.at < first.tape.at {
			first = s
		}
	}
	return first
}

// advance reads the next packet of s, and leaves it where it has no more.
func (l *tapes) advance(ctx context.Context, s *source) error {
	err := s.tape.next(ctx)
	if l.pace != nil {
		return l.paced(ctx, s, err)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	l.leave(s, err)
	return nil
}

// leave ends a capture, whose next packet cannot be had.
func (l *tapes) leave(s *source, err error) {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		s.about.Cut = fmt.Sprintf("it ends within packet %d", s.tape.reader.Number()+1)
	case err != nil && err != io.EOF:
		s.about.Cut = err.Error()
	}
	s.end()
	l.late += s.tape.late
	for i := range l.list {
		if l.list[i] == s {
			l.list = append(l.list[:i], l.list[i+1:]...)
			return
		}
	}
}

// paced gives the next packet of a capture the time that it is played at, and begins it
// anew where it is to be played for longer.
func (l *tapes) paced(ctx context.Context, s *source, err error) error {
	p := l.pace
	at := time.Duration(p.n/p.rate)*time.Second + time.Duration(p.n%p.rate*uint64(time.Second)/p.rate)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case p.long > 0 && at >= p.long:
		l.leave(s, nil)
		return nil
	case err != nil && p.long > 0:
		again, fail := p.again()
		if fail == nil {
			again.tape.reads = s.tape.reads
			fail = again.tape.first(ctx)
		}
		l.leave(s, err)
		if fail != nil {
			return fail
		}
		p.times++
		l.list = append(l.list, again)
		s = again
	case err != nil:
		l.leave(s, err)
		return nil
	}
	p.n++
	s.tape.at = p.first + int64(at)
	return nil
}

func (l *tapes) end() {
	for _, s := range l.list {
		s.end()
	}
	l.list = nil
}
