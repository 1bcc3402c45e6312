package identify

import (
	"io"
	"net/http"
	"strings"

	"seawall/internal/traffic"
)

// Room takes our cookie out of what goes to next, and adds a clearance to pages
// for visitors who have none or whose own is due for renewal. It changes the
// request's Cookie fields in place. A request that did not come through the
// door (no Visit on its ResponseWriter) loses our cookie and gets none.
func (id *Identify) Room(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visitOf(w)
		if v != nil && id.wants(v, r.Header) {
			w = &page{ResponseWriter: w, id: id, visit: v, secure: v.Secure}
		}
		id.strip(r.Header)
		next.ServeHTTP(w, r)
	})
}

// Straight says that the Room leaves the answer as it is. Then all that it does is to
// keep our cookie back, for which there is Keep.
func (id *Identify) Straight(v *traffic.Visit, h traffic.Headers) bool { return !id.wants(v, h) }

// Keep returns what of a Cookie field is for the site.
func (id *Identify) Keep(field string) string { return without(field, id.cookie) }

// wants says that the visitor is to be given a clearance with this page.
func (id *Identify) wants(v *traffic.Visit, h traffic.Headers) bool {
	if v.Kind != traffic.KindPage || v.Method != http.MethodGet {
		return false
	}
	if v.Clearance == traffic.ClearanceNone {
		return true
	}
	c, ok := id.clearanceOf(v, h)
	return ok && id.due(v, &c)
}

// strip removes our cookie from the Cookie fields.
func (id *Identify) strip(h http.Header) {
	fields := h["Cookie"]
	for i := range fields {
		if short := without(fields[i], id.cookie); len(short) != len(fields[i]) {
			// The old slice may be shared with what the door saw.
			fresh := make([]string, 0, len(fields))
			fresh = append(fresh, fields[:i]...)
			for _, f := range fields[i:] {
				if f = without(f, id.cookie); f != "" {
					fresh = append(fresh, f)
				}
			}
			if h["Cookie"] = fresh; len(fresh) == 0 {
				delete(h, "Cookie")
			}
			return
		}
	}
}

// visitOf finds the Visit along the chain of ResponseWriters.
func visitOf(w http.ResponseWriter) *traffic.Visit {
	for w != nil {
		if s, ok := w.(interface{ Visit() *traffic.Visit }); ok {
			return s.Visit()
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
	return nil
}

// page adds the cookie when the head of the answer is known. Hijack and the
// deadlines are found through Unwrap (http.ResponseController).
type page struct {
	http.ResponseWriter
	id     *Identify
	visit  *traffic.Visit
	secure bool
	headed bool
}

func (p *page) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *page) WriteHeader(status int) {
	// 1xx answers come before the head proper; 101 is the last word.
	if !p.headed && (status >= 200 || status == http.StatusSwitchingProtocols) {
		p.headed = true
		if h := p.Header(); status == http.StatusOK && mayCarryCookie(h) {
			if c := p.id.setCookie(p.visit, p.secure); c != "" {
				h.Add("Set-Cookie", c)
			}
		}
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *page) Write(b []byte) (int, error) {
	p.head()
	return p.ResponseWriter.Write(b)
}

// ReadFrom keeps the way open for copying without a buffer of ours.
func (p *page) ReadFrom(r io.Reader) (int64, error) {
	p.head()
	return io.Copy(p.ResponseWriter, r)
}

// FlushError sends the head too, so the cookie has to be in it by then.
func (p *page) FlushError() error {
	p.head()
	return http.NewResponseController(p.ResponseWriter).Flush()
}

// Flush is FlushError for those who ask for an http.Flusher.
func (p *page) Flush() { _ = p.FlushError() }

func (p *page) head() {
	if !p.headed {
		p.WriteHeader(http.StatusOK)
	}
}

// mayCarryCookie says that an answer is an HTML page that no shared cache keeps.
func mayCarryCookie(h http.Header) bool {
	var buf [48]byte
	if string(mediaType(&buf, h.Get("Content-Type"))) != "text/html" {
		return false
	}
	for _, name := range [...]string{"Surrogate-Control", "Cdn-Cache-Control"} {
		if h.Get(name) != "" {
			return false
		}
	}
	for _, field := range h["Cache-Control"] {
		for more := true; more; {
			var d string
			d, field, more = strings.Cut(field, ",")
			name, _, _ := strings.Cut(d, "=")
			if name = trim(name); strings.EqualFold(name, "public") || strings.EqualFold(name, "s-maxage") {
				return false
			}
		}
	}
	return true
}
