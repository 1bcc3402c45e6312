package proxy

import (
	"bufio"
	"bytes"
	"io"
)

// answerBody reads an answer's body off a connection, and stops exactly at its
// end.
type answerBody struct {
	br      *bufio.Reader
	framing framing
	left    int64  // of the body, or of the chunk
	began   bool   // a chunk was read, so its line end comes before the next
	trailer fields // valid once Read returned io.EOF; nil for none
	scratch []byte
	err     error
}

// Read returns io.EOF only at the body's proper end.
func (b *answerBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.read(p)
	if n > 0 && b.framing == framedLength && b.left == 0 {
		err = io.EOF
	}
	b.err = err
	return n, err
}

func (b *answerBody) read(p []byte) (int, error) {
	switch b.framing {
	case framedNone:
		return 0, io.EOF
	case framedClose:
		return b.br.Read(p)
	case framedChunked:
		if b.left == 0 {
			if err := b.nextChunk(); err != nil {
				return 0, err
			}
		}
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.br.Read(p)
	b.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// nextChunk reads up to the next chunk's first byte. At the last chunk it
// reads the trailers and returns io.EOF.
func (b *answerBody) nextChunk() error {
	if b.began {
		if err := b.lineEnd(); err != nil {
			return err
		}
	}
	b.began = true
	line, err := b.br.ReadSlice('\n')
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		} else if err == bufio.ErrBufferFull {
			err = nonsense("a chunk's first line is too long")
		}
		return err
	}
	if b.left, err = chunkSize(line); err != nil || b.left > 0 {
		return err
	}
	if b.scratch, err = readBlock(b.br, b.scratch[:0], maxTrailers); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if len(b.scratch) > 2 {
		if b.trailer, err = parseFields(nil, string(b.scratch)); err != nil {
			return err
		}
	}
	return io.EOF
}

func (b *answerBody) lineEnd() error {
	for _, want := range []byte("\r\n") {
		c, err := b.br.ReadByte()
		switch {
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case c != want:
			return nonsense("a chunk is longer than it says")
		}
	}
	return nil
}

// chunkSize reads a chunk's first line, of which extensions are dropped.
func chunkSize(line []byte) (int64, error) {
	var n int64
	i := 0
	for ; i < len(line); i++ {
		c := line[i]
		switch {
		case digit(c):
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			c = 255
		}
		if c == 255 {
			break
		}
		if i == 15 {
			return 0, nonsense("a chunk's size has more than 15 digits")
		}
		n = n<<4 | int64(c)
	}
	rest := bytes.TrimLeft(line[i:], " \t")
	cr := bytes.IndexByte(rest, '\r')
	if i == 0 || cr < 0 || cr != len(rest)-2 || (cr > 0 && rest[0] != ';') {
		return 0, nonsense("a chunk begins with %.20q", line)
	}
	return n, nil
}
