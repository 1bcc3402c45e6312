package dashboard

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"seawall/internal/mitigation"
)

//go:embed page/index.html
var indexHTML []byte

//go:embed page/page.js
var pageJS []byte

//go:embed page/page.css
var pageCSS []byte

// routes is the whole admin API, one line each.
func (s *Server) routes(metrics http.Handler) http.Handler {
	m := http.NewServeMux()
	m.Handle("GET /{$}", static("text/html; charset=utf-8", indexHTML))
	m.Handle("GET /page.js", static("text/javascript; charset=utf-8", pageJS))
	m.Handle("GET /page.css", static("text/css; charset=utf-8", pageCSS))
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	m.HandleFunc("GET /readyz", s.ready)
	m.Handle("GET /metrics", metrics)
	m.HandleFunc("GET /api/v1/status", show(s.shield.Status))
	m.HandleFunc("GET /api/v1/mitigations", show(s.shield.Mitigations))
	m.HandleFunc("GET /api/v1/normal", show(s.shield.Normal))
	m.HandleFunc("GET /api/v1/incidents", show(s.shield.Attacks))
	m.HandleFunc("GET /api/v1/clients", show(s.shield.Clients))
	m.HandleFunc("GET /api/v1/verdicts", show(s.shield.Verdicts))
	m.HandleFunc("GET /api/v1/verdicts/{code}", s.why)
	m.HandleFunc("GET /api/v1/letter", s.letter)
	m.HandleFunc("GET /api/v1/events", s.events)
	m.HandleFunc("GET /api/v1/capture", s.capture)
	m.HandleFunc("POST /api/v1/mitigations", s.order)
	m.HandleFunc("DELETE /api/v1/mitigations/{id}", s.lift)
	m.HandleFunc("POST /api/v1/mitigations/{id}/pin", s.pin)
	m.HandleFunc("POST /api/v1/rules/try", s.try)
	m.HandleFunc("POST /api/v1/unban", s.unban)
	m.HandleFunc("POST /api/v1/undo", s.undo)
	m.HandleFunc("POST /api/v1/off", func(w http.ResponseWriter, _ *http.Request) { done(w, s.shield.SetOff(true)) })
	m.HandleFunc("POST /api/v1/on", func(w http.ResponseWriter, _ *http.Request) { done(w, s.shield.SetOff(false)) })
	m.HandleFunc("POST /api/v1/confirm", func(w http.ResponseWriter, _ *http.Request) { done(w, s.shield.Confirm()) })
	m.HandleFunc("POST /api/v1/reload", func(w http.ResponseWriter, _ *http.Request) { done(w, s.shield.Reload()) })
	m.HandleFunc("POST /api/v1/upgrade", s.upgrade)
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "there is no "+r.URL.Path+" here")
	})
	return m
}

func static(kind string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(body)
	})
}

func show(f func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { reply(w, f()) }
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.shield.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (s *Server) why(w http.ResponseWriter, r *http.Request) {
	why, err := s.shield.Why(r.PathValue("code"))
	answer(w, why, err)
}

// order is the body of POST /api/v1/mitigations: a prefix, or a match.
type order struct {
	Action string `json:"action"` // ban, allow, slow, challenge or refuse
	Prefix string `json:"prefix"` // for ban and allow: 198.51.100.7 or 198.51.100.0/24
	Match  string `json:"match"`  // for slow, challenge and refuse: an expression
	For    string `json:"for"`    // 10m, 24h; "" until lifted
	Note   string `json:"note"`
}

func (s *Server) order(w http.ResponseWriter, r *http.Request) {
	var o order
	if !read(w, r, &o) {
		return
	}
	last, err := span(o.For)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	var made mitigation.Mitigation
	switch o.Action {
	case "ban", "allow":
		var p netip.Prefix
		if p, err = Prefix(o.Prefix); err != nil {
			break
		}
		po := PrefixOrder{Prefix: p, For: last, Note: o.Note}
		if o.Action == "ban" {
			made, err = s.shield.Ban(po)
		} else {
			made, err = s.shield.Allow(po)
		}
	case "slow", "challenge", "refuse":
		var a mitigation.Action
		if err = a.UnmarshalText([]byte(o.Action)); err == nil {
			made, err = s.shield.Act(MatchOrder{Match: o.Match, Action: a, For: last, Note: o.Note})
		}
	default:
		err = fmt.Errorf("%q is no action: write ban, allow, slow, challenge or refuse", o.Action)
	}
	answer(w, made, err)
}

func (s *Server) lift(w http.ResponseWriter, r *http.Request) {
	if id, ok := number(w, r); ok {
		gone, err := s.shield.Lift(id)
		answer(w, gone, err)
	}
}

// number is the mitigation's in the path; false: it is none, which was answered.
func number(w http.ResponseWriter, r *http.Request) (mitigation.ID, bool) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 32)
	if err != nil {
		fail(w, http.StatusBadRequest, "the number of a mitigation is expected; `seawall mitigations` lists them")
	}
	return mitigation.ID(id), err == nil
}

