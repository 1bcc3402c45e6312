package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"seawall/internal/kit/clock"
)

// originFailed answers a request for which no origin gave a usable answer; the
// client has been sent nothing yet.
func (x *exchange) originFailed(err error) {
	u := &x.body
	if u.done != nil {
		u.stop(x)
		if u.failure != nil && !errors.Is(u.failure, errStopped) {
			x.clientFailed(u.failure)
			return
		}
	}
	switch {
	case x.cut.Load():
		x.shed()
		return
	case x.ctx.Err() != nil:
		panic(http.ErrAbortHandler) // the client left
	}
	x.outcome.Failed = true
	x.p.quiet.warn("origin gave no usable answer", err)
	status := http.StatusBadGateway
	if timedOut(err) && !errors.Is(err, errDial) {
		status = http.StatusGatewayTimeout
	}
	x.fail(status, err)
	if u.broken || u.touched.Load() && !u.ended() {
		_ = x.rc().Flush()
		x.linger()
	}
}

// page is what a visitor reads where there is no answer of the site.
type page struct {
	retry    int // seconds
	code     string
	title    string
	text     string
	visitor  string
	operator string
}

func pageOf(status int, err error) page {
	switch status {
	case http.StatusBadRequest:
		return page{code: "bad-request", title: "This request cannot be understood",
			text: "The request is malformed, so it was not passed on.", visitor: "Reload the page. If it happens again, another browser may help."}
	case http.StatusMethodNotAllowed:
		return page{code: "method-not-allowed", title: "This method is not served here", text: "The site does not relay connections."}
	case http.StatusRequestTimeout:
		return page{code: "body-too-slow", title: "Sending took too long", text: "The rest of the request did not arrive in time.", visitor: "Try again with a better connection."}
	case http.StatusRequestEntityTooLarge:
		return page{code: "body-too-large", title: "This is too large", text: "The request is larger than this site accepts.", visitor: "Try something smaller."}
	case http.StatusServiceUnavailable:
		return page{retry: 5, code: "origin-full", title: "The site is very busy", text: "More people want to see this site right now than it can serve.", visitor: "Wait a few seconds and reload the page."}
	case http.StatusGatewayTimeout:
		return page{retry: 30, code: "origin-slow", title: "The site took too long to answer",
			text:     "Seawall, which protects this site, is up. The site behind it has the request, but did not answer in time.",
			visitor:  "Wait half a minute and reload the page. If you were sending something, check first whether it arrived.",
			operator: "See whether the site behind Seawall is overloaded or waits for something else, such as its database. `seawall status` shows how fast it answers; answer_timeout says how long Seawall waits."}
	}
	p := page{retry: 10, code: "origin-down", title: "The site does not answer",
		text:     "Seawall, which protects this site, is up. The site behind it gave no usable answer.",
		visitor:  "Wait a little and reload the page. If you were sending something, check first whether it arrived.",
		operator: "See whether the program behind Seawall runs, and whether it answers at the address given as origin. `seawall status` and Seawall's log say what went wrong."}
	if errors.Is(err, errNonsense) {
		p.code = "origin-malformed"
		p.operator = "The site's answer breaks the rules of HTTP, so that its end cannot be told for certain. Seawall's log says how."
	}
	return p
}

// fail writes a page of ours, in the form that the request accepts.
func (x *exchange) fail(status int, err error) {
	p := pageOf(status, err)
	h := x.w.Header()
	if !x.body.ended() && x.body.length != 0 && x.major == 1 {
		h.Set("Connection", "close")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retry))
	}
	kind, body := p.render(status, x.fields.Get("Accept"))
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	if x.method != http.MethodHead {
		_, _ = x.w.Write([]byte(body))
	}
}

// render writes the page; everything in it is ours, so nothing needs escaping.
func (p page) render(status int, accept string) (kind, body string) {
	switch {
	case strings.Contains(accept, "text/html") || strings.Contains(accept, "application/xhtml+xml"):
		var b strings.Builder
		fmt.Fprintf(&b, `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>%s</title>
<style>body{font:1.1em/1.6 system-ui,sans-serif;max-width:36em;margin:12vh auto;padding:0 1em;color:#222;background:#fff}small{color:#555}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}small{color:#aaa}}</style>
</head><body><main><h1>%s</h1><p>%s</p>`, p.title, p.title, p.text)
		if p.visitor != "" {
			fmt.Fprintf(&b, "<p><strong>What you can do:</strong> %s</p>", p.visitor)
		}
		if p.operator != "" {
			fmt.Fprintf(&b, "<p><small><strong>If this is your site:</strong> %s</small></p>", p.operator)
		}
		b.WriteString("</main></body></html>\n")
		return "text/html; charset=utf-8", b.String()
	case strings.Contains(accept, "json"):
		return "application/json", fmt.Sprintf(`{"error":%q,"status":%d,"title":%q,"detail":%q,"retry_after":%d}`+"\n", p.code, status, p.title, p.text, p.retry)
	}
	body = p.title + "\n\n" + p.text + "\n"
	for _, s := range []string{p.visitor, p.operator} {
		if s != "" {
			body += s + "\n"
		}
	}
	return "text/plain; charset=utf-8", body
}

// quietLog writes at most one line a second, and says how many it left out.
type quietLog struct {
	log  *slog.Logger
	clk  *clock.Clock
	next atomic.Int64 // clock.Instant
	lost atomic.Int64
}

func (q *quietLog) warn(msg string, err error) {
	now, next := q.clk.Now(), q.next.Load()
	if int64(now) < next || !q.next.CompareAndSwap(next, int64(now.Add(time.Second))) {
		q.lost.Add(1)
		return
	}
	q.log.Warn(msg, "error", err, "unlogged", q.lost.Swap(0))
}
