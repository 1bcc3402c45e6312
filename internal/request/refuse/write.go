package refuse

import (
	"net/http"
	"strconv"

	"seawall/internal/mitigation"
)

// Write sends an answer through net/http, for handlers behind the door that
// have to turn somebody away after all. head leaves the body out, as the answer
// to a HEAD request.
func Write(w http.ResponseWriter, head bool, a mitigation.Answer) {
	h := w.Header()
	set := func(name, value string) {
		if value != "" {
			h.Set(name, value)
		}
	}
	set("Content-Type", a.ContentType)
	set("Content-Language", a.Language)
	set("Seawall-Ref", a.Ref)
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	h.Set("Cache-Control", "no-store") // it is about this visit only
	h.Set("X-Content-Type-Options", "nosniff")
	if a.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(a.RetryAfter))
	}
	if a.Cookie != "" {
		h.Add("Set-Cookie", a.Cookie)
	}
	if a.Close {
		h.Set("Connection", "close")
	}
	w.WriteHeader(a.Status)
	if !head {
		_, _ = w.Write(a.Body) // the client may be gone; nobody else needs to know
	}
}
