package accesslog

import (
	"hash/fnv"
	"net/netip"
	"strings"
)

// Reader takes lines of one form apart. Its owner is one goroutine.
type Reader struct {
	format *Format
	times  times

	lastText []byte // the last client's address that is not IPv4; its memory is reused
	lastAddr netip.Addr
	byName   bool   // the line's client is no address
	buf      []byte // what JSON's strings are without their escapes
}

// The years in which there are access logs, 1990 to 2199, in seconds since 1970. Times
// beyond them are somebody's mistake, and would not fit a Duration.
const earliest, over = 631_152_000, 7_258_118_400

// NewReader reads lines of a form.
func NewReader(f *Format) *Reader { return &Reader{format: f} }

// Parse takes a line apart. e is valid as long as line does not change.
func (r *Reader) Parse(line []byte, e *Entry) error {
	*e = Entry{}
	for n := len(line); n > 0 && (line[n-1] == '\n' || line[n-1] == '\r'); n-- {
		line = line[:n-1]
	}
	var err error
	switch {
	case r.format.tabs != nil:
		err = r.table(text(line), e)
	case r.format.parts != nil:
		err = r.text(text(line), e)
	default:
		err = r.json(line, e)
	}
	switch at := e.Time.Unix(); {
	case err != nil:
		return err
	case e.Time.IsZero():
		return errNoTime
	case at < earliest || at >= over:
		return errEra
	case e.Path == "" && e.Method == "":
		return errRequest
	case !e.Client.IsValid():
		return errClient
	}
	return nil
}

// text reads a line of a text form. What comes after its last part is passed over, and
// so are words before an address that is to stand first: syslog's and others'.
func (r *Reader) text(line string, e *Entry) error {
	err := r.parts(line, e)
	if err == nil && e.Client.IsValid() && !r.byName {
		return nil
	}
	if r.format.parts[0].field != fieldClient {
		return err
	}
	if rest, ok := r.address0(line); ok {
		*e = Entry{}
		return r.parts(rest, e)
	}
	return err
}

// address0 finds the first word of a line's beginning that is an address, where it is
// not the line's first.
func (r *Reader) address0(line string) (string, bool) {
	const far = 200
	for at := 0; at < min(len(line), far); {
		k := strings.IndexByte(line[at:], ' ')
		if k < 0 {
			return "", false
		}
		at += k + 1
		word, _, _ := strings.Cut(line[at:], " ")
		if strings.HasPrefix(word, "[") || strings.HasPrefix(word, `"`) {
			return "", false // the line's own parts begin
		}
		if len(word) >= 3 && strings.ContainsAny(word, ".:") && r.address(word).IsValid() {
			return line[at:], true
		}
	}
	return "", false
}

// parts reads a line from its beginning on.
func (r *Reader) parts(line string, e *Entry) error {
	parts := r.format.parts
	r.byName = false
	for i := range parts {
		p := &parts[i]
		if !begins(line, p.before) {
			return errForm
		}
		line = line[len(p.before):]
		end := len(line)
		switch {
		case p.quoted:
			if end = quote(line); end < 0 {
				return errShort
			}
		case p.square && strings.HasPrefix(line, "["):
			if end = strings.IndexByte(line, ']') + 1; end == 0 {
				return errShort
			}
		case i+1 < len(parts):
			if end = index(line, parts[i+1].until); end < 0 {
				return errShort
			}
		default:
			if k := strings.IndexByte(line, ' '); k >= 0 {
				end = k
			}
		}
		text := line[:end]
		line = line[end:]
		if p.field == fieldNone {
			continue
		}
		if err := r.put(e, p.field, text); err != nil {
			return err
		}
		if p.field == fieldClient && !e.Client.IsValid() {
			e.Client, r.byName = named(text), true
		}
	}
	return nil
}

// begins and index are strings.HasPrefix and strings.Index for texts of a byte or three, most
// of which stand near: behind a -, a status or a size.
func begins(s, with string) bool {
	if len(s) < len(with) {
		return false
	}
	for i := range len(with) {
		if s[i] != with[i] {
			return false
		}
	}
	return true
}

func index(s, of string) int {
	const near = 8
	for i := range min(len(s), near) {
		if s[i] == of[0] && begins(s[i:], of) {
			return i
		}
	}
	for i := near; i < len(s); i++ {
		k := strings.IndexByte(s[i:], of[0])
		if k < 0 {
			break
		}
		if i += k; begins(s[i:], of) {
			return i
		}
	}
	return -1
}

// quote finds the end of what is in quotes.
func quote(s string) int {
	for i := 0; ; {
		k := strings.IndexByte(s[i:], '"')
		if k < 0 {
			return -1
		}
		i += k
		// An even number of backslashes escape one another.
		n := 0
		for n < i && s[i-1-n] == '\\' {
			n++
		}
		if n%2 == 0 {
			return i
		}
		i++
	}
}

// named is a stand-in for the address of a client that the log names: one of 2001:db8::/32
// (RFC 3849) for each name.
func named(name string) netip.Addr {
	if name == "" || name == "-" || len(name) > 253 {
		return netip.Addr{}
	}
	for _, c := range []byte(name) {
		if c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return netip.Addr{} // of no host
		}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	s := h.Sum32()
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(s >> 24), byte(s >> 16), byte(s >> 8), byte(s), 15: 1})
}

// table reads a line whose columns are apart by tabs.
func (r *Reader) table(line string, e *Entry) error {
	for i, f := range r.format.tabs {
		col, rest, more := strings.Cut(line, "\t")
		if err := r.put(e, f, col); err != nil {
			return err
		}
		if f == fieldClient && !e.Client.IsValid() {
			e.Client = named(col)
		}
		if line = rest; !more {
			if i < 2 {
				return errShort
			}
			break
		}
	}
	return nil
}

// siteLike says whether a word may be a site's name.
func siteLike(word string) bool {
	host, _, _ := strings.Cut(word, ":")
	_, err := netip.ParseAddr(host)
	return err != nil && strings.Contains(host, ".") && named(host).IsValid()
}

// Guess finds the form of a log's first lines, and how many of them are its head. It
// needs half of the others to be of that form.
func Guess(lines [][]byte) (f *Format, head int, ok bool) {
	if len(lines) > 0 {
		if f, ok := tableOf(string(lines[0])); ok {
			return f, 1, true
		}
	}
	best := 0
	try := func(g *Format) {
		r, n, good := NewReader(g), 0, 0
		var e Entry
		for _, line := range lines {
			if r.Parse(line, &e) == nil {
				good++
				if n++; !r.byName {
					n++ // or a word that is no client passes for one
				}
				if g.name == VHost && siteLike(e.Host) {
					n++ // it tells more than the same without
				}
			}
		}
		if n > best && 2*good >= len(lines) {
			f, best = g, n
		}
	}
	j, _ := Named(JSON)
	try(j)
	for _, k := range known {
		if g, ok := Named(k.name); ok {
			try(g)
		}
	}
	return f, 0, f != nil
}
