package refuse

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync/atomic"

	"seawall/internal/kit/sealed"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// MaxBody is a size of buffer that every body fits into.
const MaxBody = 8 << 10

const (
	// reloadWithin is the longest wait, in seconds, after which a page comes
	// back by itself, and reloadLeast the shortest: time to read it.
	reloadWithin, reloadLeast = 60, 5
	// fullRetry is when to come back where the verdict does not say.
	fullRetry = 10
	// acceptLook is how much of an Accept field is read.
	acceptLook = 512
)

// Refuse has the answers. Make one with New.
type Refuse struct {
	cfg    Config
	box    *sealed.Box
	page   *template.Template
	last   atomic.Pointer[reading]
	codes  memory
	bodies [mitigation.Reasons][formats][waits]body
}

// New renders all answers.
func New(cfg Config, box *sealed.Box) (*Refuse, error) {
	if err := cfg.Validate().Err(); err != nil {
		return nil, fmt.Errorf("prepare refusals: %w", err)
	}
	r := &Refuse{cfg: cfg, box: box}
	var err error
	if r.page, err = parsePage(); err != nil {
		return nil, fmt.Errorf("prepare refusals: %w", err)
	}
	for why := range r.bodies {
		for f := range r.bodies[why] {
			for w := range r.bodies[why][f] {
				b, err := r.render(mitigation.Reason(why), format(f), wait(w))
				if err != nil {
					return nil, fmt.Errorf("prepare refusals: %w", err)
				}
				r.bodies[why][f][w] = b
			}
		}
	}
	return r, nil
}

// Refuse makes the answer to a visit that the verdict does not let in. The
// answer's Body lies in buf, or in a larger copy of it.
func (r *Refuse) Refuse(buf []byte, v *traffic.Visit, d mitigation.Verdict, h traffic.Headers) mitigation.Answer {
	if d.Action == mitigation.Challenge {
		// Nobody is refused. The cookie is for who gives them out.
		return mitigation.Answer{
			Status: http.StatusTemporaryRedirect, ContentType: formatText.contentType(), Language: language,
			Again: true, Body: append(buf[:0], textAsked...),
		}
	}
	why := d.Reason
	if int(why) >= len(r.bodies) {
		why = mitigation.ReasonNone
	}
	seconds := d.RetrySeconds()
	if seconds <= 0 && (why == mitigation.ReasonOriginFull || d.Action == mitigation.Queue) {
		seconds = fullRetry
	}
	f := formatFor(v, h)
	w, shown := waitNot, seconds
	if seconds > 0 {
		w = waitHand
		if f == formatHTML && v.Method == "GET" && seconds <= reloadWithin && why != mitigation.ReasonBan {
			w, shown = waitReload, max(seconds, reloadLeast)
		}
	}
	a := mitigation.Answer{
		Status:      statusOf(d.Action, why, seconds > 0),
		ContentType: f.contentType(),
		Language:    language,
		RetryAfter:  max(seconds, 0),
		Ref:         r.ref(buf, v, d.ID, why),
		Close:       d.Action == mitigation.Drop,
	}
	a.Body = r.bodies[why][f][w].appendTo(buf[:0], a.Ref, shown)
	return a
}

// statusOf is the status of a refusal: 429 over a budget, 503 where coming back
// helps, else 403.
func statusOf(act mitigation.Action, why mitigation.Reason, again bool) int {
	switch why {
	case mitigation.ReasonClientBudget, mitigation.ReasonNeighbours:
		return 429
	case mitigation.ReasonBan:
		return 403
	case mitigation.ReasonOriginFull:
		return 503
	}
	if again || act == mitigation.Queue || act == mitigation.ServeCopy {
		return 503
	}
	return 403
}

// formatFor picks the body that fits what was asked for. A page request gets
// HTML unless its Accept field rules that out; an asset gets HTML only when
// somebody looks at it by itself; a feed or an API never does.
func formatFor(v *traffic.Visit, h traffic.Headers) format {
	switch v.Kind {
	case traffic.KindFeed:
		return formatText
	case traffic.KindAPI:
		return formatJSON
	}
	accept := ""
	if h != nil {
		accept = h.Get("Accept")
		accept = accept[:min(len(accept), acceptLook)]
	}
	html := strings.Contains(accept, "text/html")
	switch {
	case html:
		return formatHTML
	case v.Kind == traffic.KindAsset:
		return formatText
	case accept == "", strings.Contains(accept, "*/*"), strings.Contains(accept, "text/*"), strings.Contains(accept, "xhtml"):
		return formatHTML
	case strings.Contains(accept, "json"):
		return formatJSON
	}
	return formatText
}
