package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
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
	header  http.Header // as sent, hop-by-hop fields among them
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
// with the given method. It keeps no reference to raw.
func parseHead(raw []byte, method string) (head, error) {
	var h head
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
	if h.header, err = parseFields(text); err != nil {
		return h, err
	}
	h.close = minor == 0 || hasToken(h.header["Connection"], "close")
	h.keep = keepAlive(h.header["Keep-Alive"])
	return h, h.frame(method, minor)
}

// frame finds how the body ends (RFC 9112 6.3), more strictly than the RFC
// where an answer says two things.
func (h *head) frame(method string, minor int) error {
	codings, lengths := h.header["Transfer-Encoding"], h.header["Content-Length"]
	h.length = -1
	for _, v := range lengths {
		n, err := strconv.ParseUint(v, 10, 63)
		if err != nil || v[0] == '+' {
			return nonsense("Content-Length is %.40q", v)
		}
		if h.length >= 0 && h.length != int64(n) {
			return nonsense("it has two lengths, %d and %d", h.length, n)
		}
		h.length = int64(n)
	}
	switch {
	case len(codings) > 0 && len(lengths) > 0:
		return nonsense("it has both Transfer-Encoding and Content-Length")
	case len(codings) > 0 && (minor == 0 || len(codings) > 1 || !strings.EqualFold(codings[0], "chunked")):
		return nonsense("Transfer-Encoding is %.60q", strings.Join(codings, ", "))
	}
	switch {
	case method == http.MethodHead, h.status < 200, h.status == http.StatusNoContent, h.status == http.StatusNotModified:
		h.framing = framedNone
	case len(codings) > 0:
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

// parseFields reads field lines up to the empty line.
func parseFields(text string) (http.Header, error) {
	n := strings.Count(text, "\n")
	h := make(http.Header, n)
	values := make([]string, n) // one allocation for most fields' values
	var name string
	for text != "" {
		var line string
		line, text = cutLine(text)
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' { // obsolete folding, RFC 9112 5.2
			vv := h[name]
			if len(vv) == 0 {
				return nil, nonsense("a field begins with a blank")
			}
			vv[len(vv)-1] = strings.TrimSpace(vv[len(vv)-1] + " " + trim(line))
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		key = trimRight(key) // RFC 9112 5.1: a proxy removes it
		value = trim(value)
		if !ok || !isToken(key) || !isFieldValue(value) {
			return nil, nonsense("a field is %.60q", line)
		}
		name = textproto.CanonicalMIMEHeaderKey(key)
		if old, ok := h[name]; ok {
			h[name] = append(old, value)
			continue
		}
		values[0] = value
		h[name], values = values[:1:1], values[1:]
	}
	return h, nil
}

// cutLine cuts the first line off, without its end.
func cutLine(s string) (line, rest string) {
	line, rest, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

// trim takes blanks off both ends, which are one in front in nearly all fields.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	return trimRight(s)
}

func trimRight(s string) string {
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// isToken says whether s is an RFC 9110 token.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || digit(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 0x20 && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}

// hasToken says whether a comma-separated list holds a token.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(trim(t), token) {
				return true
			}
		}
	}
	return false
}

// keepAlive reads the timeout of a Keep-Alive field; 0 where there is none.
func keepAlive(values []string) time.Duration {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if s, ok := strings.CutPrefix(trim(t), "timeout="); ok {
				if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 1e6 {
					return time.Duration(n) * time.Second
				}
			}
		}
	}
	return 0
}
