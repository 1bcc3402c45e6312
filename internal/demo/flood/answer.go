package flood

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// answer is what a flood notices of an answer.
type answer struct {
	status int
	ref    bool // it carries Seawall-Ref
	closes bool // the connection ends with it
}

var errAnswer = errors.New("not an HTTP/1 answer")

// mostLines is how many header lines an answer may have.
const mostLines = 100

// readAnswer reads one answer to a GET and throws its body away. It allocates
// nothing as long as lines fit into r's buffer; longer lines are an error.
func readAnswer(r *bufio.Reader) (answer, error) {
	var a answer
	line, err := r.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < 12 || string(line[:7]) != "HTTP/1." {
		return a, fmt.Errorf("%w: it begins %.20q", errAnswer, line)
	}
	for _, d := range line[9:12] {
		if d < '0' || d > '9' {
			return a, fmt.Errorf("%w: it begins %.20q", errAnswer, line)
		}
		a.status = a.status*10 + int(d-'0')
	}
	length, chunked := -1, false
	for n := 0; ; n++ {
		if line, err = r.ReadSlice('\n'); err != nil {
			return a, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		if n == mostLines {
			return a, fmt.Errorf("%w: too many header lines", errAnswer)
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return a, fmt.Errorf("%w: header line %.40q", errAnswer, line)
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = number(value); err != nil {
				return a, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			a.closes = bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("Seawall-Ref")):
			a.ref = true
		}
	}
	switch {
	case a.status == 204 || a.status == 304:
		return a, nil
	case chunked:
		return a, skipChunks(r)
	case length >= 0:
		_, err = r.Discard(length)
		return a, err
	}
	a.closes = true
	_, err = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
	return a, err
}

func number(b []byte) (int, error) {
	if len(b) == 0 || len(b) > 9 {
		return 0, fmt.Errorf("%w: a length of %.20q", errAnswer, b)
	}
	n := 0
	for _, d := range b {
		if d < '0' || d > '9' {
			return 0, fmt.Errorf("%w: a length of %.20q", errAnswer, b)
		}
		n = n*10 + int(d-'0')
	}
	return n, nil
}

// skipChunks reads a chunked body to its end, trailers included.
func skipChunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		size := 0
		for i, d := range bytes.TrimRight(line, "\r\n") {
			v := bytes.IndexByte([]byte("0123456789abcdef"), d|0x20)
			if v < 0 {
				if d == ';' && i > 0 {
					break
				}
				return fmt.Errorf("%w: chunk size %.20q", errAnswer, line)
			}
			if size = size<<4 | v; size > 1<<28 {
				return fmt.Errorf("%w: a chunk of %d bytes", errAnswer, size)
			}
		}
		if size == 0 {
			break
		}
		if _, err := r.Discard(size + 2); err != nil {
			return err
		}
	}
	for range mostLines {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%w: too many trailers", errAnswer)
}
