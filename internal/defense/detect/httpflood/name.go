package httpflood

import (
	"fmt"
	"strings"

	"seawall/internal/traffic"
)

const (
	mostly    = 0.6 // share of the excess from which the flood is called after a trait
	everNew   = 0.7 // share of a page's queries that come once only, in the samples
	fewAreFew = 50  // clients
	leastSeen = 20  // samples, for queries and answers to say anything
)

// whatOf says in plain words what a flood asks for, for people: nothing is decided by
// it.
func whatOf(w *traffic.Window, n *traffic.Normal) string {
	e := excess{w: w, n: n, total: w.Rate(w.Offered) - n.Requests}
	if e.total <= 0 || w.Offered == 0 {
		return ""
	}
	what := e.what()
	if w.Clients > 0 && w.Clients < fewAreFew {
		what += ", from few clients"
	}
	return what
}

func (e excess) what() string {
	path, pathShare, _ := e.most(traffic.FieldPath)
	method, methodShare, _ := e.most(traffic.FieldMethod)
	one := pathShare >= mostly
	// A path is a stranger's words, and in a sentence: long ones are cut.
	path = fmt.Sprintf("%.60s", path)
	seen, fresh, missing := e.seen(path, one)
	assets := e.share(e.w.ByKind[traffic.KindAsset], e.n.AssetShare)
	switch {
	case method == "POST" && methodShare >= mostly && one && traffic.LoginPath(path):
		return "passwords tried at " + path
	case method == "POST" && methodShare >= mostly && one:
		return "forms sent to " + path
	case method != "GET" && method != "" && methodShare >= mostly:
		return method + " requests"
	case one && seen >= leastSeen && fresh >= everNew:
		return path + " with ever new queries, which no cache has"
	case one && strings.HasPrefix(path, "/"):
		return "one page, " + path
	case assets >= mostly:
		return "what pages are made of, without the pages"
	case seen >= leastSeen && missing >= mostly:
		return "pages that do not exist"
	}
	return "many pages"
}

// seen looks at the samples (of path, if it is one): how many there are, which share of
// them has a query that no other has, and which got 404 for an answer.
func (e excess) seen(path string, one bool) (n int, fresh, missing float64) {
	queries, gone := map[string]int{}, 0
	for i := range e.w.Samples {
		s := &e.w.Samples[i]
		if one && !strings.HasPrefix(s.Visit.Path, path) {
			continue
		}
		n++
		if s.Visit.RawQuery != "" {
			queries[s.Visit.RawQuery]++
		}
		if s.Outcome.Status == 404 {
			gone++
		}
	}
	if n == 0 {
		return 0, 0, 0
	}
	once := 0
	for _, c := range queries {
		if c == 1 {
			once++
		}
	}
	return n, float64(once) / float64(n), float64(gone) / float64(n)
}
