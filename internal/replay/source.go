package replay

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"

	"seawall/internal/kit/accesslog"
	"seawall/internal/kit/pcap"
)

const (
	longest   = 64 << 10 // of a line; longer ones are counted as bad
	guessFrom = 50       // lines
	shownBad  = 3        // of each file
	lookUp    = 64       // lines between two looks at whether to go on
)

// source is one log, read line by line.
type source struct {
	*input
	about  *File
	lines  *bufio.Reader
	reader *accesslog.Reader
	entry  accesslog.Entry // the next line; its strings stay until the one after it is read
	number uint64          // of the last line read, from 1
	ahead  []numbered      // lines that were read to guess their form
	tape   *tape           // it is no log but a capture; nil: it is one
}

// unread says why nothing of a file can be read.
type unread struct{ why string }

func (u *unread) Error() string { return u.why }

// numbered is a line of a file.
type numbered struct {
	number uint64
	text   []byte // nil: it is empty, or too long
}

// open opens a file. Of a log it finds out the form, where f is nil.
func open(ctx context.Context, path string, f *accesslog.Format, read func(n int64)) (_ *source, err error) {
	in, err := openInput(ctx, path, read)
	if err != nil {
		return nil, err
	}
	s := &source{input: in, about: &File{Name: path}}
	defer func() {
		if err != nil {
			s.end()
		}
	}()
	s.lines = bufio.NewReaderSize(in.from, longest)
	if begins, _ := s.lines.Peek(4); pcap.Begins(begins) {
		if s.tape, err = newTape(s.lines, s.about); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return s, nil
	}
	if f == nil {
		if f, err = s.guess(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	s.about.Form = f.Name()
	s.reader = accesslog.NewReader(f)
	return s, nil
}

// guess reads the first lines.
func (s *source) guess(ctx context.Context) (*accesslog.Format, error) {
	var texts [][]byte
	for len(texts) < guessFrom {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := s.line()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if n.text != nil {
			n.text = bytes.Clone(n.text)
			s.ahead = append(s.ahead, n)
			texts = append(texts, n.text)
		}
	}
	if len(texts) == 0 {
		return nil, &unread{"it is empty"}
	}
	f, head, ok := accesslog.Guess(texts)
	if !ok {
		return nil, &unread{fmt.Sprintf("its form is none that is known; say it with --format, as nginx's log_format or Apache's LogFormat has it; a line is %.200q", texts[0])}
	}
	s.ahead = s.ahead[head:]
	return f, nil
}

// line reads the next line, which stays until the one after it is read.
func (s *source) line() (numbered, error) {
	b, err := s.lines.ReadSlice('\n')
	s.number++
	n := numbered{number: s.number}
	if err == bufio.ErrBufferFull {
		for err == bufio.ErrBufferFull {
			_, err = s.lines.ReadSlice('\n') // an interrupt closes the file
		}
		if err != nil && err != io.EOF {
			return n, err
		}
		s.bad(n, fmt.Errorf("it is longer than %d bytes", longest))
		return n, nil
	}
	if err != nil && (err != io.EOF || len(b) == 0) {
		return n, err
	}
	for k := len(b); k > 0 && (b[k-1] == '\n' || b[k-1] == '\r'); k-- {
		b = b[:k-1]
	}
	if len(b) > 0 {
		n.text = b
	}
	return n, nil
}

// next reads the next line that is an entry; io.EOF where there is none.
func (s *source) next(ctx context.Context) error {
	for {
		if s.number%lookUp == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		var n numbered
		if len(s.ahead) > 0 {
			n, s.ahead = s.ahead[0], s.ahead[1:]
		} else {
			var err error
			if n, err = s.line(); err != nil {
				if err != io.EOF {
					err = fmt.Errorf("%s: %w", s.about.Name, err)
				}
				return err
			}
		}
		if n.text == nil {
			continue
		}
		if err := s.reader.Parse(n.text, &s.entry); err != nil {
			s.bad(n, err)
			continue
		}
		s.about.Lines++
		return nil
	}
}

func (s *source) bad(n numbered, err error) {
	s.about.Lines++
	if s.about.Bad++; len(s.about.Examples) < shownBad {
		s.about.Examples = append(s.about.Examples, BadLine{Line: n.number, Why: err.Error(), Text: fmt.Sprintf("%.120s", n.text)})
	}
}

// sources are files that are read as one, in the order of their times.
type sources []*source

// first is the one whose next entry is the earliest; nil where there is none.
func (l sources) first() *source {
	if len(l) == 1 {
		return l[0]
	}
	var first *source
	for _, s := range l {
		if first == nil || s.entry.Time.Before(first.entry.Time) {
			first = s
		}
	}
	return first
}

// advance reads the next line of s, and leaves it where it has no more.
func (l *sources) advance(ctx context.Context, s *source) error {
	err := s.next(ctx)
	switch {
	case err == nil, ctx.Err() != nil:
		return err
	case err != io.EOF:
		s.about.Cut = err.Error() // what was read of it counts
	}
	s.end()
	for i := range *l {
		if (*l)[i] == s {
			*l = append((*l)[:i], (*l)[i+1:]...)
			break
		}
	}
	return nil
}

func (l *sources) end() {
	for _, s := range *l {
		s.end()
	}
	*l = nil
}
