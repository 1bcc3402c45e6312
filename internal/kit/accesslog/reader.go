package accesslog

import (
	"bytes"
	"hash/fnv"
	"net/netip"
	"strings"
)

// Reader takes lines of one form apart. Its owner is one goroutine.
type Reader struct {
	format *Format
	times  times

	lastText string // the last client's address
	lastAddr netip.Addr
	buf      []byte // what JSON's strings are without their escapes
}

// The years in which there are access logs. Times beyond them are somebody's mistake, and
// would not fit a Duration.
const earliest, latest = 1990, 2199

// NewReader reads lines of a form.
func NewReader(f *Format) *Reader { return &Reader{format: f} }

// Parse takes a line apart. e is valid until the next call, and as long as line does not
// change.
func (r *Reader) Parse(line []byte, e *Entry) error {
	*e = Entry{}
	line = bytes.TrimRight(line, "\r\n")
	var err error
	switch {
	case r.format.tabs != nil:
		err = r.table(text(line), e)
	case r.format.parts != nil:
		err = r.text(text(line), e)
	default:
		err = r.json(line, e)
	}
	switch {
	case err != nil:
		return err
	case e.Time.IsZero():
		return errNoTime
	case e.Time.Year() < earliest || e.Time.Year() > latest:
		return errEra
	case e.Path == "" && e.Method == "":
		return errRequest
	case !e.Client.IsValid():
		return errClient
	}
	return nil
}

// text reads a line of a text form. What comes after its last part is passed over.
func (r *Reader) text(line string, e *Entry) error {
	parts := r.format.parts
	for i := range parts {
		p := &parts[i]
		if !strings.HasPrefix(line, p.before) {
			// A log that came by way of syslog has its words before each line.
			k := strings.Index(line, "]: ")
			if i > 0 || k < 0 || !strings.HasPrefix(line[k+3:], p.before) {
				return errForm
			}
			line = line[k+3:]
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
			if end = strings.Index(line, parts[i+1].until); end < 0 {
				return errShort
			}
		default:
			if k := strings.IndexByte(line, ' '); k >= 0 {
				end = k
			}
		}
		if i == 0 && p.field == fieldClient {
			// As above, where its words end in what looks like a field.
			if k := strings.Index(line, "]: "); k >= 0 && k < 200 && !addressLike(line[:end]) {
				line = line[k+3:]
				if end = strings.Index(line, parts[min(1, len(parts)-1)].until); end < 0 {
					return errShort
				}
			}
		}
		if err := r.put(e, p.field, line[:end]); err != nil {
			return err
		}
		if p.field == fieldClient && !e.Client.IsValid() {
			e.Client = named(line[:end])
		}
		line = line[end:]
	}
	return nil
}

// addressLike says whether text may be an address or a host's name: the words that
// syslog begins with are a month's name.
func addressLike(text string) bool { return strings.ContainsAny(text, ".:") }

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
	if name == "" || name == "-" {
		return netip.Addr{}
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
		r, n := NewReader(g), 0
		var e Entry
		for _, line := range lines {
			if r.Parse(line, &e) == nil {
				n++
			}
		}
		if n > best && 2*n >= len(lines) {
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
