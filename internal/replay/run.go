package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"seawall/internal/defense"
	"seawall/internal/kit/accesslog"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/figures"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const (
	glance = 100 * time.Millisecond // between two steps of the loop
	// quietFor is how long nothing comes before time may be left out.
	quietFor = 1200 * time.Millisecond // a window ends within it
)

// Door is what a request meets.
type Door interface {
	Identify(v *traffic.Visit, h traffic.Headers)
	Decide(v *traffic.Visit) mitigation.Verdict
}

// World is what is replayed in, on a clock that stands still.
type World struct {
	Clock *clock.Clock
	Door  Door
	Loop  *defense.Loop
	Steps *[]defense.Record // those of the loop so far
	Made  func() []Made     // what was applied and withdrawn since it was asked last
	Keep  func() error      // keeps what was learnt, where that is wanted
	Close func() error      // ends it
}

// Made is a mitigation that was applied, or withdrawn.
type Made struct {
	M    mitigation.Mitigation
	Over bool
}

// Options says how to replay.
type Options struct {
	Format *accesslog.Format // of all files; nil: it is found out
	// World makes one whose clock shows at.
	World func(at time.Time) (*World, error)
	// Progress is told, now and then, how many bytes of how many were read; nil: nobody.
	Progress func(read, all int64, at time.Time)
}

// runner is a replay under way.
type runner struct {
	o      Options
	w      *World
	report *Report
	hits   *hits
	done   map[mitigation.ID]*Done
	order  []*Done
	next   clock.Instant // when the loop is to step
	seen   map[string]bool
	crowd  bool // there is one

	read, size, told int64
	head             headers
}

// Run replays files.
func Run(ctx context.Context, files []string, o Options) (*Report, error) {
	began := time.Now()
	r := &runner{o: o, report: &Report{Attacks: []defense.Attack{}, Done: []Done{}}, hits: newHits(), done: map[mitigation.ID]*Done{}, seen: map[string]bool{}}
	var all sources
	defer func() { all.end() }()
	var about []*File
	for _, name := range files {
		if i, err := os.Stat(name); err == nil {
			r.size += i.Size()
		}
		s, err := open(ctx, name, o.Format, func(n int64) { r.read += n })
		var none *unread
		switch {
		case errors.As(err, &none) && len(files) > 1: // a log that was just begun, or another one
			about = append(about, &File{Name: name, Skipped: none.why})
			continue
		case err != nil:
			return nil, err
		}
		all, about = append(all, s), append(about, s.about)
	}
	if len(all) == 0 {
		return nil, errNothing
	}
	for _, s := range slices.Clone(all) {
		if err := all.advance(ctx, s); err != nil {
			return nil, err
		}
	}
	if err := r.run(ctx, &all); err != nil {
		return nil, err
	}
	for _, f := range about {
		r.report.Files = append(r.report.Files, *f)
	}
	r.report.Requests, r.report.Hit = r.hits.requests, r.hits.hit()
	r.report.Took = time.Since(began)
	return r.report, nil
}

var errNothing = errors.New("none of the lines could be read as a request")

func (r *runner) run(ctx context.Context, all *sources) error {
	e, err := all.next(ctx)
	if err == io.EOF {
		return errNothing
	}
	if err != nil {
		return err
	}
	r.report.From = e.Time
	if r.w, err = r.o.World(e.Time.Truncate(time.Second).Add(-together * time.Second)); err != nil {
		return err
	}
	defer func() { _ = r.w.Close() }()
	r.next = r.w.Clock.Now().Add(glance)
	l := newLine(e.Time, r.second)
	for ; err == nil; e, err = all.next(ctx) {
		r.report.Late += l.take(&e)
		if r.o.Progress != nil && r.read-r.told > 1<<20 {
			r.told = r.read
			r.o.Progress(r.read, r.size, e.Time)
		}
	}
	if err != io.EOF {
		return err
	}
	l.rest()
	if late := r.report.Late; late > 100 && late > r.hits.requests.All/20 {
		return fmt.Errorf("%s of %s lines are more than a minute out of order: sort them by time first, or give the files one by one",
			figures.Thousands(late), figures.Thousands(late+r.hits.requests.All))
	}
	r.until(r.w.Clock.Now().Add(time.Second))
	r.collect()
	r.finish()
	return r.w.Keep()
}

// second replays the requests of a second.
func (r *runner) second(sec time.Time, batch []accesslog.Entry) {
	at := max(r.w.Clock.At(sec), r.w.Clock.Now())
	r.pass(at)
	// Where the log tells only the second, or lines are late, they come at even
	// distances.
	fine := false
	for i := range batch {
		fine = fine || batch[i].Time.Nanosecond() != 0
	}
	for i := range batch {
		e := &batch[i]
		t := at.Add(time.Second * time.Duration(i) / time.Duration(len(batch)))
		if fine {
			t = at.Add(e.Time.Sub(sec))
		}
		r.until(t)
		r.w.Clock.Set(t)
		r.request(e)
	}
	r.report.To = sec
}

