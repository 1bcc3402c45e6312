package attack

import (
	"strings"

	"seawall/internal/traffic"
)

// Part is which requests a finding is about, where it is not all of them: those that
// have everything that it names. The zero value is all. Rate and Normal of such a
// finding are those of the part.
type Part struct {
	Path   string `json:"path,omitempty"`   // as a Sample keeps it
	Method string `json:"method,omitempty"` //
	Query  bool   `json:"query,omitempty"`  // with a query
}

// Whole says that it is all requests.
func (p Part) Whole() bool { return p == Part{} }

// Has says whether a visit belongs to it.
func (p Part) Has(v *traffic.Visit) bool {
	return (p.Path == "" || v.Path == p.Path) && (p.Method == "" || v.Method == p.Method) && (!p.Query || v.QueryShape != 0 || v.RawQuery != "")
}

// Where says in words which requests they are: "at /search".
func (p Part) Where() string {
	if p.Path == "" {
		return ""
	}
	// A path is a stranger's words, and in a sentence: long ones are cut.
	path := p.Path
	if len(path) > 60 {
		path = strings.ToValidUTF8(path[:60], "")
	}
	return " at " + path
}

// Flood picks, of what was found in a window, the flood of requests that stands for
// the attack: the one of all requests, or else the largest. nil is none.
func Flood(fs []Finding) *Finding {
	var best *Finding
	for i := range fs {
		f := &fs[i]
		switch {
		case !f.Vector.Requests():
		case f.Vector == HTTPFlood:
			return f
		case best == nil || f.Rate > best.Rate:
			best = f
		}
	}
	return best
}
