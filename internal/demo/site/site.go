package site

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// What the campaign calls itself.
const (
	name   = "Save the Larkmere Ferry"
	slogan = "Ten minutes across the lake, an hour around it."
)

// Most that is kept of what visitors type.
const (
	keepComments = 40  // for each article
	keepDonors   = 60  // in all
	keepText     = 500 // characters of a comment
	keepName     = 40  // characters of a name
	maxForm      = 16 << 10
)

//go:embed templates/*.html static/*
var files embed.FS

// comment is what a reader said about an article.
type comment struct {
	Name, Text string
	At         time.Time
}

// Site is the campaign's site. Make one with New.
type Site struct {
	workers  *workers
	counts   counters
	visitors map[netip.Addr]bool
	pages    map[string]*template.Template
	assets   map[string]asset // by path
	news     []article

	mu       sync.Mutex // guards what follows
	comments map[string][]comment
	donors   []donor
	joined   int // sign-ups; their addresses are not kept
}

// New builds the site; now dates its news.
func New(cfg Config, now time.Time) (*Site, error) {
	if err := cfg.Validate().Err(); err != nil {
		return nil, fmt.Errorf("campaign site: %w", err)
	}
	s := &Site{
		workers:  newWorkers(cfg),
		visitors: make(map[netip.Addr]bool, len(cfg.Visitors)),
		news:     articles(now),
		comments: map[string][]comment{
			"council-vote":  {{"Moorhen", "See you on Thursday. I'll bring the kettle.", now.Add(-3 * time.Hour)}},
			"what-it-costs": {{"Grebe", "The shore road floods every March. Has that been counted?", now.Add(-70 * time.Hour)}},
		},
		donors: donors(keepDonors, 7, now),
		joined: 10_412,
	}
	for _, a := range cfg.Visitors {
		s.visitors[a.Unmap()] = true
	}
	var err error
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	if s.assets, err = readAssets(); err != nil {
		return nil, err
	}
	return s, nil
}

// Handler serves the site.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /news", s.newsList)
	mux.HandleFunc("GET /news/{slug}", s.newsItem)
	mux.HandleFunc("POST /news/{slug}", s.addComment)
	mux.HandleFunc("GET /feed.xml", s.feed)
	mux.HandleFunc("GET /donate", s.page("donate"))
	mux.HandleFunc("POST /donate", s.addDonation)
	mux.HandleFunc("GET /donors", s.donorList)
	mux.HandleFunc("GET /donors.xml", s.donorFeed)
	mux.HandleFunc("GET /join", s.page("join"))
	mux.HandleFunc("POST /join", s.addSignUp)
	mux.HandleFunc("GET /poster", s.page("poster"))
	mux.HandleFunc("POST /poster.pdf", s.poster)
	mux.HandleFunc("GET /poster.pdf", s.poster)
	mux.HandleFunc("GET /static/{name}", s.static)
	mux.HandleFunc("/", s.notFound)
	return s.worked(mux)
}

// worked puts the line and the workers in front of h.
func (s *Site) worked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.count(r)
		weight := 1
		if r.URL.Path == "/poster.pdf" {
			weight = PosterWeight
		}
		// The answer is built while a worker is held and sent afterwards, so
		// that a slow reader holds no worker.
		a := &answer{header: http.Header{}, status: http.StatusOK}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		switch s.workers.do(weight, func() { h.ServeHTTP(a, r) }) {
		case full:
			s.counts.full.Add(1)
			w.Header().Set("Connection", "close")
			http.Error(w, "The site is overloaded.", http.StatusServiceUnavailable)
		case tooLate:
			s.counts.tooLate.Add(1)
			http.Error(w, "The site took too long.", http.StatusGatewayTimeout)
		default:
			s.counts.served.Add(1)
			a.send(w)
		}
	})
}

// static serves an asset, or says that the reader's copy is still good.
func (s *Site) static(w http.ResponseWriter, r *http.Request) {
	a, ok := s.assets[r.URL.Path]
	if !ok {
		s.notFound(w, r)
		return
	}
	w.Header().Set("Etag", a.etag)
	w.Header().Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	// Writing to an answer in memory cannot fail.
	_, _ = w.Write(a.body)
}

// asset is a file of static/, marked.
type asset struct {
	body       []byte
	kind, etag string
}

func readAssets() (map[string]asset, error) {
	entries, err := fs.ReadDir(files, "static")
	if err != nil {
		return nil, fmt.Errorf("read the site's assets: %w", err)
	}
	list := map[string]asset{}
	for _, e := range entries {
		b, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read the site's assets: %w", err)
		}
		path := "/static/" + e.Name()
		a := asset{}
		switch ext(e.Name()) {
		case "css":
			a.kind, a.body = "text/css; charset=utf-8", Mark(b, path, "/* ", " */")
		case "js":
			a.kind, a.body = "text/javascript; charset=utf-8", Mark(b, path, "/* ", " */")
		case "svg":
			a.kind, a.body = "image/svg+xml", Mark(b, path, "<!-- ", " -->")
		default:
			return nil, fmt.Errorf("asset %s is of no known kind", e.Name())
		}
		a.etag = `"` + digest(a.body) + `"`
		list[path] = a
	}
	return list, nil
}

func ext(file string) string {
	for i := len(file) - 1; i >= 0; i-- {
		if file[i] == '.' {
			return file[i+1:]
		}
	}
	return ""
}