// pass lets time pass until at. Where nothing stands and nothing is expected, most of it
// is left out.
func (r *runner) pass(at clock.Instant) {
	r.until(min(at, r.w.Clock.Now().Add(quietFor)))
	for r.next <= at {
		if r.w.Loop.Still() {
			// The window that ends now holds nothing, however long it was.
			r.w.Clock.Set(at)
			r.step()
			r.next = at.Add(glance)
			return
		}
		r.until(min(at, r.next.Add(time.Second)))
	}
}

// until has the loop step up to t.
func (r *runner) until(t clock.Instant) {
	for r.next <= t {
		r.w.Clock.Set(r.next)
		r.step()
		r.next = r.next.Add(glance)
	}
}

func (r *runner) step() {
	before := len(*r.w.Steps)
	r.w.Loop.Step()
	for i := before; i < len(*r.w.Steps); i++ {
		// How long it took is no matter of what was recorded.
		delete((*r.w.Steps)[i].Numbers, "took_ms")
	}
	r.collect()
}

// collect takes up what was made and what has ended.
func (r *runner) collect() {
	now := r.w.Clock.Wall(r.w.Clock.Now())
	for _, m := range r.w.Made() {
		d := r.done[m.M.ID]
		switch {
		case m.Over && d != nil:
			until := now
			d.Until = &until
		case m.Over:
		case d != nil:
			d.Action = max(d.Action, m.M.Action)
			d.Note = m.M.Note
		default:
			d = &Done{ID: m.M.ID, Match: m.M.Match.String(), Action: m.M.Action, Note: m.M.Note, Rule: m.M.Name, DryRun: m.M.Shadow, From: now}
			r.done[m.M.ID] = d
			r.order = append(r.order, d)
		}
	}
	st := r.w.Loop.Status()
	for i := range st.Mitigations {
		if m := &st.Mitigations[i]; m.Shadow && r.done[m.ID] != nil {
			r.done[m.ID].Requests = m.Hits // no verdict names it
		}
	}
	for i := len(st.Attacks) - 1; i >= 0; i-- {
		r.attack(st.Attacks[i])
	}
	if st.Crowd != nil && !r.crowd {
		r.report.Crowds++
	}
	r.crowd = st.Crowd != nil
}

func (r *runner) attack(a defense.Attack) {
	if !r.seen[a.ID] {
		r.seen[a.ID] = true
		r.report.Attacks = append(r.report.Attacks, a)
	}
}

// request replays one.
func (r *runner) request(e *accesslog.Entry) {
	now := r.w.Clock.Now()
	v := traffic.Visit{
		At: now, Peer: e.Client, Client: e.Client, Method: e.Method, Host: e.Host, Path: e.Path, RawQuery: e.Query, UserAgent: e.Agent,
		HTTP: version(e.Protocol),
	}
	r.head = headers{agent: e.Agent, referer: e.Referer}
	r.w.Door.Identify(&v, &r.head)
	d := r.w.Door.Decide(&v)
	out := traffic.Outcome{Status: 403, Took: time.Microsecond}
	if d.LetsIn() {
		out = traffic.Outcome{
			Status: e.Status, BytesOut: e.Bytes, Took: e.Took, Reached: true, OriginTime: max(e.Origin, 0),
			Failed: e.Status == 502 || e.Status == 504,
		}
		if out.OriginTime == 0 {
			out.OriginTime = e.Took
		}
	}
	r.w.Loop.Record(&v, d, out)
	r.hits.visit(&v, d)
	if d.ID != 0 {
		if m := r.done[d.ID]; m != nil {
			m.Requests++
		}
	}
}

func version(protocol string) traffic.HTTPVersion {
	switch protocol {
	case "HTTP/1.0":
		return traffic.HTTP10
	case "HTTP/1.1":
		return traffic.HTTP11
	case "HTTP/2.0", "HTTP/2":
		return traffic.HTTP2
	case "HTTP/3.0", "HTTP/3":
		return traffic.HTTP3
	}
	return traffic.HTTPUnknown
}

// headers are what a log tells of a request's fields.
type headers struct{ agent, referer string }

// Get makes headers traffic.Headers.
func (h *headers) Get(name string) string {
	switch name {
	case "User-Agent":
		return h.agent
	case "Referer":
		return h.referer
	case "Accept":
		if strings.HasPrefix(h.agent, "Mozilla/5.0 (") && !strings.HasPrefix(h.agent, "Mozilla/5.0 (compatible") {
			return "text/html"
		}
		return "*/*"
	}
	return ""
}

// Values makes headers traffic.Headers.
func (h *headers) Values(name string) []string {
	if v := h.Get(name); v != "" {
		return []string{v}
	}
	return nil
}

// finish writes down what there is at the end.
func (r *runner) finish() {
	st := r.w.Loop.Status()
	if st.Attack != nil {
		r.attack(*st.Attack)
	}
	for _, d := range r.order {
		r.report.Done = append(r.report.Done, *d)
	}
	r.report.Steps = *r.w.Steps
}
