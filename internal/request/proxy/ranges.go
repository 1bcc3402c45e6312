package proxy

import (
	"net/http"
	"strconv"
	"strings"
)

// maxRanges is how many parts of a page may be asked for at once. Readers of PDF
// files ask for a handful.
const maxRanges = 5

// dropRanges takes out of a request the wish for parts of a page where it asks for
// too many, for some of them twice, or for nothing that can be understood: making
// the parts, and the multipart answer, can cost an origin many times the page. It
// answers with the whole page then, as RFC 9110 14.2 allows. Request-Range is the
// old name, which Apache still knows.
func dropRanges(h http.Header) {
	for _, name := range [...]string{"Range", "Request-Range"} {
		if vv, ok := h[name]; ok && !goodRanges(vv) {
			delete(h, name)
			delete(h, "If-Range") // says nothing without
		}
	}
}

// goodRanges judges a Range field. A unit that we do not know is the origin's
// business, but for the number of ranges.
func goodRanges(vv []string) bool {
	if len(vv) != 1 {
		return false
	}
	unit, set, ok := strings.Cut(vv[0], "=")
	if !ok || strings.Count(set, ",") >= maxRanges {
		return false
	}
	if !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return true
	}
	var seen [maxRanges]byteRange
	n := 0
	for text := range strings.SplitSeq(set, ",") {
		if text = trim(text); text == "" {
			continue
		}
		r, ok := parseRange(text)
		if !ok {
			return false
		}
		for _, other := range seen[:n] {
			if r.overlaps(other) {
				return false
			}
		}
		seen[n] = r
		n++
	}
	return n > 0
}

// byteRange is from its first byte to its last; first is -1 for the end of a page
// of unknown length, last is -1 for its last byte.
type byteRange struct{ first, last int64 }

func parseRange(text string) (r byteRange, ok bool) {
	from, to, ok := strings.Cut(text, "-")
	if !ok || from == "" && to == "" {
		return r, false
	}
	r.first, ok = position(from)
	if !ok {
		return r, false
	}
	if r.last, ok = position(to); !ok {
		return r, false
	}
	if from == "" {
		return byteRange{-1, -1}, true
	}
	return r, to == "" || r.first <= r.last
}

// position reads digits; nothing is -1.
func position(text string) (int64, bool) {
	if text == "" {
		return -1, true
	}
	for i := range len(text) {
		if !digit(text[i]) {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// overlaps says whether two ranges surely have bytes in common; of one that counts
// from the end, that is known only beside another that reaches the end.
func (r byteRange) overlaps(o byteRange) bool {
	switch {
	case r.first < 0 || o.first < 0:
		return r.last < 0 && o.last < 0
	case r.last < 0:
		return o.last < 0 || r.first <= o.last
	case o.last < 0:
		return o.first <= r.last
	}
	return r.first <= o.last && o.first <= r.last
}
