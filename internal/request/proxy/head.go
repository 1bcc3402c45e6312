package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limits on what an origin may send.
const (
	maxAnswerHead = 256 << 10
	maxTrailers   = 64 << 10
	maxInterim    = 64 // 1xx answers before the final one
)

// errNonsense wraps whatever in an origin's answer breaks RFC 9112 so that its
// end cannot be told for certain.
var errNonsense = errors.New("the origin's answer is malformed")

func nonsense(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errNonsense, fmt.Sprintf(format, args...))
}

// How an answer's body ends.
type framing uint8

const (
	framedNone    framing = iota // no body
	framedLength                 // head.length bytes
	framedChunked                // a last chunk
	framedClose                  // the connection's end
)

// head is an answer's status line and fields, read and judged.
type head struct {
	status  int
	fields  fields // as sent, hop-by-hop ones among them
	framing framing
	length  int64 // valid iff framing is framedLength
	close   bool  // the connection is not used again
	keep    time.Duration
}

// readBlock reads lines up to and with the empty one, appending to buf.
func readBlock(br *bufio.Reader, buf []byte, limit int) ([]byte, error) {
	for {
		start := len(buf)
		for {
			part, err := br.ReadSlice('\n')
			buf = append(buf, part...)
			if len(buf) > limit {
				return buf, nonsense("its head is larger than %d bytes", limit)
			}
			if err == nil {
				break
			}
			if err == io.EOF && len(buf) > 0 {
				err = io.ErrUnexpectedEOF
			}
			if err != bufio.ErrBufferFull {
				return buf, err
			}
		}
		if line := buf[start:]; len(line) == 1 || (len(line) == 2 && line[0] == '\r') {
			return buf, nil
		}
	}
}

// parseHead judges an answer's head, its empty line among it, to a request
// with the given method. It appends the fields to into, and keeps no reference to
// raw.
func parseHead(into fields, raw []byte, method string) (head, error) {
	h := head{fields: into}
	text := string(raw)
	line, text := cutLine(text)
	version, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	minor := 1
	switch {
	case version == "HTTP/1.1":
	case version == "HTTP/1.0":
		minor = 0
	default:
		return h, nonsense("it begins with %.40q", line)
	}
	if len(code) != 3 || code[0] < '1' || code[0] > '9' || !digit(code[1]) || !digit(code[2]) {
		return h, nonsense("its status line is %.40q", line)
	}
	h.status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	var err error
	if h.fields, err = parseFields(h.fields, text); err != nil {
		return h, err
	}
	return h, h.frame(method, minor)
}

// frame finds how the body ends (RFC 9112 6.3), more strictly than the RFC
// where an answer says two things, and what becomes of the connection.
func (h *head) frame(method string, minor int) error {
	coding, codings := "", 0
	h.length, h.close = -1, minor == 0
	for i := range h.fields {
		v := h.fields[i][1]
		switch h.fields[i][0] {
		case "Connection":
			h.close = h.close || hasToken(v, "close")
		case "Keep-Alive":
			if h.keep == 0 {
				h.keep = keepAlive(v)
			}
		case "Transfer-Encoding":
			coding = v
			codings++
		case "Content-Length":
			n, err := strconv.ParseUint(v, 10, 63)
			if err != nil || v[0] == '+' {
				return nonsense("Content-Length is %.40q", v)
			}
			if h.length >= 0 && h.length != int64(n) {
				return nonsense("it has two lengths, %d and %d", h.length, n)
			}
			h.length = int64(n)
		}
	}
	switch {
	case codings > 0 && h.length >= 0:
		return nonsense("it has both Transfer-Encoding and Content-Length")
	case codings > 0 && (minor == 0 || codings > 1 || !strings.EqualFold(coding, "chunked")):
		return nonsense("Transfer-Encoding is %.60q", h.fields.get("Transfer-Encoding"))
	}
	switch {
	case method == http.MethodHead, h.status < 200, h.status == http.StatusNoContent, h.status == http.StatusNotModified:
		h.framing = framedNone
	case codings > 0:
		h.framing = framedChunked
	case h.length > 0:
		h.framing = framedLength
	case h.length == 0:
		h.framing = framedNone
	default:
		h.framing = framedClose
		h.close = true
	}
	return nil
}

// keepAlive reads the timeout of a Keep-Alive field; 0 where there is none.
func keepAlive(list string) time.Duration {
	for t := range strings.SplitSeq(list, ",") {
		if s, ok := strings.CutPrefix(trim(t), "timeout="); ok {
			if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 1e6 {
				return time.Duration(n) * time.Second
			}
		}
	}
	return 0
}
