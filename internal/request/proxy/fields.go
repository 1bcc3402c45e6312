package proxy

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// fields are header fields in the order in which they came, their names as
// http.Header writes them.
type fields [][2]string

// parseFields reads field lines up to the empty line, and appends them to f.
func parseFields(f fields, text string) (fields, error) {
	for text != "" {
		var line string
		line, text = cutLine(text)
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' { // obsolete folding, RFC 9112 5.2
			if len(f) == 0 {
				return f, nonsense("a field begins with a blank")
			}
			more := trim(line)
			if !isFieldValue(more) {
				return f, nonsense("a field goes on with %.60q", line)
			}
			last := &f[len(f)-1]
			last[1] = trim(last[1] + " " + more)
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		key = trimRight(key) // RFC 9112 5.1: a proxy removes it
		value = trim(value)
		if !ok || !isToken(key) || !isFieldValue(value) {
			return f, nonsense("a field is %.60q", line)
		}
		f = append(f, [2]string{textproto.CanonicalMIMEHeaderKey(key), value})
	}
	return f, nil
}

// fieldsOf lists what h holds.
func fieldsOf(h http.Header) (f fields) {
	for k, vv := range h {
		for _, v := range vv {
			f = append(f, [2]string{k, v})
		}
	}
	slices.SortStableFunc(f, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return f
}

// get returns the values of a field as one list.
func (f fields) get(name string) string {
	var list []string
	for i := range f {
		if f[i][0] == name {
			list = append(list, f[i][1])
		}
	}
	return strings.Join(list, ", ")
}

// addTo adds the fields to h, whose values are not written to.
func (f fields) addTo(h http.Header) {
	values := make([]string, len(f)) // one allocation for most fields' values
	for i := range f {
		name, value := f[i][0], f[i][1]
		if old := h[name]; len(old) > 0 {
			h[name] = append(old[:len(old):len(old)], value)
			continue
		}
		values[i] = value
		h[name] = values[i : i+1 : i+1]
	}
}

// endToEnd takes the fields of the origin's connection out of an answer's, and its
// length, which is known already. f is no longer valid.
func (f fields) endToEnd() fields {
	named := ""
	for i := range f {
		if v := f[i][1]; f[i][0] == "Connection" && !strings.EqualFold(v, "keep-alive") && !strings.EqualFold(v, "close") {
			named = f.get("Connection")
			break
		}
	}
	kept := f[:0]
	for _, one := range f {
		if k := one[0]; !hopByHop(k) && k != "Content-Length" && (named == "" || !hasToken(named, k)) {
			kept = append(kept, one)
		}
	}
	return kept
}

// hopByHop says whether an answer's field, by its canonical name, is of the origin's
// connection only.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Te", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
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
		if !('a' <= c|0x20 && c|0x20 <= 'z' || digit(c) || c == '-' || strings.IndexByte("!#$%&'*+.^_`|~", c) >= 0) {
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
func hasToken(list, token string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(trim(t), token) {
			return true
		}
	}
	return false
}

// anyToken is hasToken for a field that may have come more than once.
func anyToken(lists []string, token string) bool {
	for _, l := range lists {
		if hasToken(l, token) {
			return true
		}
	}
	return false
}