func (s *Server) pin(w http.ResponseWriter, r *http.Request) {
	id, ok := number(w, r)
	if !ok {
		return
	}
	var o struct {
		For  string `json:"for"` // 10m, 24h; "" until lifted
		Note string `json:"note"`
	}
	if !read(w, r, &o) {
		return
	}
	last, err := span(o.For)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	made, err := s.shield.Pin(id, last, o.Note)
	answer(w, made, err)
}

// letter tells of the last days, seven as a rule.
func (s *Server) letter(w http.ResponseWriter, r *http.Request) {
	days := 7
	if text := r.URL.Query().Get("days"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 31 {
			fail(w, http.StatusBadRequest, "days is a number from 1 to 31")
			return
		}
		days = n
	}
	found, err := s.shield.Letter(days)
	answer(w, found, err)
}

// try is of rules as the configuration has them.
func (s *Server) try(w http.ResponseWriter, r *http.Request) {
	var o struct {
		Rules Rules `json:"rules"`
	}
	if !read(w, r, &o) {
		return
	}
	found, err := s.shield.Try(o.Rules)
	answer(w, map[string]any{"rules": found}, err)
}

func (s *Server) unban(w http.ResponseWriter, r *http.Request) {
	var o struct {
		Prefix string `json:"prefix"`
	}
	if !read(w, r, &o) {
		return
	}
	p, err := Prefix(o.Prefix)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	gone, err := s.shield.Unban(p)
	answer(w, gone, err)
}

func (s *Server) undo(w http.ResponseWriter, r *http.Request) {
	var o struct {
		Since string `json:"since"`
	}
	if !read(w, r, &o) {
		return
	}
	since, err := span(o.Since)
	if err != nil || since == 0 {
		fail(w, http.StatusBadRequest, `say how far back: {"since": "10m"}`)
		return
	}
	gone, err := s.shield.Undo(since)
	answer(w, gone, err)
}

func (s *Server) upgrade(w http.ResponseWriter, _ *http.Request) {
	pid, err := s.shield.Upgrade()
	answer(w, map[string]int{"pid": pid}, err)
}

// events streams what happens as server-sent events, with a comment each 15 s
// so that a dead connection is noticed.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	// The time limit for reading a request would end the stream, too.
	if err := out.SetReadDeadline(time.Time{}); err != nil {
		return
	}
	if err := out.Flush(); err != nil {
		return
	}
	alive := time.NewTicker(15 * time.Second)
	defer alive.Stop()
	events := s.shield.Events(r.Context())
	for {
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			text, err := json.Marshal(e)
			if err != nil {
				s.log.Error("encode event", "err", err)
				continue
			}
			fmt.Fprintf(w, "data: %s\n\n", text)
		case <-alive.C:
			fmt.Fprint(w, ": alive\n\n")
		}
		if out.Flush() != nil {
			return
		}
	}
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.More() {
		err = errors.New("something follows the first value")
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "the body is not the JSON that is expected: "+err.Error())
		return false
	}
	return true
}

func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case errors.Is(err, ErrNotFound):
		fail(w, http.StatusNotFound, err.Error())
	case errors.Is(err, ErrConfiguration):
		fail(w, http.StatusUnprocessableEntity, err.Error())
	case errors.Is(err, ErrNotNow):
		fail(w, http.StatusConflict, err.Error())
	case err != nil:
		fail(w, http.StatusBadRequest, err.Error())
	default:
		reply(w, v)
	}
}

func done(w http.ResponseWriter, err error) { answer(w, map[string]bool{"done": err == nil}, err) }

// Prefix reads an address or a prefix as people write them.
func Prefix(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is no address and no prefix: write 198.51.100.7, 198.51.100.0/24 or 2001:db8::/48", s)
	}
	return p.Masked(), nil
}

func span(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no length of time: write 10m or 24h", s)
	}
	return d, nil
}
