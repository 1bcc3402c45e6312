package site

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// view is what the templates see.
type view struct {
	Name, Slogan string
	Title        string
	Path         string
	News         []article
	Article      article
	Comments     []comment
	Donors       []donor
	Joined       int
	Raised       int
	Thanks       string
	Wrong        string // what was wrong with a form
}

func parsePages() (map[string]*template.Template, error) {
	funcs := template.FuncMap{
		"day":  func(t time.Time) string { return t.Format("2 January 2006") },
		"when": func(t time.Time) string { return t.Format("2 January, 15:04") },
	}
	list := map[string]*template.Template{}
	for _, page := range []string{"home", "news", "article", "donate", "donors", "join", "poster", "message"} {
		t, err := template.New("layout.html").Funcs(funcs).
			ParseFS(files, "templates/layout.html", "templates/"+page+".html")
		if err != nil {
			return nil, fmt.Errorf("the site's page %s: %w", page, err)
		}
		list[page] = t
	}
	return list, nil
}

// show writes a page.
func (s *Site) show(w http.ResponseWriter, r *http.Request, status int, page string, v view) {
	s.mu.Lock()
	v.Joined = s.joined
	s.mu.Unlock()
	v.Name, v.Slogan, v.Path = name, slogan, r.URL.Path
	if v.News == nil {
		v.News = s.news
	}
	var b bytes.Buffer
	if err := s.pages[page].Execute(&b, v); err != nil {
		http.Error(w, "This page is broken.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	// Writing to an answer in memory cannot fail.
	_, _ = w.Write(Mark(b.Bytes(), r.URL.Path, "<!-- ", " -->"))
}

// page returns the handler of a page that is only a form.
func (s *Site) page(which string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.show(w, r, http.StatusOK, which, view{})
	}
}

func (s *Site) home(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	recent, raised := s.donors[:min(5, len(s.donors))], s.raised()
	s.mu.Unlock()
	s.show(w, r, http.StatusOK, "home", view{Title: "Home", Donors: recent, Raised: raised})
}

func (s *Site) newsList(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "news", view{Title: "News"})
}

func (s *Site) notFound(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusNotFound, "message", view{
		Title: "There is no such page",
		Wrong: "The boat does not stop here. Try the news, or the front page.",
	})
}

func (s *Site) findArticle(slug string) (article, bool) {
	for _, a := range s.news {
		if a.Slug == slug {
			return a, true
		}
	}
	return article{}, false
}

func (s *Site) newsItem(w http.ResponseWriter, r *http.Request) { s.showArticle(w, r, "") }

func (s *Site) showArticle(w http.ResponseWriter, r *http.Request, thanks string) {
	a, ok := s.findArticle(r.PathValue("slug"))
	if !ok {
		s.notFound(w, r)
		return
	}
	s.mu.Lock()
	said := s.comments[a.Slug]
	s.mu.Unlock()
	s.show(w, r, http.StatusOK, "article", view{Title: a.Title, Article: a, Comments: said, Thanks: thanks})
}

func (s *Site) addComment(w http.ResponseWriter, r *http.Request) {
	c := comment{
		Name: orElse(clip(r.PostFormValue("name"), keepName), "A neighbour"),
		Text: clip(r.PostFormValue("text"), keepText), At: time.Now(),
	}
	if a, ok := s.findArticle(r.PathValue("slug")); ok && c.Text != "" {
		s.mu.Lock()
		// A new slice each time: pages being written keep the old one.
		list := append([]comment{c}, s.comments[a.Slug]...)
		s.comments[a.Slug] = list[:min(len(list), keepComments)]
		s.mu.Unlock()
	}
	s.showArticle(w, r, "Thank you for your comment.")
}

func (s *Site) addDonation(w http.ResponseWriter, r *http.Request) {
	pounds, err := strconv.Atoi(strings.TrimSpace(r.PostFormValue("pounds")))
	legal := clip(r.PostFormValue("legal_name"), keepName)
	if err != nil || pounds < 1 || pounds > 5000 || legal == "" {
		s.show(w, r, http.StatusUnprocessableEntity, "message", view{
			Title: "Please look again", Wrong: "We need your full name and a sum from £1 to £5,000.",
		})
		return
	}
	d := donor{Legal: legal, Public: orElse(clip(r.PostFormValue("public_name"), keepName), "Somebody"), Pounds: pounds, At: time.Now()}
	s.mu.Lock()
	if len(s.donors) > 0 {
		d.ID = s.donors[0].ID + 1
	}
	list := append([]donor{d}, s.donors...)
	s.donors = list[:min(len(list), keepDonors)]
	s.mu.Unlock()
	s.show(w, r, http.StatusOK, "message", view{
		Title:  "Thank you",
		Thanks: fmt.Sprintf("Thank you, %s. No money moves here: this site is a demonstration.", d.Public),
	})
}

func (s *Site) addSignUp(w http.ResponseWriter, r *http.Request) {
	if at := strings.IndexByte(r.PostFormValue("email"), '@'); at < 1 {
		s.show(w, r, http.StatusUnprocessableEntity, "message", view{
			Title: "Please look again", Wrong: "That is no e-mail address.",
		})
		return
	}
	s.mu.Lock()
	s.joined++
	s.mu.Unlock()
	s.show(w, r, http.StatusOK, "message", view{
		Title: "Welcome aboard", Thanks: "We would write to you now, were this not a demonstration. Your address was not kept.",
	})
}

func (s *Site) donorList(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	list, raised := s.donors, s.raised()
	s.mu.Unlock()
	s.show(w, r, http.StatusOK, "donors", view{Title: "Donors", Donors: list, Raised: raised})
}

// raised sums the donations; hold s.mu.
func (s *Site) raised() int {
	sum := 48_200 // what came before the list begins
	for _, d := range s.donors {
		sum += d.Pounds
	}
	return sum
}

func (s *Site) feed(w http.ResponseWriter, r *http.Request) {
	b, err := newsFeed(base(r), s.news)
	s.showFeed(w, r, b, err)
}

func (s *Site) donorFeed(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	list := s.donors
	s.mu.Unlock()
	b, err := donorFeed(base(r), list)
	s.showFeed(w, r, b, err)
}

func (s *Site) showFeed(w http.ResponseWriter, r *http.Request, b []byte, err error) {
	if err != nil {
		http.Error(w, "This feed is broken.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/rss+xml; charset=utf-8")
	// Writing to an answer in memory cannot fail.
	_, _ = w.Write(Mark(b, r.URL.Path, "<!-- ", " -->"))
}

// base is the site's address as the reader knows it.
func base(r *http.Request) string {
	scheme := "http"
	if r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: r.Host}).String()
}

func (s *Site) poster(w http.ResponseWriter, r *http.Request) {
	p := poster{
		Title: r.FormValue("title"), Slogan: r.FormValue("slogan"),
		Date: r.FormValue("date"), Place: r.FormValue("place"), Colour: r.FormValue("colour"),
	}
	b, err := p.render()
	if err != nil {
		http.Error(w, "The poster could not be drawn.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/pdf")
	w.Header().Set("Content-Disposition", `inline; filename="poster.pdf"`)
	// Writing to an answer in memory cannot fail.
	_, _ = w.Write(b)
}
